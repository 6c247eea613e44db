import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { ReconnectingConnection } from '../../src/core/reconnect.js';
import type { Opener } from '../../src/core/ciphers/cipher.js';
import { Patron } from '../../src/core/patron.js';
import { bytes, id, rawFrame, settle } from '../helpers.js';
import { Network } from '../socket-pair.js';
import { brewerKit, patron as matched } from './brewer-kit.js';

// A frame in a page has its own Uint8Array, as Node has in a test that runs in jsdom.

const foreign = runInNewContext('({ Uint8Array, ArrayBuffer })') as { Uint8Array: typeof Uint8Array; ArrayBuffer: typeof ArrayBuffer };
/** `data` as bytes of another realm, at some offset of their buffer. */
const abroad = (data: Uint8Array): Uint8Array => new foreign.Uint8Array([0, ...data]).subarray(1);
const bufferOf = (data: Uint8Array): ArrayBuffer => new foreign.Uint8Array(data).buffer as ArrayBuffer;

describe('bytes of another realm', () => {
  it('are brewed', async () => {
    const { brewer, x, errors } = brewerKit();
    brewer.newPatrons([matched(1)]);
    expect(abroad(bytes('a')) instanceof Uint8Array).toBe(false);
    await brewer.brew(abroad(bytes('view')));
    await brewer.brew(bufferOf(bytes('buffer')));
    expect([x.texts, errors]).toEqual([['view', 'buffer'], []]);
  });

  it('are delivered', () => {
    const got: string[] = [];
    const patron = new Patron('a.*', (data, message) => got.push(`${data instanceof Uint8Array} ${message.text()}`));
    patron.newBrewers([{ topic: 'a.b', brewer_id: id(1), brewer_config: {}, brew: { name: 'x' } }]);
    patron._handleCallback(id(1), abroad(rawFrame('a.b', id(1), 'view')));
    patron._handleCallback(id(1), bufferOf(rawFrame('a.b', id(1), 'buffer')));
    patron._handleCallback(id(1), new DataView(bufferOf(rawFrame('a.b', id(1), 'other view'))) as never);
    expect([got, patron.dropped]).toEqual([['true view', 'true buffer', 'true other view'], {}]);
  });

  it('are received from a socket', () => {
    const network = new Network();
    const onMessage = vi.fn();
    const onFault = vi.fn();
    const connection = new ReconnectingConnection({
      url: 'ws://any',
      protocols: ['p'],
      WebSocket: network.WebSocket,
      timeoutMs: 1000,
      reconnect: { delayMs: 0, maxDelayMs: 0, stableMs: 0, graceMs: 0, maxRetries: 0 },
      onOpen: () => undefined,
      onMessage,
      onFault,
      onDown: () => undefined,
      onClose: () => undefined,
    });
    const socket = network.sockets[0]!;
    socket.open();
    for (const data of [bufferOf(bytes('buffer')), abroad(bytes('view')), 'text']) socket.onmessage?.({ data } as never);
    expect(onMessage.mock.calls).toEqual([[bytes('buffer')], [bytes('view')]]);
    expect(onFault).toHaveBeenCalledTimes(1);
    connection.abandon({} as never);
  });

  it.each<[string, unknown]>([
    ['what only has the prototype of bytes', Object.create(Uint8Array.prototype)],
    ['what has a buffer that is none', { buffer: {}, byteOffset: 0, byteLength: 0 }],
    ['what calls itself bytes', { [Symbol.toStringTag]: 'Uint8Array' }],
    ['nothing', undefined],
  ])('are dropped as malformed: %s', (_, data) => {
    const patron = new Patron('a.*');
    patron.newBrewers([{ topic: 'a.b', brewer_id: id(1), brewer_config: {}, brew: { name: 'x' } }]);
    patron._handleCallback(id(1), data as never);
    expect(patron.dropped).toEqual({ malformed: 1 });
  });
});

// A page under test may have borrowed Node's WebCrypto; the sandbox in which Next runs code for the edge is another realm too.
describe('promises of another realm', () => {
  const later = runInNewContext('(value) => Promise.resolve(value)') as <T>(value: T) => Promise<T>;

  it.each<[string, Opener]>([
    ['one by one', { cipher: 'custom', isWhole: () => true, open: (frame) => later(frame.subarray(88)) }],
    ['in bursts', { cipher: 'custom', isWhole: () => true, open: (frame) => later(frame.subarray(88)), openAll: (frames) => later(frames.map((frame) => frame.subarray(88))) }],
  ])('are awaited by a patron, %s', async (_, opener) => {
    expect(later(1) instanceof Promise).toBe(false);
    const got: string[] = [];
    const patron = new Patron('a.*', (_data, message) => got.push(message.text()), { opener: () => opener });
    patron.newBrewers([{ topic: 'a.b', brewer_id: id(1), brewer_config: {}, brew: { name: 'x' } }]);
    for (const text of ['one', 'two', 'three']) patron._handleCallback(id(1), rawFrame('a.b', id(1), text));
    await settle();
    expect([got, patron.dropped]).toEqual([['one', 'two', 'three'], {}]);
  });
});
