import { WebSocket } from 'ws';
import { describe, expect, it } from 'vitest';
import { WebSocketBrew, type Brewer } from '../../src/compat/index.js';
import { compat, deferred, Inbox, native, relayOf, serve, text } from './helpers.js';

describe('waitForBrews', () => {
  /** A brewer that is connected to its server, but reaches its relay only after a call of `open`. */
  async function waiting(waitForBrews: boolean | number | undefined) {
    const server = await serve();
    // Until then, its attempts to connect to the relay fail and are repeated.
    let isOpen = false;
    class Gated extends WebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(isOpen ? url : 'ws://127.0.0.1:9', protocols);
      }
    }
    const brew = new WebSocketBrew({ brewerConfig: relayOf(server), WebSocket: Gated, maxTimeout: 20 });
    const errors = new Inbox<string>();
    brew.on('error', () => undefined);
    const writer = compat(server, { brews: [brew] });
    writer.on('error', ({ message }) => errors.put(message));
    const matched = deferred<Brewer>();
    writer.addBrewer('gated.x', { waitForBrews }, (brewer) => matched.resolve(brewer));
    const reader = native(server);
    const texts = new Inbox<string>();
    reader.addPatron('gated.x', (data) => texts.put(text(data)));
    await Promise.all([reader.connect(), writer.connect()]);
    const brewer = await matched.promise;
    return { brewer, texts, errors, writer, open: () => (isOpen = true) };
  }

  it('rejects with "all brews are not ready" when the wait is over, and the message is not sent later', async () => {
    const { brewer, texts, errors, open } = await waiting(undefined);
    await expect(brewer.brewText('lost', { waitForBrews: 30 })).rejects.toThrow(/^all brews are not ready$/);
    expect(await errors.next()).toBe('all brews are not ready');
    open();
    await brewer.brewText('arrives', { waitForBrews: 60_000 });
    expect(await texts.next()).toBe('arrives');
    expect(texts.all).toEqual(['arrives']);
  });

  it('is 500 ms by default, and with true', async () => {
    const { brewer } = await waiting(undefined);
    const started = performance.now();
    const waits = [brewer.brewText('a'), brewer.brewText('b', { waitForBrews: true })].map(async (sent) => {
      await expect(sent).rejects.toThrow('all brews are not ready');
      return performance.now() - started;
    });
    for (const took of await Promise.all(waits)) {
      expect(took).toBeGreaterThan(450);
      expect(took).toBeLessThan(2500);
    }
  });

  it('keeps waiting messages in order, with the bytes that they had when brew() was called', async () => {
    const { brewer, texts, open } = await waiting(60_000);
    const data = new TextEncoder().encode('first');
    const buffer = Buffer.from('of Node');
    const raw = new TextEncoder().encode('raw').buffer;
    const seen = new TextEncoder().encode('a view').buffer;
    const sent = [brewer.brew(data), brewer.brew(buffer), brewer.brew(raw), brewer.brew(new DataView(seen)), brewer.brewText('second')];
    for (const bytes of [data, buffer, new Uint8Array(raw), new Uint8Array(seen)]) bytes.fill(0);
    open();
    await Promise.all(sent);
    await brewer.brewText('third');
    for (const expected of ['first', 'of Node', 'raw', 'a view', 'second', 'third']) expect(await texts.next()).toBe(expected);
  });

  it('keeps the order of messages that wait and messages that do not, also after one whose wait is over', async () => {
    const { brewer, texts, open } = await waiting(60_000);
    const given = brewer.brewText('given up', { waitForBrews: 20 });
    const sent = [
      brewer.brewText('one', { waitForBrews: false }),
      brewer.brewText('two'),
      brewer.brewText('three', { waitForBrews: false }),
      brewer.brewText('four'),
    ];
    await Promise.all([sent[0], sent[2], expect(given).rejects.toThrow('all brews are not ready')]);
    open();
    await Promise.all(sent);
    await brewer.brewText('five');
    for (const expected of ['one', 'two', 'three', 'four', 'five']) expect(await texts.next()).toBe(expected);
  });

  it('false resolves at once, and the message is sent when the brew is connected', async () => {
    const { brewer, texts, open } = await waiting(false);
    expect(await brewer.brewText('patient')).toBeUndefined();
    open();
    expect(await texts.next()).toBe('patient');
  });

  it('resolves when nobody is matched any more', async () => {
    const { brewer, writer } = await waiting(600_000);
    const sent = brewer.brewText('nobody left');
    await writer.disconnect();
    expect(await sent).toBeUndefined();
  });

  it('rejects without an unhandled rejection when nobody catches it', async () => {
    const { brewer, errors } = await waiting(10);
    void brewer.brewText('lost');
    expect(await errors.next()).toBe('all brews are not ready');
  });
});
