import { randomBytes } from 'node:crypto';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { PubkeeperClient, WebSocketBrew } from '../../src/index.js';
import { RelayPacketType } from '../../src/core/relay.js';
import { Tickets, type Grant } from '../../src/server/tickets.js';
import { FaultProxy } from '../faults/proxy.js';
import { connect, joinRelay, later, start, until } from './harness.js';
import { RawControl, encodeFrame, encodeRelay, newId, sha256 } from './raw-client.js';

const JOIN_HASH = sha256('a');
const ID = randomBytes(16);
const JOIN = { operation: 'join', topicHash: JOIN_HASH } as const;
const PUBLISH = { operation: 'publish', topicHash: JOIN_HASH, brewerId: ID } as const;

describe('a secured relay', () => {
  it('is the default beyond loopback', async () => {
    const tokens = { t: [{ topic: '**', read: true, write: true }] };
    const server = await start({ host: '0.0.0.0', tokens });
    const relay = await joinRelay(server);
    relay.join('a');
    await relay.settled();
    expect(server.stats()).toMatchObject({ topics: 0, drops: { 'no-ticket': 1 } });
  });

  it('serves clients of this SDK, and renews their tickets without a gap', async () => {
    // A ticket holds for a second at least, and a busy machine may halt as long: so the test moves the clock.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date', 'performance'] });
    later(async () => void vi.useRealTimers());
    const server = await start({ profile: 'secured', ticketSeconds: 1 });
    const clients = [0, 1].map(() => new PubkeeperClient({ server: server.url, token: server.token! }));
    const [reader, writer] = clients as [PubkeeperClient, PubkeeperClient];
    for (const client of clients) later(() => client.disconnect());
    let gaps = 0;
    let changes = 0;
    const seen: number[] = [];
    const patron = reader.addPatron('plant.*', (_data, message) => void seen.push(message.json() as number));
    patron.on('gap', () => void gaps++);
    patron.on('removed', () => void changes++);
    const brewer = writer.addBrewer('plant.1');
    brewer.on('removed', () => void changes++);
    await Promise.all(clients.map((client) => client.connect()));
    await until(() => brewer.isMatched && patron.isMatched);
    let sent = 0;
    const deliver = async (): Promise<void> => {
      await brewer.brewJSON(sent++);
      await until(() => seen.length >= sent || Object.keys(server.stats().drops).length > 0);
    };
    // For three times the life of a ticket.
    for (let ms = 0; ms < 6_400 && seen.length === sent; ms += 5) {
      vi.advanceTimersByTime(5);
      await deliver();
    }
    expect(server.stats().drops).toEqual({});
    expect(seen).toEqual(Array.from({ length: sent }, (_value, index) => index));
    expect([gaps, changes]).toEqual([0, 0]);
  });

  it('renews the tickets of many pairs spread over time, and each before it expires', async () => {
    // The test moves the clock: on a busy machine, matching them all takes as long as the tickets hold.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const server = await start({ profile: 'secured', ticketSeconds: 2 });
    const [b, p] = [await connect(server), await connect(server)];
    const brews = [{ name: 'websocket', hostname: '127.0.0.1', port: server.port, secure: false }];
    b.send(10, { topic: 'a', brewer_id: newId(), brewer_config: {}, brews });
    await b.expect(22);
    const patrons = 200;
    for (let i = 0; i < patrons; i++) p.send(20, { topic: 'a', patron_id: newId(), brews: [{ name: 'websocket' }] });
    for (let i = 0; i < patrons; i++) await p.expect(12);
    let renewed = 0;
    p.socket.on('message', () => renewed++);
    /** How many tickets are renewed in so many ms. */
    const pass = async (ms: number): Promise<number> => {
      const before = renewed;
      vi.advanceTimersByTime(ms);
      await p.settled();
      return renewed - before;
    };
    // From half of their life on, over a quarter of it, in many steps.
    expect(await pass(999)).toBe(0);
    const steps: number[] = [];
    for (let ms = 0; ms < 520; ms += 20) steps.push(await pass(20));
    expect(steps.filter((count) => count > 0).length).toBeGreaterThan(10);
    expect(renewed).toBe(patrons);
  });

  it('gives tickets for its own relay only: to join for patrons, and to publish for brewers', async () => {
    const keys = [randomBytes(32)];
    const server = await start({ profile: 'secured', ticketKeys: keys });
    const [b, p] = [await connect(server), await connect(server)];
    const granted = ({ ticket }: { ticket?: string }, grant: Grant): boolean => new Tickets(keys).check(Buffer.from(ticket ?? '', 'hex'), grant, Date.now() / 1000) !== undefined;
    const own = { name: 'websocket', hostname: '127.0.0.1', port: server.port, secure: false };
    for (const [brew, given] of [[own, true], [{ ...own, port: 1 }, false]] as const) {
      const [brewer_id, patron_id] = [newId(), newId()];
      b.send(10, { topic: 'a', brewer_id, brewer_config: {}, brews: [brew] });
      await b.expect(22);
      p.send(20, { topic: 'a', patron_id, brews: [{ name: 'websocket' }] });
      const { brewers } = (await p.expect(12)) as { brewers: { brewer_id: string; brew: { ticket?: string } }[] };
      const { patrons } = (await b.expect(22)) as { patrons: { brew: { ticket?: string } }[] };
      const [reader, writer] = [brewers.find((info) => info.brewer_id === brewer_id)!.brew, patrons[0]!.brew];
      const publish = { ...PUBLISH, brewerId: Buffer.from(brewer_id, 'hex') };
      expect([granted(reader, JOIN), granted(reader, publish), granted(writer, publish), granted(writer, JOIN)]).toEqual([given, false, given, false]);
      expect(['ticket' in reader, 'ticket' in writer]).toEqual([given, given]);
      p.send(21, { topic: 'a', patron_id });
      expect(await b.expect(23)).toMatchObject({ brewer_id, patron_id });
      b.send(11, { topic: 'a', brewer_id });
    }
  });

  it.each([
    ['the bytes', (ticket: string) => Buffer.from(ticket, 'hex'), true],
    ['the text of NOTIFY', (ticket: string) => Buffer.from(ticket), true],
    ['that text in upper case', (ticket: string) => Buffer.from(ticket.toUpperCase()), true],
    ['a text that goes on', (ticket: string) => Buffer.from(`${ticket}00`), false],
    ['a text whose last digit is none', (ticket: string) => Buffer.from(`${ticket.slice(0, -1)}g`), false],
    ['a text of another ticket', (ticket: string) => Buffer.from(`${ticket.slice(0, -1)}${ticket.endsWith('0') ? '1' : '0'}`), false],
  ])('reads or refuses tickets given as %s', async (_form, read, isGood) => {
    const server = await start({ profile: 'secured' });
    const [b, p] = [await connect(server), await connect(server)];
    const [reader, writer] = [await joinRelay(server), await joinRelay(server)];
    const [brewer_id, brews] = [newId(), [{ name: 'websocket', hostname: '127.0.0.1', port: server.port, secure: false }]];
    b.send(10, { topic: 'a', brewer_id, brewer_config: {}, brews });
    await b.expect(22);
    p.send(20, { topic: 'a', patron_id: newId(), brews: [{ name: 'websocket' }] });
    const { brewers } = (await p.expect(12)) as { brewers: { brew: { ticket: string } }[] };
    const { patrons } = (await b.expect(22)) as { patrons: { brew: { ticket: string } }[] };
    writer.socket.send(encodeRelay(RelayPacketType.GRANT, 'a', read(patrons[0]!.brew.ticket)));
    writer.publish('a', brewer_id, 'hello');
    await until(() => server.stats().published + (server.stats().drops['no-ticket'] ?? 0) >= (isGood ? 1 : 2));
    reader.socket.send(encodeRelay(RelayPacketType.JOIN, 'a', read(brewers[0]!.brew.ticket)));
    if (isGood) expect(await reader.text()).toBe('hello');
    else await until(() => server.stats().drops['no-ticket'] === 3);
    expect(server.stats().drops['no-ticket'] ?? 0).toBe(isGood ? 0 : 3);
  });

  it('gives tickets for the relay at the address by which the brewer reaches the server, whatever that is', async () => {
    const server = await start({ profile: 'secured' });
    const brewer = await RawControl.open(server.url, '1.1', { headers: { host: 'relay.example' } });
    await brewer.authenticate(server.token!);
    for (const [port, given] of [[80, true], [81, false]] as const) {
      const [reader, topic] = [await connect(server), newId()];
      reader.send(20, { topic, patron_id: newId(), brews: [{ name: 'websocket' }] });
      await reader.expect(12);
      brewer.send(10, { topic, brewer_id: newId(), brewer_config: {}, brews: [{ name: 'websocket', hostname: 'relay.example', port, secure: false }] });
      const { brewers } = (await reader.expect(12)) as { brewers: { brew: object }[] };
      expect('ticket' in brewers[0]!.brew).toBe(given);
    }
  });

  it('gives new tickets to everybody when the ticket key is replaced', async () => {
    const [old, next] = [randomBytes(32), randomBytes(32)];
    // Without the new key, renewals would come in two minutes.
    const server = await start({ profile: 'secured', ticketKeys: [old], ticketSeconds: 240 });
    const [b, p] = [await connect(server), await connect(server)];
    b.send(10, { topic: 'a', brewer_id: ID.toString('hex'), brewer_config: {}, brews: [{ name: 'websocket', hostname: '127.0.0.1', port: server.port, secure: false }] });
    await b.expect(22);
    const signedBy = async (): Promise<unknown[]> => {
      const { brewers } = (await p.expect(12)) as { brewers: { brew: { ticket: string } }[] };
      const { patrons } = (await b.expect(22)) as { patrons: { brew: { ticket: string } }[] };
      const is = (key: Uint8Array, ticket: string, grant: Grant): boolean => new Tickets([key]).check(Buffer.from(ticket, 'hex'), grant, Date.now() / 1000) !== undefined;
      return [old, next].map((key) => [is(key, brewers[0]!.brew.ticket, JOIN), is(key, patrons[0]!.brew.ticket, PUBLISH)]);
    };
    p.send(20, { topic: 'a', patron_id: newId(), brews: [{ name: 'websocket' }] });
    expect(await signedBy()).toEqual([[true, true], [false, false]]);
    server.reload({ ticketKeys: [next, old] });
    expect(await signedBy()).toEqual([[false, false], [true, true]]);
  });

  it('tells a brewer nothing of a patron that has not joined when it renews tickets', async () => {
    const server = await start({ profile: 'secured', ticketSeconds: 1, holdMs: 60_000 });
    const [b, p] = [await connect(server), await connect(server)];
    b.send(10, { topic: 'a', brewer_id: newId(), brewer_config: {}, brews: [{ name: 'websocket', hostname: '127.0.0.1', port: server.port, secure: false }] });
    await b.expect(22);
    p.send(20, { topic: 'a', patron_id: newId(), brews: [{ name: 'websocket' }] });
    // The answer and two renewals; between these the brewer's tickets were due.
    for (let i = 0; i < 3; i++) await p.expect(12);
    await b.settled();
    expect(b.inbox.waiting).toEqual([]);
    expect(server.stats()).toMatchObject({ heldNotifications: 1, drops: {} });
  });

  it.each([true, false])('gives tickets behind a mapped port if relayAddresses names its address, and else warns once (named: %s)', async (isTold) => {
    let relay = '';
    const mapped = await FaultProxy.listen(() => Number(new URL(relay).port));
    const warnings: unknown[] = [];
    const logger = { warn: (sentence: unknown) => void warnings.push(sentence), error: () => undefined };
    const relayAddresses = isTold ? [`127.0.0.1:${mapped.port}`] : [];
    const server = await start({ profile: 'secured', relayPort: 0, relayAddresses, logger });
    relay = server.relayUrl;
    const clients = [0, 1].map(() => {
      const brews = [new WebSocketBrew({ hostname: '127.0.0.1', port: mapped.port, secure: false })];
      return new PubkeeperClient({ server: server.url, token: server.token!, brews });
    });
    const heard: string[] = [];
    const patrons = ['a', 'b'].map((topic) => clients[0]!.addPatron(topic, (_data, message) => void heard.push(message.text())));
    const brewers = ['a', 'b'].map((topic) => clients[1]!.addBrewer(topic));
    await Promise.all(clients.map((client) => client.connect()));
    await until(() => [...brewers, ...patrons].every(({ isMatched }) => isMatched));
    for (const brewer of brewers) await brewer.brewText(brewer.topic);
    await until(() => heard.length === 2 || Number(server.stats().drops['no-ticket']) >= 2);
    expect(heard).toEqual(isTold ? ['a', 'b'] : []);
    const told = expect.stringMatching(`names the relay "127.0.0.1:${mapped.port}", for which.* pass on Host.*--relay-address`) as unknown;
    const refused = expect.stringMatching(/^A relay connection from .* was refused a topic, because it has shown no ticket\./) as unknown;
    expect(warnings).toEqual(isTold ? [] : [told, refused]);
    await Promise.all(clients.map((client) => client.disconnect()));
    await mapped.close();
  });

  it('delivers, keeps and remembers nothing of 10,000 JOINs, GRANTs, PUBLISHes and spoofed ids without a ticket', async () => {
    const server = await start({ profile: 'secured' });
    const { port } = server;
    const [b, p] = [await connect(server), await connect(server)];
    const brewer_id = newId();
    b.send(10, { topic: 'a', brewer_id, brewer_config: {}, brews: [{ name: 'websocket', hostname: '127.0.0.1', port }] });
    await b.expect(22);
    p.send(20, { topic: 'a', patron_id: newId(), brews: [{ name: 'websocket' }] });
    const { brewers } = (await p.expect(12)) as { brewers: { brew: { ticket: string } }[] };
    const { patrons } = (await b.expect(22)) as { patrons: { brew: { ticket: string } }[] };
    const [join, grant] = [Buffer.from(brewers[0]!.brew.ticket, 'hex'), Buffer.from(patrons[0]!.brew.ticket, 'hex')];

    const [reader, attacker, writer] = [await joinRelay(server), await joinRelay(server), await joinRelay(server)];
    reader.socket.send(encodeRelay(0, 'a', join));
    await reader.settled();
    // The attacker has a grant, and misuses it for the id of another brewer.
    attacker.socket.send(encodeRelay(4, 'a', grant));
    for (let i = 0; i < 2500; i++) {
      attacker.socket.send(encodeRelay(0, `t.${i}`, i % 2 ? join : randomBytes(88)));
      attacker.socket.send(encodeRelay(4, `t.${i}`, i % 2 ? grant : randomBytes(88)));
      attacker.publish(`t.${i}`, brewer_id, 'forged');
      attacker.publish('a', newId(), 'spoofed');
    }
    await attacker.settled();
    expect(server.stats()).toMatchObject({ topics: 1, retained: 0, published: 0, delivered: 0, drops: { 'no-ticket': 10_000 } });
    expect(attacker.inbox.waiting).toEqual([]);

    writer.publish('a', brewer_id, 'too early');
    writer.socket.send(encodeRelay(4, 'a', grant));
    writer.socket.send(encodeRelay(2, 'a', encodeFrame('a', brewer_id, 'genuine')));
    expect(await reader.text()).toBe('genuine');
    expect(server.stats()).toMatchObject({ published: 1, delivered: 1, drops: { 'no-ticket': 10_001 } });
  }, 20_000);

  it.each([
    ['a JOIN without a ticket', 0, () => Buffer.alloc(0), /was refused a topic, because it has shown no ticket\. Clients of the abandoned SDK .*--profile/],
    ['a JOIN with a ticket of another server', 0, () => new Tickets().issue(JOIN, Date.now() / 1000 + 60), /has shown a ticket that is not valid here.*--ticket-key-file/],
    ['a GRANT with a ticket of another server', 4, () => new Tickets().issue(PUBLISH, Date.now() / 1000 + 60), /has shown a ticket that is not valid here.*--ticket-key-file/],
    ['a PUBLISH without a GRANT', 2, () => encodeFrame('a', newId(), 'x'), /has published for a brewer for which it has shown no valid ticket.*--profile/],
  ] as const)('tells the log of %s, once per connection', async (_what, type, payload, told) => {
    const warnings: unknown[] = [];
    const server = await start({ profile: 'secured', logger: { warn: (sentence: unknown) => void warnings.push(sentence), error: () => undefined } });
    for (let connections = 1; connections <= 2; connections++) {
      const relay = await joinRelay(server);
      for (let i = 0; i < 3; i++) relay.socket.send(encodeRelay(type, 'a', payload()));
      await relay.settled();
      expect(server.stats().drops).toEqual({ 'no-ticket': 3 * connections });
      expect(warnings).toEqual(Array.from({ length: connections }, () => expect.stringMatching(/^A relay connection from .*127\.0\.0\.1 /) as unknown));
    }
    expect(warnings[0]).toMatch(told);
  });

  it('does not call a ticket invalid when too many topics are joined', async () => {
    const keys = [randomBytes(32)];
    const told: unknown[] = [];
    const logger = { warn: (text: unknown) => void told.push(text), error: () => undefined };
    const server = await start({ profile: 'secured', ticketKeys: keys, limits: { joinedTopics: 1 }, logger });
    const relay = await joinRelay(server);
    const expires = Math.floor(Date.now() / 1000) + 60;
    for (const topic of ['a', 'b', 'a']) {
      relay.socket.send(encodeRelay(0, topic, new Tickets(keys).issue({ operation: 'join', topicHash: sha256(topic) }, expires)));
    }
    await relay.settled();
    expect(server.stats()).toMatchObject({ topics: 1, drops: { 'joined-topics': 1 } });
    expect(server.stats().drops).not.toHaveProperty('no-ticket');
    expect(told).toEqual([expect.stringContaining('has joined 1 topics')]);
  });

  it('grants publishing to as many brewers as a connection may register, and replaces the oldest grant, whatever joinedTopics is', async () => {
    const keys = [randomBytes(32)];
    const server = await start({ profile: 'secured', ticketKeys: keys, limits: { joinedTopics: 1, registrations: 3 } });
    const relay = await joinRelay(server);
    const expires = Math.floor(Date.now() / 1000) + 60;
    const ids = Array.from({ length: 5 }, newId);
    // The first grant is renewed, so that it is not the oldest.
    for (const id of [ids[0]!, ids[1]!, ids[2]!, ids[0]!, ids[3]!, ids[4]!]) {
      const grant = { operation: 'publish', topicHash: JOIN_HASH, brewerId: Buffer.from(id, 'hex') } as const;
      relay.socket.send(encodeRelay(4, 'a', new Tickets(keys).issue(grant, expires)));
      relay.publish('a', id, 'x');
    }
    relay.publish('a', ids[0]!, 'x');
    relay.publish('a', ids[1]!, 'x');
    await relay.settled();
    expect(server.stats()).toMatchObject({ published: 7, drops: { 'no-ticket': 1 } });
  });

  it('delivers with present permits when the clock is set forward by more than a ticket holds, as after a wrong start', async () => {
    const keys = [randomBytes(32)];
    const server = await start({ profile: 'secured', ticketKeys: keys });
    const [reader, writer] = [await joinRelay(server), await joinRelay(server)];
    const expires = Math.floor(Date.now() / 1000) + 60;
    reader.socket.send(encodeRelay(0, 'a', new Tickets(keys).issue(JOIN, expires)));
    await reader.settled();
    writer.socket.send(encodeRelay(4, 'a', new Tickets(keys).issue(PUBLISH, expires)));
    await writer.settled();
    vi.setSystemTime(Date.now() + 3_600_000);
    later(async () => void vi.useRealTimers());
    writer.socket.send(encodeRelay(2, 'a', encodeFrame('a', ID.toString('hex'), 'still')));
    await writer.settled();
    expect(server.stats()).toMatchObject({ topics: 1, published: 1, delivered: 1 });
    expect(server.stats().drops).toEqual({});
    expect(await reader.text()).toBe('still');
  });

  /** A server whose clock can be set, and the connection of patrons that are matched, with what each was told. */
  async function matched(patrons: number) {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const server = await start({ profile: 'secured' });
    const [b, p] = [await connect(server), await connect(server)];
    b.send(10, { topic: 'a', brewer_id: newId(), brewer_config: {}, brews: [{ name: 'websocket', hostname: '127.0.0.1', port: server.port, secure: false }] });
    await b.expect(22);
    const notices = [];
    for (let i = 0; i < patrons; i++) {
      p.send(20, { topic: 'a', patron_id: newId(), brews: [{ name: 'websocket' }] });
      notices.push(await p.expect(12));
    }
    return { server, p, notices };
  }

  it('renews tickets when the clock is set forward, so that a client that connects to the relay again is not refused', async () => {
    const { server, p, notices } = await matched(1);
    const joins = async (notice: object): Promise<boolean> => {
      const { brewers } = notice as { brewers: { brew: { ticket: string } }[] };
      const relay = await joinRelay(server);
      relay.socket.send(encodeRelay(0, 'a', Buffer.from(brewers[0]!.brew.ticket, 'hex')));
      await relay.settled();
      const { topics } = server.stats();
      await relay.close();
      await until(() => !server.stats().topics);
      return topics === 1;
    };
    vi.setSystemTime(Date.now() + 3_600_000);
    expect(await joins(notices[0]!)).toBe(false);
    vi.advanceTimersByTime(10_000);
    expect(await joins(await p.expect(12))).toBe(true);
  });

  it('has renewed the tickets of all patrons within 10 s when the clock is set forward', async () => {
    const { p, notices } = await matched(30);
    vi.setSystemTime(Date.now() + 3_600_000);
    vi.advanceTimersByTime(10_000);
    await p.settled();
    const renewed = new Set(p.inbox.waiting.filter(({ type }) => type === 12).map(({ payload }) => payload['patron_id']));
    expect(renewed).toEqual(new Set(notices.map(({ patron_id }) => patron_id)));
  });

  it('ends a join when its ticket expires, however slow the heartbeat is', async () => {
    const keys = [randomBytes(32)];
    const server = await start({ profile: 'secured', ticketKeys: keys, ticketSeconds: 1, heartbeatMs: 60_000 });
    const relay = await joinRelay(server);
    relay.socket.send(encodeRelay(0, 'a', new Tickets(keys).issue({ operation: 'join', topicHash: sha256('a') }, Math.floor(Date.now() / 1000) + 3)));
    await relay.settled();
    expect(server.stats().topics).toBe(1);
    await until(() => server.stats().topics === 0);
  });
});
