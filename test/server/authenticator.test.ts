// Custom authenticators: with late, unusual or wrong answers.
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { hashToken } from '../../src/server/auth.js';
import { CloseCode } from '../../src/server/index.js';
import type { Authenticator, Rights } from '../../src/server/index.js';
import { start, until } from './harness.js';
import { RawControl } from './raw-client.js';

const ALL: Rights = { mayRead: () => true, mayWrite: () => true };

/** An answer of another realm, as with a test runner or an embedding. */
const foreign = (value: unknown): Promise<Rights | undefined> => runInNewContext('Promise.resolve(value)', { value }) as Promise<Rights | undefined>;

describe('a custom authenticator', () => {
  it.each<[string, Authenticator['authenticate']]>([
    ['promises of another realm', (token) => foreign(token === 'good' ? ALL : undefined)],
    // As from a session that may have no end: the types have to allow it with `exactOptionalPropertyTypes`, too.
    ['rights with undefined for what they may have', (token) => (token === 'good' ? { ...ALL, reads: undefined, expiresAt: undefined } : undefined)],
    ['what has nothing but then()', (token) => ({ then: (resolve: (rights: unknown) => void) => resolve(token === 'good' ? ALL : undefined) }) as Promise<Rights | undefined>],
  ])('may answer by %s', async (_name, authenticate) => {
    const server = await start({ tokens: { authenticate } });
    const [good, bad] = [await RawControl.open(server.url, '1.1'), await RawControl.open(server.url, '1.1')];
    expect(await good.authenticate('good')).toMatchObject({ authenticated: true });
    bad.send(1, { token: 'bad' });
    expect(await bad.expect(2)).toEqual({ authenticated: false });
    expect(await bad.expect(99)).toMatchObject({ code: 'UNAUTHORIZED' });
    expect((await bad.closed).code).toBe(CloseCode.UNAUTHORIZED);
    expect(server.stats().clients).toBe(1);
  });

  it.each([
    ['true', true],
    ['rights without functions', { mayRead: true, mayWrite: true }],
    ['half of them', { mayRead: () => true }],
    ['an expiry that is no number', { ...ALL, expiresAt: '2030-01-01' }],
    ['readable topics that are no list', { ...ALL, reads: 'a.b' }],
    ['readable topics that are no patterns', { ...ALL, reads: ['a..b'] }],
  ])('authenticates nobody by %s, and the log says what the answer must be', async (_name, answer) => {
    const told: string[] = [];
    const logger = { warn: () => undefined, error: (...data: unknown[]) => void told.push(data.map(String).join(' ')) };
    const server = await start({ tokens: { authenticate: () => answer as unknown as Rights }, logger });
    const client = await RawControl.open(server.url, '1.1');
    client.send(1, { token: 'any' });
    expect((await client.closed).code).toBe(CloseCode.SERVER_FAULT);
    expect(server.stats().clients).toBe(0);
    expect(told).toEqual([expect.stringContaining('authenticate() must return { mayRead(topic), mayWrite(topic)')]);
  });
});

it('a client that disconnects while its token is checked is not authenticated', async () => {
  let admit: ((rights: Rights) => void) | undefined;
  const checked = new Promise<Rights>((resolve) => (admit = resolve));
  const server = await start({ tokens: { authenticate: () => checked } });
  const client = await RawControl.open(server.url, '1.1');
  client.send(1, { token: 'x' });
  await until(() => admit !== undefined);
  client.socket.terminate();
  await until(() => server.stats().controlConnections === 0);
  admit!(ALL);
  await checked;
  await until(() => true);
  expect(server.stats()).toMatchObject({ controlConnections: 0, clients: 0 });
});

it.each([undefined, null, 'down'])('an authenticator that rejects with %s, which is not an error, costs one connection', async (why) => {
  const told: unknown[] = [];
  const server = await start({ tokens: { authenticate: () => Promise.reject(why) }, logger: { warn: () => undefined, error: (...data: unknown[]) => void told.push(data[0]) } });
  const client = await RawControl.open(server.url, '1.1');
  client.send(1, { token: 'x' });
  expect((await client.closed).code).toBe(CloseCode.SERVER_FAULT);
  expect(told).toEqual([expect.stringContaining('A control connection ended by a fault of the server')]);
});

it('a connection is closed when its token is not checked in time, and the error says that a token came', async () => {
  // The fake clock moves when the token has come, however long that takes on a busy machine.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  let isAsked!: () => void;
  const asked = new Promise<void>((resolve) => (isAsked = resolve));
  const server = await start({ authMs: 50, tokens: { authenticate: () => (isAsked(), new Promise(() => undefined)) } });
  const client = await RawControl.open(server.url);
  client.send(1, { token: 'x' });
  await asked;
  vi.advanceTimersByTime(50);
  expect(await client.expect(99)).toMatchObject({ code: 'TIMEOUT', message: 'The token was not checked within 50 ms.' });
  vi.advanceTimersByTime(2_000); // while a token is checked, nothing is read from its connection, not even the answer to the close, so it is cut
  expect((await client.closed).code).toBe(CloseCode.AUTH_TIMEOUT);
});

it('a client stays until its rights expire, also longer than the longest timer, and is closed then', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const lasts = 2 ** 31 + 60_000;
  const server = await start({ tokens: { authenticate: () => ({ ...ALL, expiresAt: Date.now() + lasts }) } });
  const client = await RawControl.open(server.url, '1.1');
  await client.authenticate('any');
  vi.advanceTimersByTime(lasts - 1);
  await client.settled();
  vi.advanceTimersByTime(1);
  expect((await client.closed).code).toBe(CloseCode.TOKEN_EXPIRED);
});

it('a client whose rights expire because the clock is set forward is closed within half a minute, and stays when it is set back', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const server = await start({ tokens: { authenticate: () => ({ ...ALL, expiresAt: Date.now() + 3_600_000 }) } });
  const client = await RawControl.open(server.url, '1.1');
  await client.authenticate('any');
  const at = Date.now();
  vi.setSystemTime(at - 3_600_000);
  vi.advanceTimersByTime(3_600_000);
  await client.settled();
  vi.setSystemTime(at + 3_600_000);
  vi.advanceTimersByTime(30_000);
  expect((await client.closed).code).toBe(CloseCode.TOKEN_EXPIRED);
});

describe('reload() with an authenticator', () => {
  const reloaded = async (compare: NonNullable<Authenticator['compare']>) => {
    const told: string[] = [];
    const logger = { warn: () => undefined, error: (line: unknown) => void told.push(String(line)) };
    const server = await start({ tokens: { authenticate: () => ALL }, logger });
    const clients = [await RawControl.open(server.url, '1.1'), await RawControl.open(server.url, '1.1')];
    for (const client of clients) await client.authenticate('any');
    server.reload({ tokens: { authenticate: () => undefined, compare } });
    return { codes: (await Promise.all(clients.map(({ closed }) => closed))).map(({ code }) => code), told };
  };

  it('that has not changed closes clients whose tokens it does not know any more, also one whose token is being checked', async () => {
    const known = new Set(['kept', 'revoked', 'late']);
    let admit!: () => void;
    let isAsked!: () => void;
    const asked = new Promise<void>((resolve) => (isAsked = resolve));
    const tokens: Authenticator = {
      authenticate: (token) => (token === 'late' ? (isAsked(), new Promise((resolve) => (admit = () => resolve(ALL)))) : ALL),
      compare: (hash) => ([...known].map(hashToken).includes(hash) ? 'same' : 'unknown'),
    };
    const server = await start({ tokens });
    const [kept, revoked, late] = [await RawControl.open(server.url, '1.1'), await RawControl.open(server.url, '1.1'), await RawControl.open(server.url, '1.1')];
    await kept.authenticate('kept');
    await revoked.authenticate('revoked');
    late.send(1, { token: 'late' });
    await asked;
    known.delete('revoked');
    known.delete('late');
    server.reload({ tokens });
    admit();
    expect([(await revoked.closed).code, (await late.closed).code]).toEqual([CloseCode.UNAUTHORIZED, CloseCode.UNAUTHORIZED]);
    await kept.settled();
    expect(server.stats()).toMatchObject({ clients: 1, drops: { unauthorized: 2 } });
  });

  it('that gives no verdict closes all clients so that they reconnect', async () => {
    const later = (() => Promise.resolve('same')) as unknown as () => 'same';
    expect(await reloaded(later)).toEqual({ codes: [CloseCode.TOKEN_EXPIRED, CloseCode.TOKEN_EXPIRED], told: [] });
  });

  it('that throws closes all clients so that they reconnect, and the log says why', async () => {
    const { codes, told } = await reloaded(() => {
      throw new Error('no database');
    });
    expect(codes).toEqual([CloseCode.SERVER_FAULT, CloseCode.SERVER_FAULT]);
    expect(told).toEqual(Array(2).fill(expect.stringMatching(/by a fault of the server: no database$/)));
  });
});
