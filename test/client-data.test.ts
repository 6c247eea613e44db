import { describe, expect, it } from 'vitest';
import { WebSocketBrew, type Brew, type PubkeeperError } from '../src/index.js';
import { BroadcastChannelBrew } from '../src/brews/broadcast-channel.js';
import { LocalBrew } from '../src/brews/local.js';
import { MemoryBrew } from '../src/brews/memory.js';
import { client, cuttable, inbox, matched, once, QUICK, serve, state } from './client-kit.js';

// From brewer to patron over real sockets, with the client, server and relay of this project, and what happens when one of them is lost.

describe.each(['aes-gcm', 'aes-cbc', 'none'] as const)('data with the cipher %s', (cipher) => {
  it('reaches a patron with wildcards as bytes, text and JSON', async () => {
    const { url } = await serve();
    const reader = client(url);
    const writer = client(url);
    const box = inbox();
    const got: [topic: string, data: string][] = [];
    const patron = reader.addPatron('demo.*.**', (data, message) => {
      got.push([message.topic, Buffer.from(data).toString()]);
      box.callback(data, message);
    });
    const brewer = writer.addBrewer('demo.a.b.c', { cipher });
    await Promise.all([reader.connect(), writer.connect()]);
    await matched(brewer);
    await brewer.brewText('grüezi');
    await brewer.brewJSON({ __proto__: null, constructor: 1 });
    await brewer.brew(Uint8Array.of(0x68, 0x69));
    const texts = ['grüezi', '{"constructor":1}', 'hi'];
    expect([await box.next(), await box.next(), await box.next()]).toEqual(texts);
    expect(got).toEqual(texts.map((text) => ['demo.a.b.c', text]));
    expect(patron.brewers.get(brewer.brewerId)).toEqual({ topic: 'demo.a.b.c', brew: 'websocket' });
    expect(patron.dropped).toEqual({});
  });

  it('arrives complete and in order when 2000 messages are brewed at the match', async () => {
    const { url } = await serve();
    const reader = client(url);
    const writer = client(url);
    const numbers: number[] = [];
    let done!: () => void;
    const all = new Promise<void>((resolve) => (done = resolve));
    reader.addPatron('burst.**', (_, message) => {
      if (numbers.push(message.json() as number) === 2000) done();
    });
    const brewer = writer.addBrewer('burst.x', { cipher });
    brewer.on('matched', () => {
      for (let i = 0; i < 2000; i++) void brewer.brewJSON(i);
    });
    await reader.connect();
    await writer.connect();
    await all;
    expect(numbers).toEqual(Array.from({ length: 2000 }, (_, i) => i));
  });
});

describe('when a server or a connection is lost', () => {
  it('both clients connect to the restarted server, and messages arrive again', async () => {
    const first = await serve();
    const reader = client(first.url);
    const writer = client(first.url);
    reader.on('error', () => undefined);
    writer.on('error', () => undefined);
    const box = inbox();
    reader.addPatron('life.*', box.callback);
    const brewer = writer.addBrewer('life.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await matched(brewer);
    await brewer.brewText('before');
    expect(await box.next()).toBe('before');

    const gone = Promise.all([state(reader, 'reconnecting'), state(writer, 'reconnecting')]);
    await first.close();
    await gone;
    await serve(first.port);
    await Promise.all([state(reader, 'connected'), state(writer, 'connected')]);
    await brewer.brewText('after');
    expect(await box.next()).toBe('after');
  });

  it('a patron whose relay connection is cut gets the next message once, and its client stays connected', async () => {
    const { url } = await serve();
    const wire = cuttable();
    const reader = client(url, { WebSocket: wire.WebSocket });
    const writer = client(url);
    const errors: string[] = [];
    reader.on('error', ({ code }) => errors.push(code));
    const box = inbox();
    reader.addPatron('cut.*', box.callback);
    const brewer = writer.addBrewer('cut.x', { cipher: 'aes-cbc' });
    await Promise.all([reader.connect(), writer.connect()]);
    await matched(brewer);
    await brewer.brewText('one');
    expect(await box.next()).toBe('one');

    const told = once<PubkeeperError>((listener) => reader.on('error', listener));
    expect(wire.cut('pubkeeper-relay-2')).toBe(1);
    expect((await told).code).toBe('CONNECTION_LOST');
    await brewer.brewText('two'); // the relay keeps it as the last value if the patron is not connected yet
    expect(await box.next()).toBe('two');
    expect(reader.state).toBe('connected');
    expect(errors).toEqual(['CONNECTION_LOST']);
  });

  it('messages of matched pairs arrive while the control server is gone, and the pairs stay matched when it is back', async () => {
    const control = await serve();
    const relay = await serve();
    const at = { hostname: '127.0.0.1', port: relay.port };
    const reader = client(control.url);
    const writer = client(control.url, { brews: [new WebSocketBrew(at)] });
    reader.on('error', () => undefined);
    writer.on('error', () => undefined);
    const box = inbox();
    const patron = reader.addPatron('gone.*', box.callback);
    const changes: string[] = [];
    const brewer = writer.addBrewer('gone.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await matched(brewer);
    await brewer.brewText('0');
    expect(await box.next()).toBe('0');
    patron.on('added', () => changes.push('added'));
    patron.on('removed', () => changes.push('removed'));
    brewer.on('added', () => changes.push('added'));
    brewer.on('removed', () => changes.push('removed'));

    await control.close();
    await Promise.all([state(reader, 'reconnecting'), state(writer, 'reconnecting')]);
    for (let i = 1; i <= 100; i++) {
      await brewer.brewText(String(i));
      expect(await box.next()).toBe(String(i));
    }
    await serve(control.port);
    await Promise.all([state(reader, 'connected'), state(writer, 'connected')]);
    await brewer.brewText('end');
    expect(await box.next()).toBe('end');
    expect(changes).toEqual([]);
  });

  it('pairs end when the server stays away for longer than graceMs, and the client still connects again', async () => {
    const first = await serve();
    const reader = client(first.url, { reconnect: { ...QUICK, graceMs: 100 } });
    reader.on('error', () => undefined);
    const patron = reader.addPatron('grace.*', () => undefined);
    const writer = client(first.url);
    writer.on('error', () => undefined);
    const brewer = writer.addBrewer('grace.x');
    await Promise.all([reader.connect(), writer.connect()]);
    await matched(brewer);
    const states: string[] = [];
    reader.on('state', (now) => states.push(now));
    const released = once<unknown>((listener) => patron.on('removed', listener));
    await first.close();
    await released;
    await serve(first.port);
    await state(reader, 'connected');
    expect(states).toEqual(['reconnecting', 'disconnected', 'connecting', 'connected']);
  });
});

describe('a removed brewer', () => {
  it.each<[string, () => Brew]>([
    ['WebSocketBrew', () => new WebSocketBrew()],
    ['LocalBrew', () => new LocalBrew()],
    ['BroadcastChannelBrew', () => new BroadcastChannelBrew()],
  ])('still delivers what it brewed before its patron was connected, over a %s', async (_, brew) => {
    const { url } = await serve();
    for (const cipher of ['aes-gcm', 'aes-cbc', 'none'] as const) {
      const [writer, reader] = [client(url, { brews: [brew()] }), client(url, { brews: [brew()] })];
      const box = inbox();
      reader.addPatron(`${cipher}.*`, box.callback);
      await reader.connect();
      const brewer = writer.addBrewer(`${cipher}.words`, { cipher });
      brewer.on('matched', () => {
        void brewer.brewText('first');
        void brewer.brewText('last');
        writer.removeBrewer(brewer);
      });
      await writer.connect();
      expect([await box.next(), await box.next()]).toEqual(['first', 'last']);
    }
  });
});

it('for await over a patron yields its messages, and ends when the client disconnects', async () => {
  const { url } = await serve();
  const both = client(url, { brews: [new MemoryBrew()] });
  const patron = both.addPatron('for.*');
  const brewer = both.addBrewer('for.await');
  const texts: string[] = [];
  const reading = (async () => {
    for await (const message of patron) {
      texts.push(message.text());
      if (texts.length === 2) void both.disconnect();
    }
  })();
  await both.connect();
  await matched(brewer);
  await brewer.brewText('a');
  await brewer.brewText('b');
  await reading;
  expect(texts).toEqual(['a', 'b']);
});

it('for await over a patron ends at disconnect() also when the client was never connected', async () => {
  const idle = client('ws://127.0.0.1:9');
  const patron = idle.addPatron('for.*');
  const reading = patron[Symbol.asyncIterator]().next();
  await idle.disconnect();
  expect(await reading).toEqual({ value: undefined, done: true });
});
