import { afterEach, beforeAll, afterAll, describe, expect, it } from 'vitest';
import type { Brewer } from '../../../src/index.js';
import { Tokens } from '../../../src/server/index.js';
import { TOKEN, inbox, scene, until } from './kit.js';
import { NATS, startNats } from './nats.js';
import type { Nats } from './nats.js';
import { RawControl, RawRelay, newId } from '../raw-client.js';

describe.skipIf(!NATS)('two servers of a cluster', () => {
  let nats: Nats;
  const stage = scene();
  beforeAll(async () => void (nats = await startNats()));
  afterEach(() => stage.end());
  afterAll(() => nats.kill());

  it('match a brewer of one with a patron of the other, whichever comes first, and deliver in order', async () => {
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    for (const first of ['patron', 'brewer']) {
      const reader = stage.client(a);
      const writer = stage.client(b);
      const box = inbox();
      const topic = `order.${first}`;
      const brewer = writer.addBrewer(topic);
      reader.addPatron('order.*', box.callback);
      for (const client of first === 'patron' ? [reader, writer] : [writer, reader]) await client.connect();
      await until(() => brewer.isMatched, 'the match');
      const sent = Array.from({ length: 500 }, (_, index) => `${first} ${index}`);
      for (const text of sent) await brewer.brewText(text);
      expect(await box.upTo(sent[499]!)).toEqual(sent);
      await Promise.all([reader.disconnect(), writer.disconnect()]);
    }
    await until(() => a.stats().matches === 0 && b.stats().matches === 0, 'the end of all matches');
  });

  it('deliver the messages of brewers at both to a patron with wildcards, each once', async () => {
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    const reader = stage.client(a);
    const box = inbox();
    const patron = reader.addPatron('plant.**.heat', box.callback);
    await reader.connect();
    const brewers: Brewer[] = [];
    for (const [server, name] of [[a, 'near'], [b, 'far']] as const) {
      const writer = stage.client(server);
      const brewer = writer.addBrewer(`plant.${name}.x.heat`);
      brewers.push(brewer);
      const silent = writer.addBrewer(`plant.${name}.cold`);
      await writer.connect();
      await until(() => brewer.isMatched, 'the match');
      expect(silent.isMatched).toBe(false);
      await brewer.brewText(name);
      expect(await box.next()).toBe(name);
    }
    // A repetition would come before the next message.
    for (const brewer of brewers) {
      await brewer.brewText(`${brewer.topic} again`);
      expect(await box.next()).toBe(`${brewer.topic} again`);
    }
    expect([box.texts.length, patron.dropped]).toEqual([4, {}]);
  });

  it('deliver the messages of two brewers of one topic to patrons at both', async () => {
    const servers = [await stage.server(nats.url), await stage.server(nats.url)];
    const boxes = servers.map(() => inbox());
    const writers = servers.map((server, index) => {
      const client = stage.client(server);
      client.addPatron('shared', boxes[index]!.callback);
      return { client, brewer: client.addBrewer('shared') };
    });
    await Promise.all(writers.map(({ client }) => client.connect()));
    await until(() => writers.every(({ brewer }) => brewer.isMatched) && servers.every((server) => server.stats().matches === 3), 'all matches');
    await writers[0]!.brewer.brewText('one');
    expect(await Promise.all(boxes.map((box) => box.next()))).toEqual(['one', 'one']);
    await writers[1]!.brewer.brewText('two');
    expect(await Promise.all(boxes.map((box) => box.next()))).toEqual(['two', 'two']);
  });

  it('report a brewer whose registration is too long for the other server, and match it at its own server only', async () => {
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    const [near, far] = [await RawControl.open(a.url), await RawControl.open(b.url)];
    for (const client of [near, far]) await client.authenticate(TOKEN);
    const [brewer_id, patron_id] = [newId(), newId()];
    const brews = [{ name: 'websocket' }];
    const register = (length: number): void => near.send(10, { topic: 'long.one', brewer_id, brewer_config: { x: 'x'.repeat(length) }, brews });
    const there = newId();
    far.send(20, { topic: 'long.*', patron_id: there, brews });
    expect(await far.expect(12)).toMatchObject({ brewers: [] });
    await until(() => a.stats().cluster!.registrations === 1, 'the patron of the other server');
    register(1024 * 1024 - 200);
    expect(await near.expect(22)).toMatchObject({ brewer_id });
    const told = await near.expect(99);
    expect(told).toMatchObject({ code: 'LIMIT_EXCEEDED', message: expect.stringContaining(`The brewer ${brewer_id} is too long`) as string });
    expect(told).not.toHaveProperty('brewer_id');
    // The other server does not know of the brewer, so this one ends the pair.
    expect(await near.expect(23)).toMatchObject({ brewer_id, patron_id: there });
    expect(a.stats().matches).toBe(0);
    // The brewer is not matched with a later patron there either.
    const late = newId();
    far.send(20, { topic: 'long.one', patron_id: late, brews });
    expect(await far.expect(12)).toMatchObject({ brewers: [] });
    await until(() => a.stats().cluster!.registrations === 2, 'the later patron of the other server');
    expect(a.stats().matches).toBe(0);
    expect(a.stats().drops).toEqual({ 'cluster-record': 1 });
    near.send(20, { topic: 'long.*', patron_id, brews });
    expect(await near.expect(12)).toMatchObject({ patron_id, brewers: [{ brewer_id }] });
    // When it is shorter, the other server learns of it.
    register(10);
    for (let n = 0; n < 2; n++) expect(await far.expect(12)).toMatchObject({ brewers: [{ brewer_id }] });
    await until(() => a.stats().matches === 3, 'all of them');
    await Promise.all([near.close(), far.close()]);
  });

  it('give a patron that joins at another server the last value, the newest if several servers have one', async () => {
    const [a, b, c] = [await stage.server(nats.url), await stage.server(nats.url), await stage.server(nats.url)];
    const first = inbox();
    const reader = stage.client(a);
    const patron = reader.addPatron('last.value', first.callback);
    const writer = stage.client(b);
    const brewer = writer.addBrewer('last.value', { cipher: 'none' });
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => brewer.isMatched, 'the match');
    await brewer.brewText('old');
    expect(await first.next()).toBe('old');
    // Server a keeps the old value, and has no member any more when the next one is brewed.
    reader.removePatron(patron);
    const other = stage.client(b);
    const near = inbox();
    other.addPatron('last.value', near.callback);
    await other.connect();
    await until(() => brewer.isMatched && a.stats().topics === 0, 'the local match');
    await brewer.brewText('new');
    expect(await near.upTo('new')).toContain('new');
    for (const server of [a, c]) {
      const late = stage.client(server);
      const box = inbox();
      late.addPatron('last.*', box.callback);
      await late.connect();
      expect(await box.next()).toBe('new');
      expect(box.retained).toEqual([true]);
    }
  });

  it('end a match when its patron or its brewer is unregistered', async () => {
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    const [reader, writer] = [stage.client(a), stage.client(b)];
    const brewer = writer.addBrewer('end.x');
    await Promise.all([reader.connect(), writer.connect()]);
    for (let round = 0; round < 3; round++) {
      const patron = reader.addPatron('end.*');
      await until(() => brewer.isMatched && patron.isMatched, 'the match');
      reader.removePatron(patron);
      await until(() => !brewer.isMatched, 'the end of the match');
    }
    const patron = reader.addPatron('end.*');
    await until(() => patron.isMatched, 'the match');
    writer.removeBrewer(brewer);
    await until(() => !patron.isMatched, 'the end of the match');
    await until(() => a.stats().cluster!.registrations === 0, 'the end of the registration');
  });

  it('match a patron only to topics that its token may read, at whichever server the brewer is', async () => {
    const tokens = { [TOKEN]: [{ topic: '**', read: true, write: true }], narrow: [{ topic: 'open.*', read: true }, { topic: '**', write: true }] };
    const [a, b] = [await stage.server(nats.url, { tokens }), await stage.server(nats.url, { tokens })];
    const reader = stage.client(a, { token: 'narrow' });
    const patron = reader.addPatron('**');
    const writer = stage.client(b);
    const [open, secret] = [writer.addBrewer('open.x'), writer.addBrewer('secret.x')];
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => open.isMatched && patron.isMatched, 'the match that is allowed');
    expect(secret.isMatched).toBe(false);
    expect([...patron.brewers].length).toBe(1);
    // Also when the brewer comes last.
    const late = writer.addBrewer('secret.y');
    const allowed = writer.addBrewer('open.y');
    await until(() => allowed.isMatched, 'the second match that is allowed');
    expect(late.isMatched).toBe(false);
    expect(a.stats().matches).toBe(2);
    expect(b.stats().matches).toBe(2);
  });

  it('match only patrons with literal topics if their authenticator gives no readable patterns', async () => {
    const known = new Tokens({ [TOKEN]: [{ topic: '**', read: true, write: true }] });
    const opaque = {
      authenticate: (token: string) => {
        const rights = known.authenticate(token);
        return rights && { mayRead: (topic: string) => rights.mayRead(topic), mayWrite: (topic: string) => rights.mayWrite(topic) };
      },
    };
    const [a, b] = [await stage.server(nats.url, { tokens: opaque }), await stage.server(nats.url)];
    const [reader, writer] = [stage.client(a), stage.client(b)];
    const wild = reader.addPatron('o.*');
    const literal = reader.addPatron('o.x');
    const brewer = writer.addBrewer('o.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => brewer.isMatched && literal.isMatched, 'the match');
    expect(wild.isMatched).toBe(false);
    expect([a.stats().matches, b.stats().matches]).toEqual([1, 1]);
  });

  it('give each side tickets for the relay of its own server, in the profile secured', async () => {
    const [a, b] = [await stage.server(nats.url, { profile: 'secured' }), await stage.server(nats.url, { profile: 'secured' })];
    const [reader, writer] = [stage.client(a), stage.client(b)];
    const box = inbox();
    reader.addPatron('s.x', box.callback);
    const brewer = writer.addBrewer('s.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => brewer.isMatched, 'the match');
    await brewer.brewText('sealed');
    expect(await box.next()).toBe('sealed');
    expect([a.stats().drops, b.stats().drops]).toEqual([{}, {}]);
  });

  it('renew tickets in time, however many registrations the other server has', async () => {
    const [a, b] = [await stage.server(nats.url, { profile: 'secured', ticketSeconds: 2 }), await stage.server(nats.url, { profile: 'secured' })];
    const [crowd, brewer, patron] = [await RawControl.open(b.url), await RawControl.open(a.url), await RawControl.open(a.url)];
    for (const client of [crowd, brewer, patron]) await client.authenticate(TOKEN);
    for (let i = 0; i < 400; i++) crowd.send(20, { topic: `crowd.t${i}`, patron_id: newId(), brews: [{ name: 'websocket' }] });
    await until(() => a.stats().cluster!.registrations === 400, 'the registrations');
    const [brewer_id, patron_id] = [newId(), newId()];
    patron.send(20, { topic: 'renewed.x', patron_id, brews: [{ name: 'websocket' }] });
    expect(await patron.expect(12)).toEqual({ patron_id, brewers: [] });
    brewer.send(10, { topic: 'renewed.x', brewer_id, brewer_config: {}, brews: [{ name: 'websocket', hostname: '127.0.0.1', port: a.port, secure: false }] });
    const tickets = async (): Promise<unknown[]> => {
      const { brewers } = (await patron.expect(12)) as { brewers: { brew: { ticket: string } }[] };
      const { patrons } = (await brewer.expect(22)) as { patrons: { brew: { ticket: string } }[] };
      return [brewers[0]!.brew.ticket, patrons[0]!.brew.ticket];
    };
    const first = await tickets();
    // A ticket expires at a whole second, so that one made within the same second is equal.
    let fresh = first;
    while (fresh.some((ticket, index) => ticket === first[index])) fresh = await tickets();
  });

  it('tell a patron the relay at the name by which it reaches its own server', async () => {
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    const writer = stage.client(b);
    writer.addBrewer('where.x');
    await writer.connect();
    const patron = await RawControl.open(a.url.replace('127.0.0.1', 'localhost'));
    await patron.authenticate(TOKEN);
    await until(() => a.stats().cluster!.registrations === 1, 'the registration');
    patron.send(20, { topic: 'where.x', patron_id: newId(), brews: [{ name: 'websocket' }] });
    const { brewers } = (await patron.expect(12)) as { brewers: { brew: unknown }[] };
    expect(brewers[0]!.brew).toEqual({ name: 'websocket', hostname: 'localhost', port: a.port, secure: false });
    await patron.close();
  });

  it('carry frames between relays without control connections, and none while nobody has joined', async () => {
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    await until(() => a.stats().cluster!.servers === 1 && b.stats().cluster!.servers === 1, 'both servers');
    const [here, there] = [await RawRelay.open(a.relayUrl), await RawRelay.open(b.relayUrl)];
    const id = newId();
    // Nobody has joined: the first frame goes out and finds no reader, and the rest stays here.
    here.publish('raw.x', id, 'first');
    await until(() => a.stats().cluster!.sent === 1, 'the first frame');
    await until(() => a.stats().topics === 0, 'the word that nobody wants it');
    for (let i = 0; i < 10; i++) here.publish('raw.x', id, `unheard ${i}`);
    await here.settled();
    expect(a.stats().cluster!.sent).toBe(1);
    there.join('raw.x');
    expect(await there.text()).toBe('unheard 9');
    here.publish('raw.x', id, 'heard');
    expect(await there.text()).toBe('heard');
    there.publish('raw.x', id, 'back');
    here.join('raw.x');
    expect(await here.text()).toBe('back');
    expect(there.inbox.waiting).toEqual([]);
    await Promise.all([here.close(), there.close()]);
  });

  it('carry a frame that is longer than the longest message of NATS', async () => {
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    const [reader, writer] = [stage.client(a), stage.client(b)];
    const box = inbox();
    reader.addPatron('long.x', box.callback);
    const brewer = writer.addBrewer('long.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await until(() => brewer.isMatched, 'the match');
    const text = 'x'.repeat(1024 * 1024 - 64);
    for (const long of [text, 'short', text]) await brewer.brewText(long);
    expect([await box.next(), await box.next(), await box.next()].map(({ length }) => length)).toEqual([text.length, 5, text.length]);
  });

  it('move a registration with its client, and remove that of the half-open old connection', async () => {
    const [a, b, c] = [await stage.server(nats.url), await stage.server(nats.url), await stage.server(nats.url)];
    const watcher = stage.client(c);
    const patron = watcher.addPatron('move.x');
    await watcher.connect();
    const id = newId();
    const register = { topic: 'move.x', brewer_id: id, brewer_config: {}, brews: [{ name: 'websocket', hostname: null, port: null }] };
    const old = await RawControl.open(a.url);
    await old.authenticate(TOKEN);
    old.send(10, register);
    await old.expect(22);
    await until(() => patron.isMatched, 'the match');
    const fresh = await RawControl.open(b.url);
    await fresh.authenticate(TOKEN);
    fresh.send(10, register);
    await fresh.expect(22);
    expect(await until(async () => ((await old.next()) as { type: number; payload: { code?: string } }).type === 99, 'the word to the old connection')).toBe(true);
    await until(() => a.stats().brewers === 0 && b.stats().brewers === 1, 'one brewer');
    expect(c.stats().matches).toBe(1);
    expect(patron.isMatched).toBe(true);
    await Promise.all([old.close(), fresh.close()]);
    await until(() => !patron.isMatched, 'the end');
  });

  it('move a pair to another brew when either side reports a brew as down, and back', async () => {
    const [a, b] = [await stage.server(nats.url), await stage.server(nats.url)];
    const [patron, brewer] = [await RawControl.open(a.url), await RawControl.open(b.url)];
    const [patronId, brewerId] = [newId(), newId()];
    const brews = [{ name: 'mqtt', url: 'x' }, { name: 'other' }];
    for (const raw of [patron, brewer]) {
      await raw.authenticate(TOKEN);
      raw.send(41, { brew: 'mqtt', state: 'up', moves: true });
    }
    const first = ({ brewers, patrons }: Record<string, unknown>): unknown => ((brewers ?? patrons) as { brew: { name: string } }[])[0]?.brew.name;
    patron.send(20, { topic: 'down.*', patron_id: patronId, brews });
    await patron.expect(12);
    await until(() => b.stats().cluster!.registrations === 1, 'the registration');
    brewer.send(10, { topic: 'down.x', brewer_id: brewerId, brewer_config: {}, brews });
    expect([first(await brewer.expect(22)), first(await patron.expect(12))]).toEqual(['mqtt', 'mqtt']);
    for (const [side, ids] of [[brewer, {}], [patron, { brewer_id: brewerId }], [patron, { patron_id: patronId }], [brewer, { patron_id: patronId }]] as const) {
      side.send(41, { brew: 'mqtt', state: 'down', ...ids });
      expect([first(await brewer.expect(22)), first(await patron.expect(12))]).toEqual(['other', 'other']);
      side.send(41, { brew: 'mqtt', state: 'up', ...ids });
      expect([first(await brewer.expect(22)), first(await patron.expect(12))]).toEqual(['mqtt', 'mqtt']);
    }
    await Promise.all([patron.close(), brewer.close()]);
  });

  it('keep networks with different names apart', async () => {
    const a = await stage.server(nats.url);
    const b = await stage.server(nats.url, { cluster: { servers: nats.url, name: 'other' } });
    const [reader, writer] = [stage.client(a), stage.client(b)];
    const patron = reader.addPatron('**');
    writer.addBrewer('apart.x');
    await Promise.all([reader.connect(), writer.connect()]);
    // When a server of the other network knows the brewer, this one would know it too.
    const c = await stage.server(nats.url, { cluster: { servers: nats.url, name: 'other' } });
    await until(() => c.stats().cluster!.registrations === 1, 'the registration in its own network');
    const near = stage.client(a);
    near.addBrewer('apart.y');
    await near.connect();
    await until(() => patron.isMatched, 'the match at one server');
    expect(a.stats().matches).toBe(1);
    await until(() => b.stats().cluster!.servers === 1, 'the servers of one name');
    expect([a.stats().cluster!.servers, a.stats().cluster!.registrations]).toEqual([0, 0]);
  });

  it('report their counts and states at /metrics and /readyz', async () => {
    const a = await stage.server(nats.url);
    await stage.server(nats.url);
    await until(() => a.stats().cluster!.servers === 1, 'the other server');
    const http = a.url.replace(/^ws/, 'http').replace(/\/ws$/, '');
    await until(async () => (await fetch(`${http}/readyz`)).status === 200, 'readiness');
    const text = await (await fetch(`${http}/metrics`)).text();
    expect(text).toMatch(/^pubkeeper_cluster_ready 1$/m);
    expect(text).toMatch(/^pubkeeper_cluster_servers 1$/m);
  });
});
