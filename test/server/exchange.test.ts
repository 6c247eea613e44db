// Whole conversations with a client that was written from the protocol alone, in both layouts and both versions.
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { PubkeeperClient } from '../../src/index.js';
import type { PubkeeperServer } from '../../src/server/index.js';
import { watchWrites } from '../handle-writes.js';
import { connect, joinRelay, later, start, until } from './harness.js';
import { RawControl, RawRelay, dial, newId } from './raw-client.js';

const WEB = [{ name: 'websocket' }];
const relayOf = (server: PubkeeperServer): object => {
  const { hostname, port } = new URL(server.relayUrl);
  return { name: 'websocket', hostname, port: Number(port), secure: false };
};

describe.each([
  ['one port', '1.1', {}],
  ['one port', '1.0', {}],
  ['split', '1.1', { relayPort: 0 }],
  ['split', '1.0', { relayPort: 0 }],
] as const)('layout: %s, version %s', (_layout, version, options) => {
  it('authenticates, registers, joins and exchanges frames', async () => {
    const server = await start(options);
    const [b, p] = [await connect(server, { version }), await connect(server, { version })];
    const [brewer_id, patron_id] = [newId(), newId()];
    const topic = 'weather.denver.temperature';
    const brewer_config = { cipher: { mode: 2, key: '00'.repeat(16) } };

    p.send(20, { topic: 'weather.*.temperature', patron_id, brews: WEB });
    expect(await p.expect(12)).toEqual({ patron_id, brewers: [] });
    b.send(10, { topic, brewer_id, brewer_config, brews: [{ name: 'local-7' }, relayOf(server)] });
    expect(await p.expect(12)).toEqual({ patron_id, brewers: [{ topic, brewer_id, brewer_config, brew: relayOf(server) }] });

    const [publisher, reader] = [await joinRelay(server), await joinRelay(server)];
    reader.join(topic);
    expect(await b.expect(22)).toEqual({ brewer_id, patrons: [{ topic, patron_id, brew: { name: 'websocket' } }] });
    for (const text of ['one', 'two', 'three']) publisher.publish(topic, brewer_id, text);
    expect([await reader.text(), await reader.text(), await reader.text()]).toEqual(['one', 'two', 'three']);

    // A relay connection that joins now gets the last value at once.
    const late = await joinRelay(server);
    late.join(topic);
    expect(await late.text()).toBe('three');
    reader.leave(topic);
    await reader.settled();
    publisher.publish(topic, brewer_id, 'four');
    expect(await late.text()).toBe('four');
    await reader.settled();
    expect(reader.inbox.waiting).toEqual([]);

    p.send(21, { topic: 'weather.*.temperature', patron_id });
    expect(await b.expect(23)).toEqual({ topic, brewer_id, patron_id });
    expect(server.stats()).toMatchObject({ clients: 2, brewers: 1, patrons: 0, matches: 0, topics: 1, relayConnections: 3 });
    expect(server.stats().drops).toEqual({});
    b.send(11, { topic, brewer_id });
    await b.settled();
    expect(server.stats().brewers).toBe(0);
  });

  it('unregisters everything when a connection is lost, and accepts the same ids on the next connection', async () => {
    const server = await start(options);
    const [b, p] = [await connect(server, { version }), await connect(server, { version })];
    const [brewer_id, patron_id] = [newId(), newId()];
    const register = { topic: 'a.b', brewer_id, brewer_config: {}, brews: [{ name: 'mqtt' }] };
    b.send(10, register);
    expect(await b.expect(22)).toEqual({ brewer_id, patrons: [] });
    p.send(20, { topic: '**', patron_id, brews: [{ name: 'mqtt' }] });
    expect(await p.expect(12)).toMatchObject({ brewers: [{ brewer_id }] });
    expect(await b.expect(22)).toMatchObject({ patrons: [{ patron_id }] });
    b.socket.terminate();
    expect(await p.expect(13)).toEqual({ topic: 'a.b', patron_id, brewer_id });
    const again = await connect(server, { version });
    again.send(10, register);
    expect(await again.expect(22)).toMatchObject({ patrons: [{ patron_id }] });
    expect(await p.expect(12)).toMatchObject({ brewers: [{ brewer_id }] });
  });
});

describe('connections', () => {
  it('are recognised by their path when no subprotocol is offered', async () => {
    const server = await start({ relayPort: 0 });
    const base = server.url.slice(0, -3);
    for (const path of ['/ws', '/', '/ws?x=1']) {
      const control = new RawControl(await dial(base + path, []), '1.0');
      expect(await control.authenticate(server.token!)).toMatchObject({ authenticated: true });
    }
    const publisher = await RawRelay.open(`${base}/brew`, []);
    const reader = await RawRelay.open(`${server.relayUrl}anything`, []);
    reader.join('a');
    await reader.settled();
    publisher.publish('a', newId(), 'across both ports');
    expect(await reader.text()).toBe('across both ports');
    // On its own port the relay accepts an unknown subprotocol.
    expect((await RawRelay.open(server.relayUrl, ['x', 'y'])).socket.protocol).toBe('x');
  });

  it('are refused at once when a client takes the relay’s own port for that of the control server', async () => {
    const server = await start({ relayPort: 0 });
    const client = new PubkeeperClient({ server: server.relayUrl, token: server.token! });
    await expect(client.connect()).rejects.toMatchObject({ code: 'SUBPROTOCOL_REFUSED', message: expect.stringContaining('speaks none of pubkeeper-1.1') as string });
  });

  it('get the heartbeat announced, and their PINGs answered', async () => {
    const server = await start();
    for (const version of ['1.0', '1.1'] as const) {
      const client = await RawControl.open(server.url, version);
      expect(await client.authenticate(server.token!)).toEqual({ authenticated: true, heartbeat: 15_000 });
      client.send(60, {});
      expect(await client.expect(60)).toEqual({});
    }
  });

  it('of version 1.0 get an answer that is too long for a packet in several packets', async () => {
    const server = await start();
    const [b, p] = [await connect(server), await connect(server, { version: '1.0' })];
    const ids = Array.from({ length: 600 }, newId);
    for (const brewer_id of ids) b.send(10, { topic: `t.${brewer_id}`, brewer_id, brewer_config: { note: 'x'.repeat(100) }, brews: WEB });
    await b.settled();
    p.send(20, { topic: 't.*', patron_id: newId(), brews: WEB });
    const found: string[] = [];
    while (found.length < 600) {
      const { brewers } = await p.expect(12);
      found.push(...(brewers as { brewer_id: string }[]).map(({ brewer_id }) => brewer_id));
    }
    expect(found.sort()).toEqual(ids.sort());
  });

  it('are cut when they are silent, and not when they answer pings', async () => {
    const server = await start({ heartbeatMs: 40 });
    const [alive, relay] = [await connect(server), await joinRelay(server)];
    // A connection that was closed is not counted as silent.
    await (await joinRelay(server)).close();
    // One after the other, so that the others have lived for twice the longest silence with nothing but answers to pings.
    for (let cut = 1; cut <= 2; cut++) {
      const deaf = await connect(server, { autoPong: false });
      expect(await deaf.closed).toMatchObject({ code: 1006 });
      expect(server.stats().drops).toEqual({ silent: cut });
    }
    const deaf = new RawRelay(await dial(server.relayUrl, ['pubkeeper-1.0.0'], { autoPong: false }));
    expect(await deaf.closed).toMatchObject({ code: 1006 });
    await until(() => server.stats().controlConnections + server.stats().relayConnections === 2);
    expect(server.stats()).toMatchObject({ clients: 1, relayConnections: 1, drops: { silent: 3 } });
    await Promise.all([alive.settled(), relay.settled()]);
    expect(relay.inbox.waiting).toEqual([]); // relay protocol 1.0 has no heartbeat packets
  });
});

describe('an id that another connection holds', () => {
  const register = (brewer_id: string) => ({ topic: 'a', brewer_id, brewer_config: {}, brews: WEB });
  /** `one` holds an id and answers no ping, but sends something while `two` waits for that id. */
  const contended = async () => {
    const server = await start({ heartbeatMs: 200 });
    const [one, two] = [await connect(server, { autoPong: false }), await connect(server)];
    const id = newId();
    one.send(10, register(id));
    await one.expect(22);
    two.send(10, register(id));
    await once(one.socket, 'ping');
    one.send(20, { topic: 'x', patron_id: newId(), brews: WEB });
    return { server, one, two, id };
  };

  it('is refused to a newcomer while its holder is alive', async () => {
    const server = await start();
    const [one, two] = [await connect(server), await connect(server)];
    const id = newId();
    one.send(10, register(id));
    await one.expect(22);
    two.send(10, register(id));
    // The next packet waits for its turn.
    two.send(20, { topic: 'x', patron_id: id, brews: WEB });
    expect(await two.refused()).toMatchObject({ code: 'REGISTERED_TWICE', brewer_id: id });
    expect(await two.expect(12)).toEqual({ patron_id: id, brewers: [] });
    expect(server.stats().clients).toBe(2);
  });

  it('is given to a newcomer when the holder has unregistered it, also if that arrives after other packets of the holder', async () => {
    const server = await start();
    const [one, two] = [await connect(server, { autoPong: false }), await connect(server)];
    const id = newId();
    one.send(10, register(id));
    await one.expect(22);
    two.send(10, register(id));
    const [mark] = (await once(one.socket, 'ping')) as [Buffer];
    one.socket.pong(); // as if to an earlier heartbeat
    one.send(20, { topic: 'x', patron_id: newId(), brews: WEB });
    await one.expect(12);
    one.send(11, register(id));
    one.socket.pong(mark);
    expect(await two.expect(22)).toEqual({ brewer_id: id, patrons: [] });
  });

  it('is given to a newcomer when the holder has unregistered it, also if that packet waits for another id', async () => {
    const server = await start();
    const [one, two, three] = [await connect(server, { autoPong: false }), await connect(server), await connect(server)];
    const [id, other] = [newId(), newId()];
    one.send(10, register(other));
    two.send(10, register(id));
    await Promise.all([one.expect(22), two.expect(22)]);
    const asked = once(one.socket, 'ping') as Promise<[Buffer]>;
    two.send(10, register(other));
    two.send(11, register(id));
    const [mark] = await asked;
    const pinged = once(two.socket, 'ping');
    three.send(10, register(id));
    await pinged;
    one.socket.pong(mark);
    expect(await two.refused()).toMatchObject({ code: 'REGISTERED_TWICE', brewer_id: other });
    expect(await three.expect(22)).toEqual({ brewer_id: id, patrons: [] });
  });

  it('is given to a newcomer at once when its holder has begun to close, which does not count as silence', async () => {
    const server = await start();
    const [one, two] = [await connect(server), await connect(server)];
    const id = newId();
    one.send(10, register(id));
    await one.expect(22);
    // The holder does not read the answer to its close, so that the server waits for the end of the connection.
    one.socket.pause();
    one.socket.close();
    await two.settled();
    two.send(10, register(id));
    expect(await two.expect(22)).toEqual({ brewer_id: id, patrons: [] });
    expect(server.stats().clients).toBe(1);
    expect(server.stats().drops).toEqual({});
    one.socket.terminate();
  });

  it('is refused to a newcomer while its holder sends something, though the holder answers no ping', async () => {
    const { two, id } = await contended();
    expect(await two.refused()).toMatchObject({ code: 'REGISTERED_TWICE', brewer_id: id });
  });

  it('is refused to a newcomer while its holder is alive, also when the server process stands still until the probe is over', async () => {
    const server = await start({ heartbeatMs: 200 });
    const [one, two] = [await connect(server), await connect(server)];
    const id = newId();
    one.send(10, register(id));
    await one.expect(22);
    // By then the answer is on its way, and the process reads it only after its timers have run.
    one.socket.on('ping', (mark: Buffer) => mark.length && Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250));
    two.send(10, register(id));
    expect(await two.refused()).toMatchObject({ code: 'REGISTERED_TWICE', brewer_id: id });
  });

  it('is given to a newcomer when its holder closes, also if packets of the holder came before and the close takes time', async () => {
    const { server, one, two, id } = await contended();
    one.socket.close(4000);
    // The answer of the server is not read, so that the server's end of the connection stays.
    one.socket.pause();
    expect(await two.expect(22)).toEqual({ brewer_id: id, patrons: [] });
    expect(server.stats()).toMatchObject({ clients: 1, brewers: 1, patrons: 0 });
  });

  it('is given to a newcomer when its holder is dead', async () => {
    const server = await start({ heartbeatMs: 200 });
    const id = newId();
    const dead = await connect(server, { autoPong: false });
    dead.send(10, register(id));
    await dead.expect(22);
    const two = await connect(server);
    two.send(10, register(id));
    expect(await two.expect(22)).toEqual({ brewer_id: id, patrons: [] });
    expect(await dead.closed).toMatchObject({ code: 1006 });
    expect(server.stats()).toMatchObject({ clients: 1, brewers: 1 });
  });
});

describe('the ready barrier', () => {
  it.each([
    ['on one port', {}],
    ['on a port of the relay’s own', { relayPort: 0 }],
  ])('delivers the very first message of a new pair, whichever end comes first (%s)', async (_layout, options) => {
    const server = await start({ holdMs: 60_000, ...options });
    for (const patronFirst of [true, false]) {
      const [b, p] = [await connect(server), await connect(server)];
      const [publisher, reader] = [await joinRelay(server), await joinRelay(server)];
      const [brewer_id, patron_id, topic] = [newId(), newId(), `t.${newId()}`];
      const registerBrewer = () => b.send(10, { topic, brewer_id, brewer_config: {}, brews: [relayOf(server)] });
      const registerPatron = () => p.send(20, { topic, patron_id, brews: WEB });
      if (patronFirst) {
        registerPatron();
        await p.expect(12);
        registerBrewer();
      } else {
        registerBrewer();
        await b.expect(22);
        registerPatron();
      }
      expect(await p.expect(12)).toMatchObject({ brewers: [{ brewer_id }] });
      // The brewer publishes as soon as it hears of the patron, which joins late.
      const heard = b.expect(22).then(() => publisher.publish(topic, brewer_id, 'first'));
      await b.settled();
      expect(server.stats().heldNotifications).toBe(1);
      reader.join(topic);
      await heard;
      expect(await reader.text()).toBe('first');
      await Promise.all([b.close(), p.close()]);
    }
  });

  it('does not wait for a patron that has left without joining', async () => {
    const server = await start({ holdMs: 60_000 });
    const [b, p, late] = [await connect(server), await connect(server), await connect(server)];
    const brewer_id = newId();
    b.send(10, { topic: 'a', brewer_id, brewer_config: {}, brews: [relayOf(server)] });
    await b.expect(22);
    p.send(20, { topic: 'a', patron_id: newId(), brews: WEB });
    await p.expect(12);
    await p.close();
    const patron_id = newId();
    late.send(20, { topic: 'a', patron_id, brews: WEB });
    await late.expect(12);
    (await joinRelay(server)).join('a');
    // The brewer is never notified of the patron that has left.
    expect(await b.expect(22)).toMatchObject({ brewer_id, patrons: [{ patron_id }] });
    expect(server.stats().heldNotifications).toBe(0);
  });

  it('stops waiting for a patron that does not join', async () => {
    const server = await start();
    const [b, p] = [await connect(server), await connect(server)];
    const [brewer_id, patron_id] = [newId(), newId()];
    p.send(20, { topic: 'a', patron_id, brews: WEB });
    await p.expect(12);
    const started = performance.now();
    b.send(10, { topic: 'a', brewer_id, brewer_config: {}, brews: [relayOf(server)] });
    expect(await b.expect(22)).toMatchObject({ patrons: [{ patron_id }] });
    expect(performance.now() - started).toBeGreaterThan(200);
    expect(server.stats().drops).toEqual({ 'late-join': 1 });
  });

  // Who answers a question in the callback must have heard of the patron that waits for the answer. The two ways of the client that answers are
  // two sockets, and no order of reading them is promised; but the server does not delay the notification while it forwards the question.
  it('tells a brewer of its match before it forwards what the patron’s client brews in the same moment', async () => {
    const server = await start({ holdMs: 60_000 });
    const [b, p] = [await connect(server), await connect(server)];
    const [asker, answerer] = [await joinRelay(server), await joinRelay(server)];
    answerer.join('question');
    await answerer.settled();
    b.send(10, { topic: 'answer', brewer_id: newId(), brewer_config: {}, brews: [relayOf(server)] });
    await b.expect(22);
    p.send(20, { topic: 'answer', patron_id: newId(), brews: WEB });
    await p.expect(12);
    const written: number[] = [];
    const stop = await watchWrites((port) => void written.push(port));
    later(async () => stop());
    asker.atOnce(() => {
      asker.join('answer');
      asker.publish('question', newId(), 'are you there?');
    });
    expect(await answerer.text()).toBe('are you there?');
    await b.expect(22);
    const ports = [b, answerer].map(({ localPort }) => localPort);
    expect(written.filter((port) => ports.includes(port))).toEqual(ports);
  });
});

describe('the client of this SDK', () => {
  it('loses no message that is brewed at the match', async () => {
    const server = await start();
    const options = { server: server.url, token: server.token! };
    const [one, two] = [new PubkeeperClient(options), new PubkeeperClient(options)];
    later(() => one.disconnect());
    later(() => two.disconnect());
    await Promise.all([one.connect(), two.connect()]);
    const got: string[] = [];
    one.addPatron('demo.*', (_data, message) => void got.push(message.text()));
    const brewer = two.addBrewer('demo.x');
    const matched = new Promise<void>((resolve) => void brewer.on('matched', () => resolve()));
    await matched;
    for (let i = 0; i < 20; i++) await brewer.brewText(String(i));
    await until(() => got.length >= 20);
    expect(got).toEqual(Array.from({ length: 20 }, (_, i) => String(i)));
    expect(server.stats().drops).toEqual({});
  });
});
