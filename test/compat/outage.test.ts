import { WebSocket } from 'ws';
import { describe, expect, it } from 'vitest';
import { WebSocketBrew, type Brewer, type CustomBrew } from '../../src/compat/index.js';
import { until } from '../server/harness.js';
import { compat, deferred, Inbox, relayOf, serve, text } from './helpers.js';

// What a relay connection needs of the control connection: whether the server has a heartbeat, and how often the connection was lost.

describe('a relay connection of the compat API', () => {
  it('pings the relay of its own server, so that a dead link is noticed', async () => {
    const server = await serve();
    const asked = new Inbox<number>();
    class Seeing extends WebSocket {
      override send(data: Uint8Array): void {
        if (this.protocol === 'pubkeeper-relay-2' && data[0] === 60) asked.put(data[0]);
        super.send(data);
      }
    }
    const client = compat(server, { WebSocket: Seeing });
    client.addPatron('life.x');
    client.addBrewer('life.x');
    await client.connect();
    expect(await asked.next()).toBe(60);
  });

  it.each(['open', 'secured'] as const)('after a restart of the server keeps messages until the patron is back, %s', async (profile) => {
    const first = await serve({ profile });
    const way = { isOpen: true };
    class Gated extends WebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(way.isOpen ? url : 'ws://127.0.0.1:1', protocols);
      }
    }
    const writing = compat(first);
    const reading = compat(first, { WebSocket: Gated });
    for (const client of [writing, reading]) client.on('error', () => undefined);
    const got = new Inbox<string>();
    reading.addPatron('again.*', (patron) => patron.on('message', (data) => got.put(text(data))));
    const matched = deferred<Brewer>();
    writing.addBrewer('again.x', { waitForBrews: 10_000 }, (brewer) => matched.resolve(brewer));
    // In this order, so that the server closes the brewer's connection first, before its pair could end.
    await writing.connect();
    await reading.connect();
    const brewer = await matched.promise;
    await brewer.brewText('before');
    expect(await got.next()).toBe('before');

    way.isOpen = false;
    await first.close();
    await until(() => writing.status === 'reconnecting' && reading.status === 'reconnecting');
    const second = await serve({ profile, port: first.port });
    expect(relayOf(second)).toEqual(relayOf(first));
    await until(() => writing.status === 'connected' && second.stats().relayConnections === 1);
    expect(brewer.isMatched).toBe(true);
    const brewed = ['one', 'two', 'three'].map((word) => brewer.brewText(word));
    await new Promise((resolve) => setImmediate(resolve));
    way.isOpen = true;
    await Promise.all(brewed);
    for (const word of ['one', 'two', 'three']) expect(await got.next()).toBe(word);
  });

  it('is not ready until the server has told of its pairs, and waitForBrews waits for that until its time is over', async () => {
    const first = await serve({ relayPort: 0 });
    const way = { toControl: true, toRelay: true };
    const gated = (relayToo: boolean) =>
      class extends WebSocket {
        constructor(url: string, protocols: string | string[] = []) {
          const isOpen = protocols.includes('pubkeeper-1.1') ? way.toControl : way.toRelay || !relayToo;
          super(isOpen ? url : 'ws://127.0.0.1:1', protocols);
        }
      };
    const writing = compat(first, { WebSocket: gated(false) });
    const reading = compat(first, { WebSocket: gated(true) });
    for (const client of [writing, reading]) client.on('error', () => undefined);
    const got = new Inbox<string>();
    reading.addPatron('word.*', (patron) => patron.on('message', (data) => got.put(text(data))));
    const matched = deferred<Brewer>();
    writing.addBrewer('word.x', (brewer) => matched.resolve(brewer));
    await Promise.all([writing.connect(), reading.connect()]);
    const brewer = await matched.promise;
    await brewer.brewText('before', { waitForBrews: 60_000 });
    expect(await got.next()).toBe('before');

    way.toControl = way.toRelay = false;
    await first.close();
    await until(() => writing.status === 'reconnecting');
    const second = await serve({ port: first.port, relayPort: relayOf(first).port });
    await until(() => second.stats().relayConnections === 1);
    await expect(brewer.brewText('lost', { waitForBrews: 50 })).rejects.toThrow('all brews are not ready');
    const sent = brewer.brewText('kept', { waitForBrews: 60_000 });
    way.toControl = way.toRelay = true;
    await sent;
    expect(await got.next()).toBe('kept');
  });

  it('that is down delays only brewers that are matched over it', async () => {
    const server = await serve();
    const gone = await serve();
    await gone.close();
    const frames = new Inbox<Uint8Array>();
    const bus: CustomBrew = {
      name: 'bus',
      connectBrewer: () => ({ brew: frames.put, close: () => undefined }),
      connectPatron: () => ({ close: () => undefined }),
    };
    const relay = new WebSocketBrew({ brewerConfig: relayOf(gone), maxTimeout: 40 });
    relay.on('error', () => undefined);
    const writing = compat(server, { brews: [bus, relay] });
    const [byBus, byRelay] = [deferred<Brewer>(), deferred()];
    writing.addBrewer('by.bus', byBus.resolve);
    writing.addBrewer('by.relay', () => byRelay.resolve());
    const reading = compat(server, { brews: [bus] });
    reading.addPatron('by.bus');
    const other = compat(server);
    other.on('error', () => undefined);
    other.addPatron('by.relay');
    await Promise.all([writing.connect(), reading.connect(), other.connect(), byRelay.promise]);
    await (await byBus.promise).brewText('free', { waitForBrews: 0 });
    await frames.next();
  });
});
