import { setImmediate as turn } from 'node:timers/promises';
import { expect, vi } from 'vitest';
import { type CipherName, matchTopic, PubkeeperError } from '../../src/index.js';
import { createServer, type PubkeeperServer } from '../../src/server/index.js';
import { Member, moved, newReader, newWriter, overtaken, quiet, type Reader, TOKEN, type Writer } from './lives-cast.js';
import { FaultProxy } from './proxy.js';

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

/** Clients, and the server that they reach through a proxy. */
export class World {
  readonly problems: string[] = [];
  readonly members: Member[] = [];
  proxy!: FaultProxy;
  #server!: PubkeeperServer;
  #port = 0;
  #owed: Owed[] = [];
  /** Promises that have not settled. */
  readonly #pending = new Map<Promise<unknown>, string>();
  /** Patrons and brewers that are in no client, and may be added to any. */
  readonly #spare: (Reader | Writer)[] = [];
  /** Patrons and brewers that were removed since the last calm. */
  readonly #parting = new Set<Reader | Writer>();
  /** How many have moved to another client since the last calm. */
  #moves = 0;
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

  /** Ends everything, also after a step that has thrown. */
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

  /** A `connect()` that is aborted at once: if no other call waits for the connection, that ends it. */
  abort(member: Member): void {
    const aborter = new AbortController();
    this.#settles('connect', member.client.connect({ signal: aborter.signal }));
    aborter.abort();
  }

  disconnect(member: Member): void {
    this.#parts(member);
    member.wanted = false;
    this.#settles('disconnect', member.client.disconnect());
  }

  rest(member: Member): void {
    if (!member.life) return;
    this.#parts(member);
    member.troubles++;
    member.life.rest();
  }

  /** The connections of a member are closed; what they still deliver may come after messages of the next ones. */
  #parts({ writers }: Member): void {
    this.proxy.letGo();
    for (const { brewer, next } of writers) overtaken.add(brewer.brewerId, next);
  }

  read(member: Member, pattern: string): void {
    const spare = this.#takeSpare((one): one is Reader => 'patron' in one);
    const reader = spare ?? newReader(pattern, member, this.problems);
    this.#enter(reader, member);
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
    this.#part(reader);
  }

  write(member: Member, topic: string, cipher: CipherName): void {
    const spare = this.#takeSpare((one): one is Writer => 'brewer' in one);
    const writer = spare ?? newWriter(topic, cipher, member, this.problems);
    this.#enter(writer, member);
    member.writers.push(writer);
    member.client.addBrewer(writer.brewer);
  }

  stop(member: Member, which: number): void {
    const [writer] = member.writers.splice(which % (member.writers.length || 1), 1);
    if (!writer) return;
    member.client.removeBrewer(writer.brewer);
    this.#part(writer);
  }

  brew(writer: Writer, size: number): void {
    const { brewer, home } = writer;
    const number = writer.next++;
    const owed: Owed[] = [];
    if (brewer.isMatched) {
      const epoch = String(brewer.getConfig().cipher?.epoch ?? '');
      // Only the server knows whether a patron that has not heard of this session has joined by now (and waits for that, but not behind a proxy).
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

  /** All that should be connected are, all that match are matched and no others, and they hear each other. */
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
        if (this.#moves > 1) this.#retry(member);
      }
      for (const reader of readers) {
        const wanted = writers.filter((writer) => isUp(reader) && isUp(writer) && matchTopic(reader.patron.topic, writer.brewer.topic)).map(({ brewer }) => brewer.brewerId);
        const there = [...reader.patron.brewers.keys()].filter((id) => wanted.includes(id) || !reader.ghosts.has(id));
        expect([reader.patron.topic, there.sort()]).toEqual([reader.patron.topic, wanted.sort()]);
      }
      for (const writer of writers) {
        const wanted = readers.filter((reader) => isUp(reader) && isUp(writer) && matchTopic(reader.patron.topic, writer.brewer.topic)).map(({ patron }) => patron.patronId);
        const there = [...writer.brewer.patrons.keys()].filter((id) => wanted.includes(id) || !writer.ghosts.has(id));
        expect([writer.brewer.topic, there.sort()]).toEqual([writer.brewer.topic, wanted.sort()]);
      }
    }, options);
    const begun = new Map(writers.map((writer) => [writer.brewer.brewerId, writer.next]));
    await vi.waitFor(() => {
      const wanting = readers.flatMap(({ patron, numbers }) => [...patron.brewers.keys()].filter((id) => (numbers.get(id)?.last ?? -1) < begun.get(id)!));
      // Repeatedly, as a message is lost that is sent while a link comes back.
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
    this.#parting.clear();
    this.#moves = 0;
    moved.calm();
    overtaken.calm();
    for (const reader of readers) {
      // No newer message has come since from brewers that have left before.
      if (reader.home.troubles) for (const had of reader.numbers.values()) had.lacked ||= had.again;
      reader.drops = 0;
    }
    for (const member of members) member.troubles = 0;
  }

  /** Disconnects all clients and closes the server. */
  async finish(): Promise<void> {
    const { members } = this;
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
  }

  /** Messages that are owed and did not come, without a report. In sealed sessions, missing messages between others are reported as gaps. */
  #lost(): string[] {
    return this.#owed.flatMap(({ reader, heard, writer, from, to, number, epoch, accepted }) => {
      const { brewerId, topic } = writer.brewer;
      const had = heard.get(brewerId);
      const isTold = !accepted || from.troubles || to.troubles || reader.drops || heard !== reader.numbers;
      if (isTold || had?.all.has(number) || (epoch && had?.epoch === epoch && had.first < number && number < had.last)) return [];
      return `${reader.patron.topic} has not got ${number} of ${topic}`;
    });
  }

  /**
   * If two clients register ids of each other, and unregister their own only after that, each waits for the other: then both are told that
   * the id is another client's, and their applications have to try again.
   */
  #retry({ client, refused, readers, writers }: Member): void {
    for (const reader of readers) {
      const { patron, aborter } = reader;
      if (!refused.delete(patron.patronId)) continue;
      client.removePatron(patron);
      this.#anew(reader);
      client.addPatron(patron, undefined, { signal: aborter.signal });
    }
    for (const { brewer } of writers) {
      if (!refused.delete(brewer.brewerId)) continue;
      client.removeBrewer(brewer);
      client.addBrewer(brewer);
    }
    refused.clear();
  }

  /**
   * If a client adds at once what it has removed, a notification that the server sent before it heard of that may be taken for the answer.
   * Peers in it that went meanwhile are never reported as gone, as the server had no registration to report to.
   */
  #enter(one: Reader | Writer, member: Member): void {
    const away = [...this.#spare, ...this.members.filter(({ wanted }) => !wanted).flatMap(({ readers, writers }) => [...readers, ...writers])];
    const isBack = one.home === member && this.#parting.delete(one);
    if (one.home !== member) this.#moves++;
    if (one.home !== member && 'brewer' in one) moved.add(one.brewer.brewerId, one.next);
    one.ghosts = new Set(isBack ? away.map((other) => ('patron' in other ? other.patron.patronId : other.brewer.brewerId)) : []);
    one.home = member;
  }

  #part(one: Reader | Writer): void {
    this.#parting.add(one);
    this.#spare.push(one);
  }

  #reset(member: Member): void {
    member.troubles++;
    for (const one of [...member.readers, ...member.writers]) one.ghosts = new Set();
    for (const reader of member.readers) this.#anew(reader);
  }

  #anew(reader: Reader): void {
    reader.heard = new Map();
    reader.numbers = new Map();
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
