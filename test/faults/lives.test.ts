import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Brewer, type CipherName, type ClientState, matchTopic, Patron, PubkeeperClient, PubkeeperError } from '../../src/index.js';
import { createServer, type PubkeeperServer } from '../../src/server/index.js';
import fc from '../fast-check.js';
import { LONG, report, scale } from './kit.js';
import { FaultProxy } from './proxy.js';

// Clients whose applications do this and that in random order, while their links are cut, their pages put away and the server started
// anew. Whatever happens: states follow each other as they may, each match is told once, as is its end; every promise settles; what
// is brewed while matched comes once and in order, or somebody is told; and after `disconnect()` nothing is left.

const TOKEN = 'lives';
const TOPICS = ['a.b', 'a.c', 'x.y.z'] as const;
const PATTERNS = ['a.*', '**', 'a.b', 'x.**'] as const;
const CIPHERS = ['aes-gcm', 'aes-gcm', 'aes-cbc', 'none'] as const;
const GRACE = 400;
const NEXT: Record<ClientState, readonly ClientState[]> = {
  disconnected: ['connecting'],
  connecting: ['connected', 'disconnected'],
  connected: ['reconnecting', 'disconnected'],
  reconnecting: ['connected', 'disconnected'],
};
const quiet = { warn: () => undefined, error: () => undefined };

/** Timers that are running, whoever has set them. Vitest keeps the true functions for itself. */
const timers = new Set<unknown>();
beforeAll(() => {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  vi.stubGlobal('setTimeout', (run: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) => {
    const timer = set(() => {
      timers.delete(timer);
      run(...args);
    }, ms);
    timers.add(timer);
    return timer;
  });
  vi.stubGlobal('clearTimeout', (timer: Parameters<typeof clear>[0]) => {
    timers.delete(timer);
    clear(timer);
  });
});
afterAll(() => vi.unstubAllGlobals());

/** Tells of each thing that begins or ends although it has already. */
function alternating(name: string, problems: string[]) {
  const there = new Set<string>();
  return {
    begins: (id: string) => void (there.has(id) ? problems.push(`${name}: ${id} begins twice`) : there.add(id)),
    ends: (id: string) => void (there.delete(id) || problems.push(`${name}: ${id} ends, and was not there`)),
    there,
  };
}

/** What came of one session of a brewer. */
interface Heard {
  readonly sequences: Set<number>;
  missing: number;
}

interface Reader {
  readonly patron: Patron;
  readonly pairs: ReturnType<typeof alternating>;
  /** By brewer and epoch. */
  heard: Map<string, Heard>;
  /** By brewer: its numbers, the last of them, and its epoch. */
  numbers: Map<string, { readonly all: Set<number>; last: number; epoch: string; again: boolean }>;
  drops: number;
  aborter: AbortController;
  home: Member;
}

interface Writer {
  readonly brewer: Brewer;
  readonly pairs: ReturnType<typeof alternating>;
  next: number;
  home: Member;
}

/** A message that was brewed while its brewer knew that patron. */
interface Owed {
  readonly reader: Reader;
  readonly heard: Reader['numbers'];
  readonly writer: Writer;
  readonly from: Member;
  readonly to: Member;
  readonly number: number;
  readonly epoch: string;
  accepted: boolean | undefined;
}

class Member {
  readonly client: PubkeeperClient;
  readonly readers: Reader[] = [];
  readonly writers: Writer[] = [];
  /** What has been told of the link to the relay, and what else makes data go astray, since all was calm. */
  troubles = 0;
  wanted = true;
  life: { readonly wake: () => void; readonly rest: () => void } | undefined;

  /** @param path by which the proxy knows its control connection; those to the relay have none */
  constructor(
    readonly path: string,
    port: number,
    problems: string[],
    onReset: (member: Member) => void,
  ) {
    const server = `ws://127.0.0.1:${port}${path}`;
    this.client = new PubkeeperClient({
      server,
      token: async () => TOKEN,
      reconnect: { delayMs: 10, maxDelayMs: 40, stableMs: 100, graceMs: GRACE },
      logger: quiet,
      lifecycle: (wake, rest) => {
        if (this.life) problems.push('lifecycle was bound twice');
        this.life = { wake, rest };
        return () => (this.life = undefined);
      },
    });
    let state: ClientState = this.client.state;
    this.client.on('state', (next) => {
      if (!NEXT[state].includes(next)) problems.push(`${state} was followed by ${next}`);
      state = next;
      if (next === 'disconnected') onReset(this);
    });
    this.client.on('error', (error) => {
      if (!(error instanceof PubkeeperError) || ['CALLBACK_FAILED', 'PROTOCOL_ERROR', 'PACKET_INVALID', 'KEY_INVALID'].includes(error.code)) problems.push(String(error));
      if (error.details['url'] !== server) this.troubles++;
    });
  }
}

class World {
  readonly problems: string[] = [];
  readonly members: Member[] = [];
  delivered = 0;
  proxy!: FaultProxy;
  #server!: PubkeeperServer;
  #port = 0;
  #owed: Owed[] = [];
  /** Promises that have not settled. */
  readonly #pending = new Map<Promise<unknown>, string>();
  /** Out of their client, and may come back in any. */
  readonly #spare: (Reader | Writer)[] = [];
  readonly #profile: 'open' | 'secured';

  constructor(profile: 'open' | 'secured') {
    this.#profile = profile;
  }

  async start(members: number): Promise<void> {
    this.#server = await this.#serve();
    this.#port = this.#server.port;
    this.proxy = await FaultProxy.listen(() => this.#port);
    for (let i = 0; i < members; i++) this.members.push(new Member(`/ws?${i}`, this.proxy.port, this.problems, (member) => this.#reset(member)));
    for (const member of this.members) this.connect(member);
  }

  /** For when a step has thrown. */
  async end(): Promise<void> {
    await Promise.all(this.members.map(({ client }) => client.disconnect()));
    await Promise.all([this.#server.close(), this.proxy.close()]);
  }

  #serve(): Promise<PubkeeperServer> {
    const tokens = { [TOKEN]: [{ topic: '**', read: true, write: true }] };
    return createServer({ port: this.#port, profile: this.#profile, tokens, heartbeatMs: 1000, logger: quiet });
  }

  async restart(): Promise<void> {
    await this.#server.close();
    for (let turns = 0; turns < 20; turns++) await turn();
    this.#server = await this.#serve();
  }

  connect(member: Member, signal?: AbortSignal): void {
    member.wanted = true;
    this.#settles('connect', member.client.connect({ signal }));
  }

  /** A `connect()` that is given up at once: where nobody else waits for it, it ends what it began. */
  abort(member: Member): void {
    const aborter = new AbortController();
    this.#settles('connect', member.client.connect({ signal: aborter.signal }));
    aborter.abort();
  }

  disconnect(member: Member): void {
    member.wanted = false;
    this.#settles('disconnect', member.client.disconnect());
  }

  rest(member: Member): void {
    if (!member.life) return;
    member.troubles++;
    member.life.rest();
  }

  read(member: Member, pattern: string): void {
    const spare = this.#takeSpare((one): one is Reader => 'patron' in one);
    const reader = spare ?? this.#newReader(pattern, member);
    reader.home = member;
    reader.aborter = new AbortController();
    member.readers.push(reader);
    member.client.addPatron(reader.patron, undefined, { signal: reader.aborter.signal });
  }

  leave(member: Member, which: number, aborts: boolean): void {
    const [reader] = member.readers.splice(which % (member.readers.length || 1), 1);
    if (!reader) return;
    if (aborts) reader.aborter.abort();
    else member.client.removePatron(reader.patron);
    this.#anew(reader);
    this.#spare.push(reader);
  }

  write(member: Member, topic: string, cipher: CipherName): void {
    const spare = this.#takeSpare((one): one is Writer => 'brewer' in one);
    const writer = spare ?? this.#newWriter(topic, cipher, member);
    writer.home = member;
    member.writers.push(writer);
    member.client.addBrewer(writer.brewer);
  }

  stop(member: Member, which: number): void {
    const [writer] = member.writers.splice(which % (member.writers.length || 1), 1);
    if (!writer) return;
    member.client.removeBrewer(writer.brewer);
    this.#spare.push(writer);
  }

  brew(writer: Writer, size: number): void {
    const { brewer, home } = writer;
    const number = writer.next++;
    const owed: Owed[] = [];
    if (brewer.isMatched) {
      const epoch = String(brewer.getConfig().cipher?.epoch ?? '');
      // Only the server knows whether who has not heard of this session yet has joined by now (and waits for that, but not behind a proxy).
      const readers = this.members.flatMap((member) => member.readers).filter(({ patron, numbers }) => {
        const had = numbers.get(brewer.brewerId);
        return brewer.patrons.has(patron.patronId) && had?.epoch === epoch && !had.again;
      });
      owed.push(...readers.map((reader) => ({ reader, heard: reader.numbers, writer, from: home, to: reader.home, number, epoch, accepted: undefined })));
      this.#owed.push(...owed);
      const accepted = brewer.brewJSON({ number, epoch, pad: 'x'.repeat(size) });
      const mark = (yes: boolean) => (): void => owed.forEach((one) => (one.accepted = yes));
      accepted.then(mark(true), mark(false));
      this.#settles('brew', accepted);
    } else this.#settles('brew', brewer.brewJSON({ number, epoch: '', pad: '' }));
  }

  /** All that should be connected are, all that match are matched and nobody else is, and they hear each other. */
  async calm(): Promise<void> {
    const { members, problems } = this;
    const options = { timeout: 30_000, interval: 10 };
    const writers = members.flatMap((member) => member.writers);
    const readers = members.flatMap((member) => member.readers);
    const isUp = ({ home }: Reader | Writer): boolean => home.wanted;
    this.proxy.refuses = () => false;
    for (const { life } of members) life?.wake();
    await vi.waitFor(() => {
      for (const member of members) {
        if (member.wanted && member.client.state === 'disconnected') this.connect(member);
        expect(member.client.state).toBe(member.wanted ? 'connected' : 'disconnected');
      }
      for (const reader of readers) {
        const wanted = writers.filter((writer) => isUp(reader) && isUp(writer) && matchTopic(reader.patron.topic, writer.brewer.topic)).map(({ brewer }) => brewer.brewerId);
        expect([reader.patron.topic, [...reader.patron.brewers.keys()].sort()]).toEqual([reader.patron.topic, wanted.sort()]);
      }
      for (const writer of writers) {
        const wanted = readers.filter((reader) => isUp(reader) && isUp(writer) && matchTopic(reader.patron.topic, writer.brewer.topic)).map(({ patron }) => patron.patronId);
        expect([writer.brewer.topic, [...writer.brewer.patrons.keys()].sort()]).toEqual([writer.brewer.topic, wanted.sort()]);
      }
    }, options);
    const begun = new Map(writers.map((writer) => [writer.brewer.brewerId, writer.next]));
    await vi.waitFor(() => {
      const wanting = readers.flatMap(({ patron, numbers }) => [...patron.brewers.keys()].filter((id) => (numbers.get(id)?.last ?? -1) < begun.get(id)!));
      // Again, since what leaves while a link is coming back is lost.
      for (const writer of writers) if (wanting.includes(writer.brewer.brewerId)) this.brew(writer, 10);
      expect(wanting).toEqual([]);
    }, options);
    await vi.waitFor(() => {
      expect([...this.#pending.values()]).toEqual([]);
      expect(this.#lost()).toEqual([]);
    }, options);
    for (const { patron, pairs, heard } of readers) {
      expect([...pairs.there].sort()).toEqual([...patron.brewers.keys()].sort());
      for (const { sequences, missing } of heard.values()) {
        const [first, last] = [Math.min(...sequences), Math.max(...sequences)];
        if (last - first + 1 !== sequences.size + missing) problems.push(`of ${first} to ${last} came ${sequences.size}, and ${missing} were told to be missing`);
      }
    }
    for (const { brewer, pairs } of writers) expect([...pairs.there].sort()).toEqual([...brewer.patrons.keys()].sort());
    expect(problems).toEqual([]);
    this.#owed = [];
    for (const member of members) member.troubles = 0;
    for (const reader of readers) reader.drops = 0;
  }

  /** All applications end, and the server does. */
  async finish(): Promise<void> {
    const { members, problems } = this;
    await Promise.all(members.map(({ client }) => client.disconnect()));
    await vi.waitFor(() => {
      expect([...this.#pending.values()]).toEqual([]);
      expect(this.proxy.connections).toBe(0);
    });
    for (const { client, life, readers, writers } of members) {
      expect([client.state, life]).toEqual(['disconnected', undefined]);
      for (const { patron, pairs } of readers) expect([patron.isMatched, [...pairs.there]]).toEqual([false, []]);
      for (const { brewer, pairs } of writers) expect([brewer.isMatched, [...pairs.there]]).toEqual([false, []]);
    }
    await this.end();
    // A brewer that was removed is looked after by its patrons twice more.
    await vi.waitFor(() => expect(timers.size).toBe(0), { timeout: 5000 });
    expect(problems).toEqual([]);
  }

  /** What is owed and has not come, although nothing was told. What is amidst that which came is told by gaps, where they are numbered. */
  #lost(): string[] {
    return this.#owed.flatMap(({ reader, heard, writer, from, to, number, epoch, accepted }) => {
      const { brewerId, topic } = writer.brewer;
      const had = heard.get(brewerId);
      const isTold = !accepted || from.troubles || to.troubles || reader.drops || heard !== reader.numbers;
      if (isTold || had?.all.has(number) || (epoch && had?.epoch === epoch && Math.min(...had.all) < number && number < had.last)) return [];
      return `${reader.patron.topic} has not got ${number} of ${topic}`;
    });
  }

  #reset(member: Member): void {
    member.troubles++;
    for (const reader of member.readers) this.#anew(reader);
  }

  #anew(reader: Reader): void {
    reader.heard = new Map();
    reader.numbers = new Map();
  }

  #newReader(pattern: string, home: Member): Reader {
    const { problems } = this;
    const patron = new Patron(pattern, (_, message) => {
      const { number, epoch, pad } = message.json() as { number: number; epoch: string; pad: string };
      const { brewerId: id, topic, sequence, retained } = message;
      const what = `${pattern}: ${number} of ${topic}`;
      this.delivered++;
      if (!matchTopic(pattern, topic) || !reader.pairs.there.has(id)) problems.push(`${what} came, and is not matched`);
      if (pad !== 'x'.repeat(pad.length) || (sequence === undefined) !== !epoch) problems.push(`${what} came otherwise than it was brewed`);
      const had = reader.numbers.get(id) ?? { all: new Set<number>(), last: -1, epoch, again: false };
      reader.numbers.set(id, had);
      // Ciphers that number nothing cannot tell a last value that comes once more when their brewer does.
      if (number <= had.last && !(retained && !epoch && had.again && number === had.last)) problems.push(`${what} came after ${had.last}`);
      if (had.epoch !== epoch) had.all.clear();
      had.all.add(number);
      had.last = number;
      had.epoch = epoch;
      had.again = false;
      if (sequence === undefined) return;
      const heard = reader.heard.get(id + epoch) ?? { sequences: new Set(), missing: 0 };
      reader.heard.set(id + epoch, heard);
      heard.missing += gap;
      gap = 0;
      heard.sequences.add(sequence);
    });
    // It is told right before the message that shows it.
    let gap = 0;
    const reader: Reader = { patron, home, pairs: alternating(pattern, problems), heard: new Map(), numbers: new Map(), drops: 0, aborter: new AbortController() };
    patron.on('gap', ({ missing }) => (gap = missing));
    patron.on('dropped', ({ reason, count }) => (reader.drops += reason === 'replayed' ? 0 : count));
    patron.on('added', ({ brewerId }) => reader.pairs.begins(brewerId));
    patron.on('removed', ({ brewerId }) => {
      reader.pairs.ends(brewerId);
      const had = reader.numbers.get(brewerId);
      if (had) had.again = true;
    });
    return reader;
  }

  #newWriter(topic: string, cipher: CipherName, home: Member): Writer {
    const { problems } = this;
    const brewer = new Brewer(topic, { cipher });
    const [pairs, match] = [alternating(topic, problems), alternating(`${topic} is matched`, problems)];
    brewer.on('added', ({ patronId }) => pairs.begins(patronId));
    brewer.on('removed', ({ patronId }) => pairs.ends(patronId));
    brewer.on('matched', () => match.begins(topic));
    brewer.on('unmatched', () => match.ends(topic));
    brewer.on('error', () => undefined);
    return { brewer, home, pairs, next: 0 };
  }

  #takeSpare<T extends Reader | Writer>(isMeant: (one: Reader | Writer) => one is T): T | undefined {
    const one = this.#spare.find(isMeant);
    if (one) this.#spare.splice(this.#spare.indexOf(one), 1);
    return one;
  }

  #settles(what: string, promise: Promise<unknown>): void {
    this.#pending.set(promise, what);
    const settled = (error?: unknown): void => {
      this.#pending.delete(promise);
      if (error && !(error instanceof PubkeeperError)) this.problems.push(`${what}: ${String(error)}`);
    };
    promise.then(() => settled(), settled);
  }
}

/** What happens: plain data, so that a failure shows it. The first number is the member that does it. */
const at = fc.nat(1);
const steps = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('read' as const), at, fc.constantFrom(...PATTERNS)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('leave' as const), at, fc.nat(3), fc.boolean()) },
  { weight: 6, arbitrary: fc.tuple(fc.constant('write' as const), at, fc.constantFrom(...TOPICS), fc.constantFrom(...CIPHERS)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('stop' as const), at, fc.nat(3)) },
  { weight: 12, arbitrary: fc.tuple(fc.constant('brew' as const), at, fc.nat(3), fc.integer({ min: 1, max: 30 }), fc.constantFrom(10, 10, 10, 3000, 70_000)) },
  { weight: 3, arbitrary: fc.tuple(fc.constantFrom('cut control', 'cut relay', 'cut all', 'refuse', 'rest', 'wake', 'disconnect', 'connect', 'abort'), at) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('restart' as const), at) },
  { weight: 10, arbitrary: fc.tuple(fc.constant('turns' as const), at, fc.integer({ min: 1, max: 200 })) },
  { weight: 4, arbitrary: fc.tuple(fc.constant('calm' as const), at) },
);
type Step = typeof steps extends fc.Arbitrary<infer T> ? T : never;

async function take(world: World, step: Step): Promise<void> {
  const member = world.members[step[1]]!;
  switch (step[0]) {
    case 'read': return world.read(member, step[2]);
    case 'leave': return world.leave(member, step[2], step[3]);
    case 'write': return world.write(member, step[2], step[3]);
    case 'stop': return world.stop(member, step[2]);
    case 'brew': {
      const writer = member.writers[step[2] % (member.writers.length || 1)];
      for (let count = step[3]; writer && count > 0; count--) world.brew(writer, step[4]);
      return;
    }
    case 'cut control': return world.proxy.reset((path) => path === member.path);
    case 'cut relay': {
      let index = 0;
      return world.proxy.reset((path) => !world.members.some((one) => one.path === path) && index++ % 2 === step[1]);
    }
    case 'cut all': return world.proxy.reset();
    case 'refuse': {
      world.proxy.refuses = (path) => path === member.path;
      return world.proxy.reset(world.proxy.refuses);
    }
    case 'rest': return world.rest(member);
    case 'wake': return member.life?.wake();
    case 'disconnect': return world.disconnect(member);
    case 'connect': return world.connect(member);
    case 'abort': return world.abort(member);
    case 'restart': return world.restart();
    case 'turns': {
      for (let turns = step[2]; turns > 0; turns--) await turn();
      return;
    }
    case 'calm': return world.calm();
  }
}

it.each(['open', 'secured'] as const)('lives of random steps, profile %s', async (profile) => {
  let delivered = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 20, maxLength: 60 }), async (list) => {
      const world = new World(profile);
      try {
        await world.start(2);
        for (const step of list) await take(world, step);
        await world.calm();
        await world.finish();
      } finally {
        await world.end();
      }
      delivered += world.delivered;
    }),
    // With real sockets a failure is not the same each time: what is shorter proves nothing.
    { numRuns: scale(6, 300), endOnFailure: true },
  );
  report(`lives, ${profile}`, { delivered });
  expect(delivered).toBeGreaterThan(0);
}, LONG ? 1_800_000 : 60_000);
