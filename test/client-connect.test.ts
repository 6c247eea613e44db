import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PubkeeperError } from '../src/index.js';
import { createServer } from '../src/server/index.js';
import { certificate } from './brews/processes.js';
import { client, later, once, serve } from './client-kit.js';

describe('connect()', () => {
  it('rejects with CONNECT_FAILED when no server listens at the address', async () => {
    const server = await serve();
    await server.close();
    const lonely = client(server.url);
    await expect(lonely.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    expect(lonely.state).toBe('disconnected');
  });

  it('says that the server does not speak TLS when a wss: address leads to a server without TLS', async () => {
    const { url } = await serve();
    const hopeful = client(url.replace('ws:', 'wss:'));
    const message = `Cannot connect to ${url.replace('ws:', 'wss:')} (it does not speak TLS: try ws:// instead of wss://): check that a Pubkeeper server runs there.`;
    await expect(hopeful.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED', message });
  });

  it('says what to do about a certificate of a private authority, and about a ws: address that leads to a server with TLS', async () => {
    const files = certificate();
    later(() => Promise.resolve(files.remove()));
    const { url } = await serve(0, { cert: readFileSync(files.cert), key: readFileSync(files.key) });
    const cure = 'if it is signed by an authority of your own, start Node with NODE_EXTRA_CA_CERTS=<file in PEM>';
    // Node 24 and later add a hint of their own to the error, after ours.
    const message = `Cannot connect to ${url} (self-signed certificate: ${cure}): check that a Pubkeeper server runs there.`;
    const found = (await client(url).connect().catch((error: unknown) => error)) as PubkeeperError;
    expect({ code: found.code, message: found.message.replace(/; if the root CA [^;:]*--use-system-ca(?=\))/, '') }).toEqual({ code: 'CONNECT_FAILED', message });
    await expect(client(url.replace('wss:', 'ws:')).connect()).rejects.toThrow(/\(.*: if it speaks TLS, try wss:\/\/ instead of ws:\/\/\)/);
  });

  it('rejects with UNAUTHORIZED when the server refuses the token, and does not show the token', async () => {
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

  it('settles each of several calls, whether they share a signal or not, and none that fails is an unhandled rejection', async () => {
    const server = await serve();
    const several = client(server.url);
    const { signal } = new AbortController();
    await Promise.all([several.connect(), several.connect(), several.connect({ signal }), several.connect({ signal })]);
    expect(several.state).toBe('connected');
    await server.close();
    await several.disconnect();
    void several.connect({ signal });
    await expect(several.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
  });

  it('rejects only the call whose signal is aborted; another call goes on waiting', async () => {
    const patient = client((await serve()).url);
    const aborter = new AbortController();
    const first = patient.connect();
    const second = patient.connect({ signal: aborter.signal });
    aborter.abort();
    await expect(second).rejects.toMatchObject({ code: 'ABORTED' });
    await first;
    expect(patient.state).toBe('connected');
  });

  it('is not aborted by the signal of an earlier attempt that has ended', async () => {
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

  it('rejects with ABORTED when its signal is aborted, and may be called again', async () => {
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

  it('reports a brewer that may not write, and connects nevertheless', async () => {
    const server = await createServer({ port: 0, tokens: { reader: [{ topic: 'open.**', read: true }] } });
    later(() => server.close());
    const reader = client(server.url, { token: 'reader' });
    const brewer = reader.addBrewer('open.x');
    const refused = once<PubkeeperError>((listener) => reader.on('error', listener));
    await reader.connect();
    expect(await refused).toMatchObject({ code: 'FORBIDDEN', details: { brewer_id: brewer.brewerId } });
  });
});
