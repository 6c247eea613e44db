import type { Brew } from './brew.js';
import type { Brewer } from './brewer.js';
import type { BrewerInfo, Packet, PatronInfo } from './packet.js';
import { PacketType } from './packet.js';
import type { Patron } from './patron.js';
import { Registration } from './registration.js';

/** A patron or a brewer of a client: how to register it, and what to do with what the server says of it. */
export interface Member {
  readonly target: Patron | Brewer;
  readonly registration: Pick<Registration<never>, 'answered' | 'expectAnswer' | 'removed' | 'refused' | 'expire' | 'clear'>;
  /** The packet that registers it, once its brews are ready. */
  register(): Promise<Packet>;
  readonly unregister: Packet;
  /** Takes a notification, if the packet is one for its kind. */
  notify(packet: Packet): void;
  /** Takes back what `_lend` gave. What is returned settles when what was brewed has left; nothing when it has. */
  release(): Promise<void> | undefined;
  /** After that: takes back what `on` gave. `isBack`: it has been added again meanwhile. */
  end(isBack: boolean): void;
}

type Brews = ReadonlyMap<string, Brew>;

export function patronMember(target: Patron, brews: Brews, undo: readonly (() => void)[]): Member {
  const { topic, patronId } = target;
  const running = new Set<string>();
  const all = [...undo, target.on('added', ({ brewerId }) => running.add(brewerId)), target.on('removed', ({ brewerId }) => running.delete(brewerId))];
  const registration = new Registration<BrewerInfo>(
    (info) => info.brewer_id,
    (infos) => target.newBrewers(infos),
    (id, now) => (now ? target.removeBrewer(id) : target._retire(id)),
    ({ topic, brewer_id, brew }) => running.has(brewer_id) && brews.get(brew?.name)?.renew?.({ topic, brewerId: brewer_id, details: brew }, false),
  );
  return {
    target,
    registration,
    // A brew that throws must not keep the others from being registered.
    register: async () => ({
      type: PacketType.PATRON_REGISTER,
      payload: {
        topic,
        patron_id: patronId,
        brews: [...brews.values()].flatMap((brew) => brew.patronDetails({ topic, patronId }) ?? []),
      },
    }),
    unregister: { type: PacketType.PATRON_UNREGISTER, payload: { topic, patron_id: patronId } },
    notify({ type, payload }) {
      if (type === PacketType.BREWER_NOTIFY) registration.notify(payload.brewers);
      if (type === PacketType.BREWER_REMOVED) registration.removed(payload.brewer_id);
    },
    release() {
      target.reset();
      target._lend(undefined);
      return undefined;
    },
    end: () => all.forEach((run) => run()),
  };
}

export function brewerMember(target: Brewer, brews: Brews, undo: readonly (() => void)[]): Member {
  const { topic, brewerId } = target;
  const registration = new Registration<PatronInfo>(
    (info) => info.patron_id,
    (infos) => target.newPatrons(infos),
    (id) => target.removePatron(id),
    ({ brew }) => brews.get(brew?.name)?.renew?.({ topic, brewerId, details: brew }, true),
  );
  return {
    target,
    registration,
    async register() {
      const all = await Promise.all([...brews.values()].map((brew) => brew.brewerDetails({ topic, brewerId })));
      return {
        type: PacketType.BREWER_REGISTER,
        payload: {
          topic,
          brewer_id: brewerId,
          brewer_config: target.getConfig(),
          brews: all.filter((details) => details !== undefined),
        },
      };
    },
    unregister: { type: PacketType.BREWER_UNREGISTER, payload: { topic, brewer_id: brewerId } },
    notify({ type, payload }) {
      if (type === PacketType.PATRON_NOTIFY) registration.notify(payload.patrons);
      if (type === PacketType.PATRON_REMOVED) registration.removed(payload.patron_id);
    },
    release() {
      // What a brew holds for a patron that is on its way still leaves.
      target._release(target._flush());
      target._lend(undefined);
      return target._left;
    },
    end(isBack) {
      undo.forEach((run) => run());
      if (!isBack) brews.forEach((brew) => brew.endBrewer?.(brewerId));
    },
  };
}
