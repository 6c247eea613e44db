import type { Brew } from './brew.js';
import type { Brewer } from './brewer.js';
import type { BrewerInfo, Packet, PatronInfo } from './packet.js';
import { PacketType } from './packet.js';
import type { Patron } from './patron.js';
import { Registration } from './registration.js';

/** A patron or brewer of a client, with its registration and its packets. */
export interface Member {
  readonly target: Patron | Brewer;
  readonly registration: Registration<never>;
  /** The packet that registers it, once its brews are ready. */
  register(): Promise<Packet>;
  readonly unregister: Packet;
  /** Cleanup to run after it has been released and its messages have been sent. */
  readonly undo: readonly (() => unknown)[];
}

type Brews = ReadonlyMap<string, Brew>;

export function patronMember(target: Patron, brews: Brews, undo: Member['undo']): Member {
  const { topic, patronId } = target;
  const registration = new Registration<BrewerInfo>(
    (info) => info.brewer_id,
    (infos) => target.newBrewers(infos),
    (id, now) => (now ? target.removeBrewer(id) : target._retire(id)),
    ({ topic, brewer_id, brew }) => target._runs(brewer_id) && brews.get(brew?.name)?.renew?.({ topic, brewerId: brewer_id, details: brew }, false),
  );
  return {
    target,
    registration,
    // Async, so that a brew that throws becomes a rejection and does not stop the registration of other members.
    register: async () => ({
      type: PacketType.PATRON_REGISTER,
      payload: {
        topic,
        patron_id: patronId,
        brews: [...brews.values()].flatMap((brew) => brew.patronDetails({ topic, patronId }) ?? []),
      },
    }),
    unregister: { type: PacketType.PATRON_UNREGISTER, payload: { topic, patron_id: patronId } },
    undo,
  };
}

export function brewerMember(target: Brewer, brews: Brews, undo: Member['undo']): Member {
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
          brews: all.flatMap((details) => details ?? []),
        },
      };
    },
    unregister: { type: PacketType.BREWER_UNREGISTER, payload: { topic, brewer_id: brewerId } },
    undo,
  };
}
