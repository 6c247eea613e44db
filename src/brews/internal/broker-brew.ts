import type { Brew, BrewDetails, BrewerPair, BrewHost, BrewScope, PatronPair } from '../../core/index.js';
import { PubkeeperError } from '../../core/index.js';
import { TAG } from '../../core/ciphers/aes-gcm.js';
import { asPubkeeperError } from '../../core/errors.js';
import { FRAME_HEADER } from '../../core/frame.js';
import { after, cancel, fromUtf8, type Timer, utf8 } from '../../core/host.js';
import { BrokerLink } from './broker-link.js';
import { unfit } from './broker-options.js';
import { BrokerRoute, encodeAnswers, MAX_PART } from './broker-route.js';
import type { Target } from './broker-line.js';
import type { BrokerWay, Place } from './broker-way.js';
import { failover } from './failover.js';
import { type Answer, Recent, type Reply } from './recent.js';
import { once } from './once.js';
import { both, inUse } from './small.js';

/** What a frame has besides the messages in it, in bytes, and an answer besides a frame. */
const OVERHEAD = FRAME_HEADER + TAG + 1;

/** How long a connection that nobody uses any more is kept, in ms: patrons come and go. */
const LINGER = 5000;

interface Pooled {
  readonly key: string;
  readonly isOwn: boolean;
  readonly link: BrokerLink;
  users: number;
  idle: Timer | undefined;
}

interface Outlet {
  readonly address: string;
  readonly pooled: Pooled;
  readonly recent: Recent;
  readonly pairs: Set<string>;
  readonly end: () => void;
}

/** A brew over a broker: one address for each brewer, one connection for each broker. */
export class BrokerBrew implements Brew {
  readonly name: string;
  readonly #way: BrokerWay;
  readonly #links = new Map<string, Pooled>();
  readonly #outlets = new Map<string, Outlet>();
  readonly #routes = new Map<string, BrokerRoute>();
  #host: BrewHost | undefined;
  #isLoaded = false;
  #rests = false;

  protected constructor(way: BrokerWay) {
    this.#way = way;
    this.name = way.name;
  }

  /** @internal */
  readonly failover = failover;

  /** The own broker loses a message that is too long for it, with all that is in it: so what is brewed together is divided. */
  get maxBundle(): number {
    const own = [...this.#links.values()].find(({ isOwn }) => isOwn);
    return Math.min(MAX_PART, own?.link.most ?? this.#way.most) - OVERHEAD;
  }

  attach(host: BrewHost): void {
    if (this.#host) throw inUse(this.#way.kind);
    this.#host = host;
  }

  /** Connects to the own broker, to notice a wrong address before the first match. Undefined if there is none, or if it cannot carry this topic. */
  brewerDetails({ topic, brewerId }: { readonly topic: string; readonly brewerId: string }): BrewDetails | undefined {
    if (!this.#way.urls.length) return undefined;
    const address = this.#way.addressOf(topic, brewerId);
    const problem = unfit(this.#way.kind, address, this.#way.separator);
    if (problem) return void this.#host!.report(problem);
    const known = this.#outlets.get(brewerId);
    if (!known || known.address !== address) {
      known?.end();
      this.#outlets.set(brewerId, this.#outlet(address));
    }
    return this.#way.details({ address, join: true });
  }

  /** Loads the library, to notice a missing one before the first match, which then need not wait for it. */
  patronDetails(): BrewDetails {
    if (this.#isLoaded) return { name: this.name, join: true };
    this.#isLoaded = true;
    this.#way.load().catch((error: unknown) => {
      this.#host!.report(asPubkeeperError(error, 'BREW_DEPENDENCY', `A library for ${this.#way.kind} cannot be loaded.`));
      this.#host!.state?.(this.name, false);
    });
    return { name: this.name, join: true };
  }

  startBrewer({ brewerId, topic, patronId, details, missed, accepting }: BrewerPair): () => void {
    if (!this.#outlets.has(brewerId)) this.brewerDetails({ topic, brewerId });
    const outlet = this.#outlets.get(brewerId);
    if (!outlet) {
      throw new PubkeeperError('BREW_CONFIG_INVALID', `This ${this.#way.kind} cannot brew: give it the url of a broker.`);
    }
    outlet.pairs.add(patronId);
    // A patron that does not ask need not be waited for.
    const reply: Reply = (answer, unasked) => this.#reply(outlet, patronId, answer, unasked);
    const accepted = details.join === true ? outlet.recent.expect(patronId, missed, reply) : undefined;
    if (accepted) accepting?.(accepted);
    return once(() => {
      outlet.pairs.delete(patronId);
      outlet.recent.left(patronId);
      outlet.pooled.link.forget(this.#answersTo(outlet.address, patronId));
      if (!outlet.pairs.size) outlet.pooled.link.forget(outlet.address);
    });
  }

  startPatron({ brewerId, patronId, details, receive }: PatronPair): () => void {
    const place = this.#way.read(details, brewerId);
    const target = this.#targetOf(place);
    const pooled = this.#open(target);
    const free = pooled.link.use({ brewerId, patronId });
    const key = `${pooled.key} ${place.address}`;
    let route = this.#routes.get(key);
    if (!route) {
      const { separator } = this.#way;
      const ended = (): void => void (this.#routes.get(key) === route && this.#routes.delete(key));
      route = new BrokerRoute({ link: pooled.link, host: this.#host!, place, separator, ended });
      this.#routes.set(key, route);
    }
    const leave = route.join(patronId, receive);
    return once(() => {
      leave();
      free();
      this.#release(pooled);
    });
  }

  brew(brewerId: string, frame: Uint8Array<ArrayBuffer>): void | Promise<void> {
    const outlet = this.#outlets.get(brewerId);
    if (!outlet?.pairs.size) return;
    const { address, pooled, recent } = outlet;
    return recent.add(frame, () => pooled.link.publish(address, frame, this.#way.lastValue === 'broker'));
  }

  renew({ brewerId, details }: Pick<PatronPair, 'brewerId' | 'details'>, brews: boolean): void {
    if (brews) return;
    const { address } = this.#way.read(details, brewerId);
    for (const route of this.#routes.values()) if (route.address === address) route.again();
  }

  endBrewer(brewerId: string): void {
    this.#outlets.get(brewerId)?.end();
    this.#outlets.delete(brewerId);
  }

  /** @internal */
  forget(scope: BrewScope): void {
    for (const { link } of this.#links.values()) link.forgetPair(scope);
  }

  /** Closes all connections without a report: an open one would keep the page out of the back/forward cache, or be cut there. */
  rest(): void {
    this.#rests = true;
    for (const { link } of this.#links.values()) link.rest();
  }

  wake(): void {
    this.#rests = false;
    for (const { link } of this.#links.values()) link.wake();
  }

  async close(): Promise<void> {
    for (const id of this.#outlets.keys()) this.endBrewer(id);
    for (const route of this.#routes.values()) route.stop();
    this.#routes.clear();
    this.#isLoaded = this.#rests = false;
    const links = [...this.#links.values()];
    this.#links.clear();
    await Promise.all(links.map((pooled) => (cancel(pooled.idle), pooled.link.close())));
  }

  #outlet(address: string): Outlet {
    const { urls, credentials, separator, lastValue } = this.#way;
    const pooled = this.#open({ urls, credentials });
    const { link } = pooled;
    // All of a client's brewers use the own broker, so the state of its link is that of the whole brew.
    const free = link.use({});
    const recent = new Recent(lastValue === 'brewer', (error) => this.#host!.report(error));
    const pairs = new Set<string>();
    recent.hear(false);
    // A brewer's key ends with it, so nobody can read its last value any more: take it back from the broker.
    const takeBack = (): void => void (lastValue === 'broker' && link.say(address, utf8(''), true));
    // A former brewer of this id, whose process was killed, could not.
    const clear = once(takeBack);
    const deaf = link.listen(`${address}${separator}join`, {
      opening: () => {
        clear();
        // Do not wait for the confirmation: if the broker refuses this subscription, no patron is ever heard, and brew() must not wait for ever.
        recent.hear(true);
      },
      lost: () => recent.hear(false),
      message: (payload) => {
        const [, patronId, got] = /^([\da-f]{32})(\+?)$/.exec(fromUtf8(payload)) ?? [];
        if (!patronId) return this.#host!.dropped('malformed');
        if (got) return recent.arrived(patronId);
        const answer = recent.asked(patronId, pairs.has(patronId));
        if (answer) void this.#reply({ address, pooled }, patronId, answer);
      },
    });
    const end = once(() => {
      recent.clear();
      takeBack();
      deaf();
      free();
      this.#release(pooled);
    });
    return { address, pooled, recent, pairs, end };
  }

  /** Answers a patron. An unasked answer must not be lost: it is published as frames are, and before all that is brewed from now on. */
  #reply({ address, pooled: { link } }: Pick<Outlet, 'address' | 'pooled'>, patronId: string, answer: Answer, unasked = false): void | Promise<void> {
    const to = this.#answersTo(address, patronId);
    const parts = encodeAnswers(answer, unasked, link.most);
    if (!unasked) return parts.forEach((part) => link.say(to, part));
    try {
      const sent: (void | Promise<void>)[] = parts.map((part) => link.publish(to, part)?.catch(() => undefined));
      return sent.reduce(both);
    } catch {
      return undefined; // `recent` keeps it for the patron, and reports the loss if the patron does not ask for it
    }
  }

  #answersTo(address: string, patronId: string): string {
    const { separator } = this.#way;
    return `${address}${separator}to${separator}${patronId}`;
  }

  /** The own broker if the brewer names it, or names none that can be reached from here; else the broker that it names. */
  #targetOf(place: Place): Target {
    const { urls, credentials, kind } = this.#way;
    const named = this.#way.reachable(place);
    if (urls.length && (!named.length || urls.some((url) => place.tcp.includes(url) || place.ws.includes(url)))) {
      return { urls, credentials };
    }
    if (named.length) return { urls: named, credentials: undefined };
    throw new PubkeeperError(
      'BREW_CONFIG_INVALID',
      `The brewer names no broker that can be reached from here: give this ${kind} the url of the broker.`,
      { tcp: place.tcp, ws: place.ws },
    );
  }

  #open(target: Target): Pooled {
    const key = `${target.credentials ? 'own ' : ''}${target.urls.join(' ')}`;
    let pooled = this.#links.get(key);
    if (!pooled) {
      const link = new BrokerLink(this.name, target, this.#way.dial, this.#host!);
      if (this.#rests) link.rest();
      this.#links.set(key, (pooled = { key, isOwn: !!target.credentials, link, users: 0, idle: undefined }));
    }
    cancel(pooled.idle);
    pooled.users++;
    return pooled;
  }

  #release(pooled: Pooled): void {
    // Keep the ended link of an own broker that has refused this client, so that nobody tries again before the next connect().
    if (--pooled.users > 0 || (pooled.isOwn && pooled.link.ended)) return;
    this.#linger(pooled);
  }

  #linger(pooled: Pooled): void {
    pooled.idle = after(LINGER, () => {
      // Pairs that were moved to another brew come back when this link is up again: keep watching it until then.
      if (pooled.link.isMissed) return this.#linger(pooled);
      if (this.#links.get(pooled.key) === pooled) this.#links.delete(pooled.key);
      void pooled.link.close();
    });
  }
}
