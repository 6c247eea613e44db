import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Patron, PubkeeperClient, WebSocketBrew, type Brewer, type ClientOptions, type PubkeeperError } from '../src/index.js';
import { createServer } from '../src/server/index.js';
import { certificate } from './brews/processes.js';
import { client, later, once, QUICK, serve } from './client-kit.js';

describe('what connect() rejects with', () => {
  it('says that nobody is there', async () => {
    const server = await serve();
    await server.close();
    const lonely = client(server.url);
    await expect(lonely.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    expect(lonely.state).toBe('disconnected');
  });

  it('says so when wss: leads to a server without TLS', async () => {
    const { url } = await serve();
    const hopeful = client(url.replace('ws:', 'wss:'));
    const message = `Cannot connect to ${url.replace('ws:', 'wss:')} (it does not speak TLS: try ws:// instead of wss://): check that a Pubkeeper server runs there.`;
    await expect(hopeful.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED', message });
  });

  it('says what to do where the server speaks TLS with a certificate of an own authority, and where ws: leads to it', async () => {
    const files = certificate();
    later(() => Promise.resolve(files.remove()));
    const { url } = await serve(0, { cert: readFileSync(files.cert), key: readFileSync(files.key) });
    const cure = 'if it is signed by an authority of your own, start Node with NODE_EXTRA_CA_CERTS=<file in PEM>';
    // From 24 on, Node adds what it knows itself to the name of the fault: it comes after ours.
    const message = `Cannot connect to ${url} (self-signed certificate: ${cure}): check that a Pubkeeper server runs there.`;
    const found = (await client(url).connect().catch((error: unknown) => error)) as PubkeeperError;
    expect({ code: found.code, message: found.message.replace(/; if the root CA [^;:]*--use-system-ca(?=\))/, '') }).toEqual({ code: 'CONNECT_FAILED', message });
    await expect(client(url.replace('wss:', 'ws:')).connect()).rejects.toThrow(/\(.*: if it speaks TLS, try wss:\/\/ instead of ws:\/\/\)/);
  });

  it('says that the token is refused, without showing it', async () => {
    const { url } = await serve();
    const refused = client(url, { token: 'wrong-token' });
    const error = await refused.connect().then(
      () => undefined,
      (cause: unknown) => cause as PubkeeperError,
    );
    expect(error?.code).toBe('UNAUTHORIZED');
    expect(JSON.stringify([error?.message, error?.details])).not.toContain('wrong-token');
    expect(refused.state).toBe('disconnected');
  });

  it('is aborted for the one whose signal it was; another one who waits goes on waiting', async () => {
    const patient = client((await serve()).url);
    const aborter = new AbortController();
    const first = patient.connect();
    const second = patient.connect({ signal: aborter.signal });
    aborter.abort();
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
    await first;
    expect(patient.state).toBe('connected');
  });

  it('is not aborted by the signal of an attempt that has ended', async () => {
    const patient = client((await serve()).url);
    const aborter = new AbortController();
    const former = patient.connect({ signal: aborter.signal });
    void patient.disconnect();
    const present = patient.connect();
    aborter.abort();
    await expect(former).rejects.toMatchObject({ code: expect.stringMatching(/ABORTED|CONNECTION_CLOSED/) as string });
    await present;
    expect(patient.state).toBe('connected');
  });

  it.each([
    [{ brews: [WebSocketBrew] }, /new WebSocketBrew/],
    [{ brews: [{}] }, /must list brews/],
    [{ brews: [null] }, /must list brews/],
  ])('is not made with brews that are none: %j', (options, sentence) => {
    const made = (): unknown => new PubkeeperClient({ server: 'ws://127.0.0.1:9', token: 'x', ...options } as unknown as ClientOptions);
    expect(made).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(sentence) as string }) as Error);
  });

  it('refuses a signal that is none, and is as it was before', async () => {
    const plain = client((await serve()).url);
    const signal = {} as AbortSignal;
    await expect(plain.connect({ signal })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    expect(plain.state).toBe('disconnected');
    const patron = new Patron('a');
    expect(() => plain.addPatron(patron, undefined, { signal })).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
    plain.addPatron(patron);
    await plain.connect();
  });

  it('takes null and undefined for what is not given', async () => {
    const plain = client((await serve()).url, { reconnect: { ...QUICK, graceMs: undefined } as unknown as ClientOptions['reconnect'] & object });
    await plain.connect(null);
    const patron = plain.addPatron('a', () => undefined, null);
    const brewer = plain.addBrewer('a', null);
    for (const nobody of [undefined, null]) {
      plain.removePatron(nobody as unknown as Patron);
      plain.removeBrewer(nobody as unknown as Brewer);
    }
    expect(() => patron.on('added', undefined as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error);
    expect([patron.topic, brewer.topic, plain.state]).toEqual(['a', 'a', 'connected']);
    await expect(brewer.brewText(undefined as never)).rejects.toThrow('not undefined');
  });

  it('can be aborted, and tried again', async () => {
    const { url } = await serve();
    const aborter = new AbortController();
    const patient = client(url);
    const attempt = patient.connect({ signal: aborter.signal });
    aborter.abort();
    await expect(attempt).rejects.toMatchObject({ code: 'ABORTED' });
    expect(patient.state).toBe('disconnected');
    await expect(patient.connect({ signal: aborter.signal })).rejects.toMatchObject({ code: 'ABORTED' });
    await patient.connect();
    expect(patient.state).toBe('connected');
  });

  it('reports a brewer that may not write, and connects all the same', async () => {
    const server = await createServer({ port: 0, tokens: { reader: [{ topic: 'open.**', read: true }] } });
    later(() => server.close());
    const reader = client(server.url, { token: 'reader' });
    const brewer = reader.addBrewer('open.x');
    const refused = once<PubkeeperError>((listener) => reader.on('error', listener));
    await reader.connect();
    expect(await refused).toMatchObject({ code: 'FORBIDDEN', details: { brewer_id: brewer.brewerId } });
  });
});
