import { hashKey } from '../relay-format.js';
import type { RelayBridge, RelayMember } from '../relay-options.js';
import { FrameReader, decodeInterest, encodeFrames, encodeInterest, interestsWithin } from './bridge-format.js';
import type { Bus } from './bus.js';
import type { SharedClock } from './clock.js';
import { Demand } from './demand.js';
import { Questions } from './questions.js';

// Connects the relays of a cluster. A relay subscribes to the subjects of the topics that somebody has joined on it, and
// publishes there what its own connections publish. If NATS reports that nobody has subscribed, it stops for a while. Frames
// of other relays go only to connections that have joined here, so that nothing goes in circles.

/** What a bridge needs of its relay. */
export interface BridgedRelay {
  inject(key: string, frame: Uint8Array, stamp: number): void;
  refresh(key: string, frame: Uint8Array, stamp: number): void;
  welcome(key: string): void;
  last(key: string): { readonly frame: Uint8Array; readonly stamp: number } | undefined;
  unbridge(key: string): void;
  drained(member: RelayMember): void;
}

export interface BridgeOptions {
  /** This server's id: 12 characters. */
  readonly server: string;
  readonly bus: Bus;
  readonly clock: SharedClock;
  /** What all subjects begin with. */
  readonly prefix: string;
  /** How long a frame may be, in bytes. */
  readonly maxFrame: number;
  /** The other servers that are alive. */
  others(): ReadonlySet<string>;
  /** The number of connections that have joined a topic at other servers may have changed. */
  arrived(key: string): void;
  /** A malformed message has come. */
  malformed(): void;
  /** Calls `run` at the end of this tick. */
  later(run: () => void): void;
}

interface Joined {
  count: number;
  /** Other relays are being asked for the last value, so a connection that joins now has to wait for it. */
  isAsking: boolean;
  readonly stop: () => void;
}

/** Connects this server's relay with those of the other servers. */
export class Bridge implements RelayBridge<RelayMember> {
  readonly member: RelayMember;
  readonly #options: BridgeOptions;
  readonly #reader: FrameReader;
  #relay: BridgedRelay | undefined;
  readonly #joined = new Map<string, Joined>();
  /** Topics that other servers are told about at the end of the tick; true: and asked for their last values. */
  readonly #changes = new Map<string, boolean>();
  readonly #questions = new Questions((keys) => this.#answered(keys));
  readonly #demand = new Demand();
  readonly #stops: (() => void)[] = [];
  /** Another server has been away, and wants to be told about all topics. */
  #wasAway = false;
  #sent = 0;
  #received = 0;

  constructor(options: BridgeOptions) {
    this.#options = options;
    this.#reader = new FrameReader(options.maxFrame);
    this.member = { version: 2, take: (key, frames, stamp) => this.#send(key, frames, stamp) };
  }

  /** Frames that were sent to other relays, and that came from there. */
  get sent(): number {
    return this.#sent;
  }

  get received(): number {
    return this.#received;
  }

  /** Topics that this relay has subscribed to. */
  get topics(): number {
    return this.#joined.size;
  }

  attach(relay: BridgedRelay): void {
    this.#relay = relay;
    const { bus, prefix, server } = this.#options;
    const checked = (run: (subject: string, message: Uint8Array) => void) => (subject: string, message: Uint8Array): void => {
      try {
        run(subject, message);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        this.#options.malformed();
      }
    };
    this.#stops.push(
      bus.subscribe(`${prefix}.join`, checked((_subject, message) => this.#interested(message))),
      bus.subscribe(`${prefix}.last.${server}.*`, checked((subject, message) => this.#value(tail(subject), message))),
      bus.subscribe(`${prefix}.done.${server}`, checked((_subject, message) => this.#done(message))),
      bus.subscribe(`${prefix}.void.${server}.*`, (subject, _message, isNobody) => {
        if (isNobody) this.#unwanted(keyOfToken(tail(subject)));
      }),
    );
  }

  stamp(): number {
    return this.#options.clock.next();
  }

  wants(key: string): boolean {
    const { bus, others } = this.#options;
    return bus.isUp && others().size > 0 && !this.#demand.isIdle(key);
  }

  changed(key: string, count: number): boolean {
    let joined = this.#joined.get(key);
    let asks = false;
    if (!count) {
      joined?.stop();
      this.#joined.delete(key);
    } else if (joined) {
      joined.count = count;
    } else {
      asks = this.#hasOthers;
      joined = { count, isAsking: asks, stop: this.#subscribe(key) };
      this.#joined.set(key, joined);
    }
    this.#announce(key, asks);
    return !!joined?.isAsking;
  }

  /** How many connections have joined a topic on other relays, as far as they have told. */
  joinedElsewhere(key: string): number {
    return this.#demand.count(key);
  }

  /** Another server is there now: sends what could not be sent before, and asks for last values that were missed here. */
  resync(): void {
    this.#demand.retry();
    this.#relay?.drained(this.member);
    this.#announceAll();
  }

  /** The bus is up again. Others have to tell and ask anew: this relay has not heard who has joined there, nor they what was published here. */
  restored(): void {
    const { bus, prefix, server } = this.#options;
    this.#demand.forget();
    this.resync();
    bus.publish(`${prefix}.join`, encodeInterest(server, 0, []));
  }

  /** The bus is down: nobody will answer. */
  interrupted(): void {
    this.#questions.giveUp();
  }

  /** A server has gone: it will not answer. */
  gone(server: string): void {
    this.#demand.gone(server);
    this.#questions.gone(server);
  }

  /** There is room on the bus again. */
  drained(): void {
    this.#relay?.drained(this.member);
  }

  /** Called every half second. */
  tick(): void {
    // Once, however many servers have been away.
    if (this.#wasAway) this.#announceAll();
    this.#wasAway = false;
    this.#demand.tick((key) => this.#relay?.unbridge(key));
  }

  close(): void {
    this.#questions.close();
    for (const stop of this.#stops) stop();
    for (const { stop } of this.#joined.values()) stop();
    this.#joined.clear();
  }

  get #hasOthers(): boolean {
    return this.#options.bus.isUp && this.#options.others().size > 0;
  }

  #subscribe(key: string): () => void {
    const { bus, prefix, server, malformed, clock } = this.#options;
    const token = tokenOf(key);
    return bus.subscribe(`${prefix}.t.${token}`, (_subject, message) => {
      try {
        const read = this.#reader.read(token, message);
        if (!read || read.server === server) return;
        clock.heard(read.stamp);
        this.#received += read.frames.length;
        for (const frame of read.frames) this.#relay?.inject(key, frame, read.stamp);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        malformed();
      }
    });
  }

  #send(key: string, frames: readonly Uint8Array[], stamp: number): boolean {
    const { bus, prefix, server } = this.#options;
    const size = frames.reduce((sum, { length }) => sum + length, 0);
    if (!bus.fits(size)) return false;
    const token = tokenOf(key);
    for (const message of encodeFrames(server, stamp, frames, bus.maxMessage)) {
      bus.publish(`${prefix}.t.${token}`, message, `${prefix}.void.${server}.${token}`);
    }
    this.#sent += frames.length;
    this.#demand.used(key);
    return true;
  }

  /** What was published on a topic has reached nobody. */
  #unwanted(key: string): void {
    this.#demand.unwanted(key);
    this.#relay?.unbridge(key);
  }

  #announceAll(): void {
    for (const key of this.#joined.keys()) this.#announce(key, true);
  }

  #announce(key: string, asks: boolean): void {
    if (!this.#hasOthers) return;
    if (!this.#changes.size) this.#options.later(() => this.#tell());
    this.#changes.set(key, asks || this.#changes.get(key) === true);
  }

  #tell(): void {
    const { bus, prefix, server, others } = this.#options;
    const changes = [...this.#changes];
    this.#changes.clear();
    const most = interestsWithin(bus.maxMessage);
    for (let at = 0; at < changes.length; at += most) {
      const some = changes.slice(at, at + most);
      const keys = some.filter(([, asks]) => asks).map(([key]) => key);
      const number = keys.length ? this.#questions.ask(keys, bus.isUp ? others() : []) : 0;
      const topics = some.map(([key, asks]) => ({ hash: Buffer.from(key, 'latin1'), count: this.#joined.get(key)?.count ?? 0, asks }));
      bus.publish(`${prefix}.join`, encodeInterest(server, number, topics));
    }
  }

  #interested(message: Uint8Array): void {
    const { bus, prefix, arrived, server: own } = this.#options;
    const { server, question, topics } = decodeInterest(message);
    if (server === own) return;
    if (!topics.length) this.#wasAway = true;
    for (const { hash, count, asks } of topics) {
      const key = hashKey(hash);
      this.#demand.set(key, server, count);
      arrived(key);
      const last = asks ? this.#relay?.last(key) : undefined;
      // A last value for which there is no room is asked for again after the next interruption at the latest; a live frame may come first.
      if (!last || !bus.fits(last.frame.length)) continue;
      for (const part of encodeFrames(own, last.stamp, [last.frame], bus.maxMessage)) bus.publish(`${prefix}.last.${server}.${tokenOf(key)}`, part);
    }
    if (question) bus.publish(`${prefix}.done.${server}`, encodeInterest(own, question, []));
  }

  #value(token: string, message: Uint8Array): void {
    const read = this.#reader.read(`last ${token}`, message);
    if (!read) return;
    this.#options.clock.heard(read.stamp);
    for (const frame of read.frames) this.#relay?.refresh(keyOfToken(token), frame, read.stamp);
  }

  #done(message: Uint8Array): void {
    const { server, question } = decodeInterest(message);
    this.#questions.told(question, server);
  }

  #answered(keys: readonly string[]): void {
    for (const key of keys) {
      const joined = this.#joined.get(key);
      if (joined) joined.isAsking = false;
      this.#relay?.welcome(key);
    }
  }
}

const tail = (subject: string): string => subject.slice(subject.lastIndexOf('.') + 1);
const tokenOf = (key: string): string => Buffer.from(key, 'latin1').toString('base64url');
const keyOfToken = (token: string): string => Buffer.from(token, 'base64url').toString('latin1');
