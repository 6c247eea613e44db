import { topicHash } from '../../src/core/frame.js';
import type { BrewDetails, Packet } from '../../src/core/packet.js';
import { rightsOf } from '../../src/server/auth.js';
import { Barrier } from '../../src/server/barrier.js';
import type { Match } from '../../src/server/match.js';
import { Matchmaker } from '../../src/server/matchmaker.js';
import { hashKey } from '../../src/server/relay.js';

export const OWN: BrewDetails = { name: 'websocket', hostname: 'own', port: 1 };
export const FOREIGN: BrewDetails = { name: 'websocket', hostname: 'elsewhere', port: 1 };
const keyOf = (topic: string): string => hashKey(topicHash(topic));

/** A clock that moves only when told to. */
class Clock {
  now = 0;
  readonly #timers = new Map<number, { at: number; run: () => void }>();
  #next = 1;

  after = (ms: number, run: () => void): number => {
    this.#timers.set(this.#next, { at: this.now + ms, run });
    return this.#next++;
  };

  cancel = (timer: unknown): void => void this.#timers.delete(timer as number);

  get waiting(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const next = Math.min(end, ...[...this.#timers.values()].map(({ at }) => at));
      this.pause(Math.max(0, next - this.now));
      if (this.now === end && [...this.#timers.values()].every(({ at }) => at > end)) return;
    }
  }

  /** As after a pause of the process: runs what is due by now, and nothing that this starts. */
  pause(ms: number): void {
    this.now += ms;
    for (const [id, { at, run }] of [...this.#timers]) {
      if (at > this.now || !this.#timers.delete(id)) continue;
      run();
    }
  }
}

/** A matchmaker behind a barrier, with a relay that is only numbers. Sent packets are kept as `client type ids`. */
export class Bench {
  readonly clock = new Clock();
  readonly joins = new Map<string, number>();
  readonly live = new Set<Match<string>>();
  /** PATRON_NOTIFYs that are not held any longer. */
  late = 0;
  /** PATRON_NOTIFYs that the matchmaker emitted: answers, and later matches. */
  answers = 0;
  later = 0;
  readonly sent: [client: string, packet: Packet][] = [];
  readonly barrier: Barrier<string>;
  readonly matchmaker: Matchmaker<string>;

  constructor() {
    this.barrier = new Barrier<string>({
      send: ({ client, packet }) => void this.sent.push([client, packet]),
      joined: (key) => this.joins.get(key) ?? 0,
      own: ({ brew }) => brew['hostname'] === 'own',
      late: () => this.late++,
      clock: this.clock,
    });
    this.matchmaker = new Matchmaker({
      matched: (match) => {
        this.live.add(match);
        this.barrier.matched(match);
      },
      unmatched: (match) => {
        this.live.delete(match);
        this.barrier.unmatched(match);
      },
    });
    for (const client of ['B', 'P', 'Q']) this.matchmaker.add(client, rightsOf([{ topic: '**', read: true, write: true }]));
  }

  brewer(id: string, topic: string, details = OWN, client = 'B', config = {}): void {
    this.pass(client, { type: 10, payload: { topic, brewer_id: id, brewer_config: config, brews: [details] } });
  }

  patron(id: string, pattern: string, client = 'P'): void {
    this.pass(client, { type: 20, payload: { topic: pattern, patron_id: id, brews: [{ name: 'websocket' }] } });
  }

  pass(client: string, packet: Packet): void {
    const items = this.matchmaker.receive(client, packet);
    for (const { packet: { type }, about } of items) {
      if (type !== 22) continue;
      if (about?.answer) this.answers++;
      else this.later++;
    }
    this.barrier.pass(items);
  }

  gone(client: string): void {
    this.barrier.pass(this.matchmaker.gone(client));
  }

  join(topic: string, by = 1): void {
    const key = keyOf(topic);
    this.joins.set(key, (this.joins.get(key) ?? 0) + by);
    if (by > 0) this.barrier.arrived(key);
  }

  /** The packets that were sent since the last call. */
  take(): string[] {
    return this.sent.splice(0).map(([client, { type, payload }]) => {
      if (type === 12) return `${client} +${payload.brewers.map((one) => one.brewer_id).join()}`;
      if (type === 22) return `${client} +${payload.patrons.map((one) => one.patron_id).join()}`;
      if (type === 13) return `${client} -${payload.brewer_id}`;
      if (type === 23) return `${client} -${payload.patron_id}`;
      return `${client} ${type}`;
    });
  }
}
