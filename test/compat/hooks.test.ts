import { describe, expect, it } from 'vitest';
import { Brewer, Patron, PubkeeperClient, type ClientOptions, type WebSocketConstructor } from '../../src/index.js';
import { encodeFrame, FRAME_HEADER, type MakeSealer, type Opener } from '../../src/core/index.js';
import { counting, Inbox, JWT, later, native, nowhere, serve } from './helpers.js';

// Options of the core that were added for the compat layer, as users of the core have them.

function client(server: string, options: Partial<ClientOptions>): PubkeeperClient {
  const made = new PubkeeperClient({ server, token: JWT, ...options });
  later(() => made.disconnect());
  return made;
}

const QUICK = { delayMs: 5, maxDelayMs: 5 };

describe('retryFirst', () => {
  it('is off by default, so that a first attempt that fails is final', async () => {
    const errors: string[] = [];
    const url = await nowhere();
    const { WebSocket, urls } = counting();
    const impatient = client(url, { reconnect: QUICK, WebSocket: WebSocket as unknown as WebSocketConstructor });
    impatient.on('error', ({ code }) => errors.push(code));
    await expect(impatient.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    // Wait as long as another client needs to retry several times.
    const patient = client(url, { reconnect: QUICK, retryFirst: true });
    const failures = new Inbox<string>();
    patient.on('error', ({ code }) => failures.put(code));
    patient.connect().catch(() => undefined);
    for (let i = 0; i < 5; i++) await failures.next();
    expect([urls.length, errors, impatient.state]).toEqual([1, [], 'disconnected']);
  });

  it('retries, reports each failure, and connects when the server is there', async () => {
    const url = await nowhere();
    const patient = client(url, { reconnect: QUICK, retryFirst: true });
    const errors = new Inbox<string>();
    patient.on('error', ({ code }) => errors.put(code));
    const states: string[] = [];
    patient.on('state', (state) => states.push(state));
    const connected = patient.connect();
    expect([await errors.next(), await errors.next()]).toEqual(['CONNECT_FAILED', 'CONNECT_FAILED']);
    await serve({ port: Number(new URL(url).port) });
    await connected;
    expect(states).toEqual(['connecting', 'connected']);
  });
});

describe('reconnect.maxRetries', () => {
  it('limits the retries of a first connection', async () => {
    const patient = client(await nowhere(), { retryFirst: true, reconnect: { ...QUICK, maxRetries: 2 } });
    let errors = 0;
    patient.on('error', () => errors++);
    await expect(patient.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    expect(patient.state).toBe('disconnected');
    expect(errors).toBe(2);
  });

  it('limits the retries of a lost connection', async () => {
    const server = await serve();
    const lost = client(server.url, { reconnect: { ...QUICK, maxRetries: 1 } });
    const errors = new Inbox<string>();
    lost.on('error', ({ code }) => errors.put(code));
    await lost.connect();
    await server.close();
    expect([await errors.next(), await errors.next()]).toEqual(['CONNECTION_LOST', 'CONNECT_FAILED']);
    expect(lost.state).toBe('disconnected');
  });

  it('is 0 when reconnect is false: a lost connection is final, and connect() is not retried', async () => {
    const server = await serve();
    const lost = client(server.url, { reconnect: false, retryFirst: true });
    const errors: string[] = [];
    lost.on('error', ({ code }) => errors.push(code));
    const states = new Inbox<string>();
    lost.on('state', (state) => states.put(state));
    await lost.connect();
    await server.close();
    expect([await states.next(), await states.next(), await states.next()]).toEqual(['connecting', 'connected', 'disconnected']);
    await expect(lost.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    expect(errors).toEqual(['CONNECTION_LOST']);
  });

  it('must be a number, 0 or more', () => {
    expect(() => client('ws://127.0.0.1:9', { reconnect: { maxRetries: -1 } })).toThrow(/maxRetries must be a number/);
  });
});

it('a brewer and a patron may have a custom cipher', async () => {
  const server = await serve();
  const flip = (data: Uint8Array) => data.map((byte) => byte ^ 0xff);
  const cipher: MakeSealer = (identity) => ({
    cipher: 'custom',
    config: { mode: 'FLIP', key: '' },
    seal: (message) => encodeFrame(identity, flip(message)),
    sealBundle: undefined,
  });
  const opener: Opener = {
    cipher: 'custom',
    isWhole: () => true,
    open: (frame) => flip(frame.subarray(FRAME_HEADER)),
    openAll: undefined,
  };
  const got = new Inbox<string>();
  const [reader, writer] = [native(server), native(server)];
  reader.addPatron(
    new Patron('own.*', (_data, message) => got.put(message.text()), {
      crypto: 'required',
      opener: (config) => (config.cipher?.mode === 'FLIP' ? opener : undefined),
    }),
  );
  const own = writer.addBrewer(new Brewer('own.x', { cipher }));
  const usual = writer.addBrewer('own.y');
  await Promise.all([reader.connect(), writer.connect()]);
  for (const brewer of [own, usual]) {
    if (!brewer.isMatched) await new Promise((resolve) => brewer.on('matched', resolve));
    await brewer.brewText('grüezi');
    expect(await got.next()).toBe('grüezi');
  }
  expect(own.cipher).toBe(cipher);
});
