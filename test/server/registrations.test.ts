// The limits on the registrations of a connection, on a real server: what exceeds them is refused with a reason, and counted.
import { describe, expect, it } from 'vitest';
import { connect, start, until } from './harness.js';
import { encodeJson, newId } from './raw-client.js';

const WEB = [{ name: 'websocket' }];

describe('registrations', () => {
  it.each([
    ['topicLength', { topicLength: 10 }, 'elevenchars', 'tencharact', 'topic-length'],
    ['topicSegments', { topicSegments: 3 }, 'a.b.c.d', 'a.b.c', 'topic-segments'],
    ['doubleWildcards', { doubleWildcards: 2 }, '**.a.**.b.**', '**.a.**.b', 'double-wildcards'],
  ])('beyond %s are refused, and others accepted', async (_name, limits, bad, good, reason) => {
    const server = await start({ limits });
    const client = await connect(server);
    const patron_id = newId();
    client.send(20, { topic: bad, patron_id, brews: WEB });
    const error = await client.refused();
    expect(error).toMatchObject({ code: 'LIMIT_EXCEEDED', patron_id });
    expect(error['message']).toMatch(/ at most \d+ .* not \d+/);
    client.send(20, { topic: good, patron_id, brews: WEB });
    await client.expect(12);
    expect(server.stats()).toMatchObject({ patrons: 1, drops: { [reason]: 1 } });
  });

  it('are answered also when they are refused, as a deployed client is ready only when all its registrations are answered', async () => {
    const server = await start({ limits: { topicLength: 10 }, tokens: { t: [{ topic: 'mine', read: true, write: true }] } });
    const [other, client] = [await connect(server, { token: 't' }), await connect(server, { token: 't' })];
    const [taken, forbidden, long, good] = [newId(), newId(), newId(), newId()];
    other.send(10, { topic: 'mine', brewer_id: taken, brewer_config: {}, brews: WEB });
    other.send(20, { topic: 'mine', patron_id: taken, brews: WEB });
    for (const type of [22, 12]) await other.expect(type);
    const asked = [[taken, 'mine'], [forbidden, 'theirs'], [long, 'elevenchars'], [good, 'mine']] as const;
    for (const [brewer_id, topic] of asked) client.send(10, { topic, brewer_id, brewer_config: {}, brews: WEB });
    const brewers: [number, unknown][] = [];
    // The reason comes first, as a client may take the first packet for the answer.
    for (const type of [99, 22, 99, 22, 99, 22, 22]) brewers.push([type, (await client.expect(type))['brewer_id']]);
    expect(brewers).toEqual([taken, forbidden, long].flatMap((id) => [[99, id], [22, id]]).concat([[22, good]]));
    for (const [patron_id, topic] of [[taken, 'mine'], [long, 'elevenchars'], [good, 'a..b']] as const) {
      client.send(20, { topic, patron_id, brews: WEB });
      expect(await client.expect(99)).toMatchObject({ patron_id });
      expect(await client.expect(12)).toEqual({ patron_id, brewers: [] });
    }
    // The answer has the pairs that the id still has.
    client.send(20, { topic: 'mine', patron_id: good, brews: WEB });
    expect(await client.expect(12)).toMatchObject({ brewers: [{ brewer_id: taken }, { brewer_id: good }] });
    await client.expect(22);
    client.send(20, { topic: 'elevenchars', patron_id: good, brews: WEB });
    await client.expect(99);
    expect(await client.expect(12)).toMatchObject({ brewers: [{ brewer_id: taken }, { brewer_id: good }] });
  });

  it('have the documented default limits', async () => {
    const server = await start();
    const client = await connect(server);
    const brewer_id = newId();
    for (const topic of ['x'.repeat(256), Array(33).fill('a').join('.')]) {
      client.send(10, { topic, brewer_id, brewer_config: {}, brews: WEB });
      expect(await client.refused()).toMatchObject({ code: 'LIMIT_EXCEEDED', brewer_id });
    }
    client.send(20, { topic: Array(9).fill('**').join('.'), patron_id: newId(), brews: WEB });
    expect(await client.refused()).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    for (const topic of ['x'.repeat(255), Array(32).fill('a').join('.')]) {
      client.send(10, { topic, brewer_id, brewer_config: {}, brews: WEB });
      expect(await client.expect(22)).toEqual({ brewer_id, patrons: [] });
    }
    const patron_id = newId();
    client.send(20, { topic: Array(8).fill('**').join('.'), patron_id, brews: WEB });
    expect(await client.expect(12)).toMatchObject({ patron_id, brewers: [{ brewer_id }] });
    await client.expect(22);
    // A `*` does not count as a `**`.
    client.send(20, { topic: Array(32).fill('*').join('.'), patron_id, brews: WEB });
    expect(await client.expect(12)).toMatchObject({ patron_id, brewers: [{ brewer_id }] });
  });

  it('are limited per connection, and the same ids may be registered again', async () => {
    const server = await start({ limits: { registrations: 3 } });
    const [client, other] = [await connect(server), await connect(server)];
    const ids = [newId(), newId(), newId(), newId()];
    for (const patron_id of ids.slice(0, 2)) client.send(20, { topic: 'a', patron_id, brews: WEB });
    client.send(10, { topic: 'b', brewer_id: ids[2], brewer_config: {}, brews: WEB });
    for (const type of [12, 12, 22]) await client.expect(type);
    client.send(20, { topic: 'a', patron_id: ids[3], brews: WEB });
    expect(await client.refused()).toMatchObject({ code: 'LIMIT_EXCEEDED', patron_id: ids[3] });
    client.send(20, { topic: 'a.*', patron_id: ids[0], brews: WEB });
    await client.expect(12);
    client.send(21, { topic: 'a', patron_id: ids[1] });
    client.send(20, { topic: 'a', patron_id: ids[3], brews: WEB });
    await client.expect(12);
    other.send(20, { topic: 'a', patron_id: newId(), brews: WEB });
    await other.expect(12);
    expect(server.stats()).toMatchObject({ patrons: 3, brewers: 1, drops: { registrations: 1 } });
  });

  it('that are too deeply nested for notifications are refused, and do no harm', async () => {
    const server = await start();
    const [client, other] = [await connect(server), await connect(server)];
    const [brewer_id, patron_id] = [newId(), newId()];
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    // The payload and the object in it are two of the 32 levels.
    for (const levels of [31, 100_000]) {
      client.socket.send(encodeJson(10, `{"topic":"a","brewer_id":"${brewer_id}","brewer_config":{"x":${nested(levels)}},"brews":[{"name":"websocket"}]}`));
      expect(await client.refused()).toMatchObject({ code: 'LIMIT_EXCEEDED', brewer_id });
      client.socket.send(encodeJson(20, `{"topic":"a","patron_id":"${patron_id}","brews":[{"name":"websocket","x":${nested(levels)}}]}`));
      expect(await client.refused()).toMatchObject({ code: 'LIMIT_EXCEEDED', patron_id });
    }
    expect(server.stats()).toMatchObject({ brewers: 0, patrons: 0, drops: { nesting: 4 } });
    client.socket.send(encodeJson(10, `{"topic":"a","brewer_id":"${brewer_id}","brewer_config":{"x":${nested(30)}},"brews":[{"name":"websocket"}]}`));
    await client.expect(22);
    other.send(20, { topic: '**', patron_id, brews: WEB });
    expect(await other.expect(12)).toMatchObject({ brewers: [{ brewer_id }] });
  });

  it('keep an id for a client that is read later, as its answer to a probe would not be read', async () => {
    const server = await start({ heartbeatMs: 200, limits: { packetsPerSecond: 20, packetBurst: 3 } });
    const [owner, other] = [await connect(server), await connect(server)];
    const packet = { topic: 'a', patron_id: newId(), brews: WEB };
    owner.send(20, packet);
    await owner.expect(12);
    for (let i = 0; i < 20; i++) owner.send(20, { ...packet, patron_id: newId() });
    await until(() => server.stats().drops['packet-rate'] === 1);
    // Before this packet is read, the client must wait for all others: longer than a probe lasts.
    owner.send(20, { ...packet, patron_id: newId() });
    await until(() => server.stats().drops['packet-rate'] === 2);
    other.send(20, packet);
    expect(await other.refused()).toMatchObject({ code: 'REGISTERED_TWICE' });
    await owner.settled();
    expect(server.stats()).toMatchObject({ clients: 2, patrons: 22 });
  });

  it('may have 32 brews, and names of 255 characters in BREW_STATE', async () => {
    const server = await start();
    const client = await connect(server);
    const patron_id = newId();
    const brews = Array.from({ length: 33 }, (_, index) => ({ name: `brew-${index}` }));
    client.send(20, { topic: 'a', patron_id, brews });
    expect(await client.refused()).toMatchObject({ code: 'LIMIT_EXCEEDED', patron_id, message: expect.stringContaining('at most 32 brews') as string });
    client.send(20, { topic: 'a', patron_id, brews: brews.slice(1) });
    await client.expect(12);
    client.send(41, { brew: 'x'.repeat(256), state: 'down' });
    expect(await client.expect(99)).toMatchObject({ code: 'LIMIT_EXCEEDED' });
    client.send(41, { brew: 'x'.repeat(255), state: 'down' });
    await client.settled();
    expect(server.stats().drops).toEqual({ brews: 2 });
  });

  it('are limited in their bytes per connection, and unregistering frees bytes', async () => {
    const server = await start({ limits: { registeredBytes: 2_000 } });
    const client = await connect(server);
    const register = (brewer_id: string, length: number): void =>
      client.send(10, { topic: 'a', brewer_id, brewer_config: { x: 'x'.repeat(length) }, brews: WEB });
    const [first, second] = [newId(), newId()];
    register(first, 1_500);
    await client.expect(22);
    register(second, 1_000);
    expect(await client.refused()).toMatchObject({ code: 'LIMIT_EXCEEDED', brewer_id: second });
    // Registering the same id again is not counted twice, and a shorter one frees bytes.
    register(first, 1_600);
    await client.expect(22);
    register(first, 500);
    await client.expect(22);
    register(second, 1_000);
    await client.expect(22);
    const patron_id = newId();
    const long = [{ name: 'websocket', x: 'x'.repeat(1_000) }];
    client.send(20, { topic: 'b', patron_id, brews: long });
    expect(await client.refused()).toMatchObject({ code: 'LIMIT_EXCEEDED', patron_id });
    client.send(11, { topic: 'a', brewer_id: second });
    client.send(20, { topic: 'b', patron_id, brews: long });
    await client.expect(12);
    client.send(21, { topic: 'b', patron_id });
    register(second, 1_000);
    await client.expect(22);
    expect(server.stats()).toMatchObject({ brewers: 2, patrons: 0, drops: { 'registered-bytes': 2 } });
  });

  it('are limited in the pairs that they make per connection, but not for one registration, and ended pairs are freed', async () => {
    const server = await start({ limits: { pairs: 4 } });
    const brews = [{ name: 'b' }];
    const [owner, other] = [await connect(server), await connect(server)];
    const [brewer, patron, late] = [newId(), newId(), newId()];
    const brew = (brewer_id: string): void => owner.send(10, { topic: 'a', brewer_id, brewer_config: {}, brews });
    const read = (client: typeof owner, patron_id: string): void => client.send(20, { topic: 'a', patron_id, brews });
    const refused = (): unknown[] => owner.inbox.waiting.filter(({ type }) => type === 99).map(({ payload }) => payload);
    const settled = async (): Promise<Record<string, unknown>> => {
      await owner.settled();
      return { ...server.stats() };
    };
    for (const id of [brewer, newId(), newId()]) brew(id);
    read(owner, patron);
    // The last one that is accepted makes three pairs at once.
    read(owner, newId());
    read(owner, late);
    expect(await settled()).toMatchObject({ brewers: 3, patrons: 2, matches: 6, drops: { pairs: 1 } });
    expect(refused()).toEqual([{ code: 'LIMIT_EXCEEDED', patron_id: late, message: expect.stringContaining('at most 4 pairs') as string }]);
    // Other clients may register, and their pairs count for both sides until they end.
    read(other, newId());
    await other.expect(12);
    expect(await settled()).toMatchObject({ patrons: 3, matches: 9 });
    await other.close();
    await until(() => server.stats().matches === 6);
    // Registering again does not count its own pairs: without the brewer's two, four are left; without the patron's three, three are.
    brew(brewer);
    expect(await settled()).toMatchObject({ drops: { pairs: 2 } });
    read(owner, patron);
    expect(await settled()).toMatchObject({ matches: 6, drops: { pairs: 2 } });
    owner.send(11, { topic: 'a', brewer_id: brewer });
    owner.send(21, { topic: 'a', patron_id: patron });
    read(owner, late);
    expect(await settled()).toMatchObject({ brewers: 2, patrons: 2, matches: 4, drops: { pairs: 2 } });
  });
});
