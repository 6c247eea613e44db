import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createServer as createHttp } from 'node:http';
import type { ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT, exportJWK, exportSPKI, generateKeyPair } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { describe, expect, it, vi } from 'vitest';
import { CloseCode, JWT_ALGORITHMS, JwtAuthenticator } from '../../src/server/index.js';
import type { JwtAlgorithm, JwtOptions } from '../../src/server/index.js';
import { connect, later, start } from './harness.js';
import { RawControl, dial, refusal } from './raw-client.js';
import { wycheproof } from '../vectors.js';

const SECRET = 'a secret of more than thirty-two bytes, for tests';
const BASE = { issuer: 'https://issuer.example', audience: 'pubkeeper' } as const;
const RIGHTS = [{ topic: 'plant.**', read: true, write: true }];

function sign(key: Parameters<SignJWT['sign']>[0], alg: string, claims: Record<string, unknown> = {}, kid = 'k1'): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const payload = { iss: BASE.issuer, aud: BASE.audience, exp: now + 600, rights: RIGHTS, ...claims };
  return new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(key);
}

const secret = new TextEncoder().encode(SECRET);
const hs256 = (options: Partial<JwtOptions> = {}): Promise<JwtAuthenticator> =>
  JwtAuthenticator.create({ ...BASE, key: SECRET, algorithms: ['HS256'], ...options });

describe('JwtAuthenticator', () => {
  it('accepts valid tokens of every algorithm, with keys from PEM, JWK, JWKS file and JWKS URL', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-jwt-'));
    later(() => rm(directory, { recursive: true }));
    for (const alg of JWT_ALGORITHMS.filter((one) => one !== 'HS256')) {
      const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
      const token = await sign(privateKey, alg);
      const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg };
      const file = join(directory, `${alg}.json`);
      await writeFile(file, JSON.stringify({ keys: [jwk] }));
      const http = createHttp((_request, response) => response.end(JSON.stringify({ keys: [jwk] }))).listen(0, '127.0.0.1');
      await once(http, 'listening');
      later(async () => void http.close());
      const jwksUrl = `http://127.0.0.1:${(http.address() as AddressInfo).port}/jwks`;
      // Tokens that are signed with another key must be refused.
      const other = await generateKeyPair(alg);
      for (const source of [{ key: await exportSPKI(publicKey) }, { key: JSON.stringify(jwk) }, { keyFile: file }, { jwksUrl }]) {
        const authenticator = await JwtAuthenticator.create({ ...BASE, algorithms: [alg], ...source });
        const rights = await authenticator.authenticate(token);
        expect([rights?.mayRead('plant.1'), rights?.mayWrite('office.1')]).toEqual([true, false]);
        expect(await authenticator.authenticate(await sign(other.privateKey, alg))).toBeUndefined();
      }
    }
    // The timeout is longer because making an RSA key can take seconds on a busy machine.
    expect(await (await hs256()).authenticate(await sign(secret, 'HS256'))).toBeDefined();
  }, 30_000);

  it('says what is wrong with a token, and shows nothing of its content', async () => {
    const authenticator = await hs256();
    const wrong: [string, string][] = [
      ['nothing.of.it', 'it is not a JWT'],
      [await sign(secret, 'HS256', { exp: undefined }), 'missing required "exp" claim'],
      [await sign(secret, 'HS256', { exp: 1000 }), '"exp" claim timestamp check failed'],
      [await sign(secret, 'HS256', { iss: 'else' }), 'unexpected "iss" claim value'],
      [await sign(new TextEncoder().encode('x'.repeat(40)), 'HS256'), 'signature verification failed'],
      [await sign((await generateKeyPair('ES256')).privateKey, 'ES256'), '"alg" (Algorithm) Header Parameter value not allowed'],
      [await sign(secret, 'HS256', { rights: 'everything' }), 'its claim "rights" is missing or malformed'],
    ];
    for (const [token, why] of wrong) expect(await authenticator.check(token)).toBe(why);
    expect(await authenticator.check(await sign(secret, 'HS256'))).toMatchObject({ reads: ['plant.**'] });
  });

  it('refuses every token with wrong claims or a wrong signature', async () => {
    const now = Math.floor(Date.now() / 1000);
    const authenticator = await hs256();
    for (const claims of [
      { iss: 'https://else.example' },
      { aud: 'else' },
      { exp: now - 61 },
      { exp: undefined },
      { nbf: now + 120 },
      { rights: undefined },
      { rights: [{ topic: 'a..b', read: true }] },
      { rights: [{ topic: '**', admin: true }] },
      { rights: [{ topic: '**' }] },
      { rights: 'everything' },
    ]) {
      expect(await authenticator.authenticate(await sign(secret, 'HS256', claims)), JSON.stringify(claims)).toBeUndefined();
    }
    const good = await sign(secret, 'HS256');
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${good.split('.')[1]}.`;
    for (const token of ['', 'x', '..', none, good.slice(0, -2), `${good}x`, await sign(new TextEncoder().encode(`${SECRET}!`), 'HS256')]) {
      expect(await authenticator.authenticate(token)).toBeUndefined();
    }
  });

  it('does not accept a public key as a secret', async () => {
    const { publicKey } = await generateKeyPair('RS256', { extractable: true });
    const pem = await exportSPKI(publicKey);
    const authenticator = await JwtAuthenticator.create({ ...BASE, key: pem, algorithms: ['RS256'] });
    expect(await authenticator.authenticate(await sign(new TextEncoder().encode(pem), 'HS256'))).toBeUndefined();
    await expect(JwtAuthenticator.create({ ...BASE, key: pem, algorithms: ['HS256', 'RS256'] })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(JwtAuthenticator.create({ ...BASE, key: JSON.stringify(await exportJWK(publicKey)), algorithms: ['HS256'] })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });

  it.each<[string, Partial<JwtOptions>, RegExp]>([
    ['no algorithm', { algorithms: [] }, /"algorithms" must name at least one of HS256, RS256, ES256, EdDSA/],
    ['an algorithm that is none', { algorithms: ['none' as JwtAlgorithm] }, /"algorithms" must name/],
    ['no issuer', { issuer: '' }, /"issuer" must say/],
    ['a negative leeway', { leewaySeconds: -1 }, /"leewaySeconds" must be a number, 0 or more/],
    ['a leeway without an end', { leewaySeconds: Infinity }, /"leewaySeconds" must be a number, 0 or more/],
    ['a short secret', { key: 'x'.repeat(31) }, /at least 32 bytes/],
    ['a short secret as a JWK', { key: JSON.stringify({ kty: 'oct', k: Buffer.alloc(31).toString('base64url') }) }, /a secret of less than 32 bytes/],
    ['a set of keys for a secret', { key: '{"keys": []}' }, /a set of public keys, and HS256 needs a secret/],
    ['a secret for a key', { algorithms: ['ES256'] }, /must be a PEM public key, a JWK or a JWKS for ES256/],
    ['two sources', { keyFile: '/nowhere' }, /give one of/],
    ['keys that anybody on the way can change', { jwksUrl: 'http://keys.example/', key: undefined }, /must be an https URL/],
    ['keys of another host, whose URL begins as one of this machine', { jwksUrl: 'http://localhost:80@keys.example/', key: undefined }, /must be an https URL/],
    ['a URL with a password', { jwksUrl: 'https://name:secret of more@keys.example/', key: undefined }, /"jwksUrl" \(--jwt-jwks-url\) must not have a name and a password/],
    ['broken JSON', { key: '{secret' }, /is not JSON/],
    ['bytes', { key: Buffer.from(SECRET) as unknown as string }, /"key" must be a string/],
    ['a URL that is an object', { jwksUrl: new URL('https://keys.example/') as unknown as string, key: undefined }, /"jwksUrl" must be a string/],
    ['a name that is misspelt', { leeway: 5 } as Partial<JwtOptions>, /leeway/],
  ])('refuses %s', async (_what, options, why) => {
    const error = await hs256(options).then(() => undefined, (caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'OPTION_INVALID', message: expect.stringMatching(why) as string });
    expect(String(error)).not.toContain('secret of more');
  });

  it('accepts a secret of exactly 32 bytes, keys of an https URL, and a set of keys for several algorithms', async () => {
    await hs256({ key: 'x'.repeat(32) });
    await JwtAuthenticator.create({ ...BASE, jwksUrl: 'https://keys.example/', algorithms: ['ES256'] });
    const made = [await generateKeyPair('ES256', { extractable: true }), await generateKeyPair('EdDSA', { extractable: true })];
    const keys = await Promise.all(made.map(async ({ publicKey }) => ({ ...(await exportJWK(publicKey)), kid: 'k1' })));
    const several = await JwtAuthenticator.create({ ...BASE, key: JSON.stringify({ keys }), algorithms: ['ES256', 'EdDSA'] });
    for (const [index, alg] of (['ES256', 'EdDSA'] as const).entries()) expect(await several.check(await sign(made[index]!.privateKey, alg))).toMatchObject({ reads: ['plant.**'] });
  });

  it('gives rights that last until the token expires and the leeway after that, and compares them by keys and options', async () => {
    const [one, same, other] = [await hs256(), await hs256(), await hs256({ leewaySeconds: 61 })];
    const exp = Math.floor(Date.now() / 1000) + 600;
    const rights = (await one.authenticate(await sign(secret, 'HS256', { exp })))!;
    expect(rights.expiresAt).toBe((exp + 60) * 1000);
    expect([one, same, other].map((authenticator) => authenticator.compare('', rights))).toEqual(['same', 'same', 'changed']);
    expect((await hs256({ key: `${SECRET}!` })).compare('', rights)).toBe('changed');
    expect(one.compare('', { ...rights })).toBe('unknown');
  });

  it('refuses keys with which every token would be refused', async () => {
    const jwk = (type: 'ec' | 'rsa', options: object): JWK => generateKeyPairSync(type as 'ec', options as { namedCurve: string }).publicKey.export({ format: 'jwk' }) as JWK;
    const [ec, short] = [jwk('ec', { namedCurve: 'P-256' }), jwk('rsa', { modulusLength: 1024 })];
    const pem = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const good: readonly [unknown, JwtAlgorithm][] = [[ec, 'ES256'], [{ ...ec, alg: 'ES256', use: 'sig' }, 'ES256'], [{ keys: [short, { kty: 'new' }, ec] }, 'ES256']];
    for (const [key, algorithm] of good) await JwtAuthenticator.create({ ...BASE, key: JSON.stringify(key), algorithms: [algorithm] });
    const bad: readonly [unknown, JwtAlgorithm][] = [
      [ec, 'RS256'], [short, 'RS256'], [pem, 'RS256'], [{ kty: 'EC' }, 'ES256'], [{ ...ec, alg: 'ES384' }, 'ES256'],
      [{ keys: [] }, 'ES256'], [{ keys: [ec] }, 'RS256'], [{ kty: 'oct', k: '!'.repeat(50) }, 'HS256'],
    ];
    for (const [key, algorithm] of bad) {
      const made = JwtAuthenticator.create({ ...BASE, key: typeof key === 'string' ? key : JSON.stringify(key), algorithms: [algorithm] });
      await expect(made, JSON.stringify(key)).rejects.toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining(algorithm) as string });
    }
  });

  it.each([[null], ['text', 1], [null, generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })]])('refuses a set with elements that are not keys: %j', async (...keys) => {
    await expect(JwtAuthenticator.create({ ...BASE, key: JSON.stringify({ keys }), algorithms: ['ES256'] })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: 'Tokens cannot be checked: "key" is neither a JWK nor a JWKS.',
    });
  });

  it('ends a connection when its token expires, with a code after which the client reconnects', async () => {
    const server = await start({ tokens: await hs256({ leewaySeconds: 0 }) });
    // At least two seconds, as the token must be valid until it has been checked.
    const exp = Math.floor(Date.now() / 1000) + 3;
    const client = await connect(server, { token: await sign(secret, 'HS256', { exp }) });
    const { code } = await client.closed;
    expect(code).toBe(CloseCode.TOKEN_EXPIRED);
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
    expect(server.stats().drops).toEqual({ expired: 1 });
  });

  /** Serves the current result of `answer`; returns the URL. */
  async function keyServer(answer: (response: ServerResponse) => void): Promise<string> {
    const http = createHttp((_request, response) => answer(response)).listen(0, '127.0.0.1');
    await once(http, 'listening');
    later(async () => void http.close());
    return `http://127.0.0.1:${(http.address() as AddressInfo).port}/`;
  }

  it('does not refuse a token for good when its key is newer than the keys that were fetched a moment ago', async () => {
    const keys: JWK[] = [];
    const make = async (kid: string): Promise<CryptoKey> => {
      const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
      keys.push({ ...(await exportJWK(publicKey)), kid });
      return privateKey;
    };
    const jwksUrl = await keyServer((response) => response.end(JSON.stringify({ keys })));
    const told: string[] = [];
    const tell = (level: string) => (...data: unknown[]) => void told.push(`${level}: ${data.map(String).join(' ')}`);
    const tokens = await JwtAuthenticator.create({ ...BASE, jwksUrl, algorithms: ['ES256'] });
    const server = await start({ tokens, logger: { warn: tell('warn'), error: tell('error') } });
    const old = await make('old');
    const attempt = async (key: CryptoKey, kid: string): Promise<RawControl> => {
      const client = await RawControl.open(server.url);
      client.send(1, { token: await sign(key, 'ES256', {}, kid) });
      return client;
    };
    // The keys were fetched just now, so it is certain that this key is unknown.
    const stranger = await attempt(old, 'strange');
    expect((await stranger.closed).code).toBe(CloseCode.UNAUTHORIZED);
    expect(await (await attempt(old, 'old')).expect(2)).toMatchObject({ authenticated: true });
    const fresh = await make('new');
    expect((await (await attempt(fresh, 'new')).closed).code).toBe(CloseCode.SERVER_FAULT);
    // A stranger must not be able to cause an error in the log.
    expect(told).toEqual([expect.stringMatching(/^warn: .* was refused/), expect.stringMatching(/^warn: A token from 127\.0\.0\.1 was not accepted: .*keys were fetched less than 30 s ago/)]);
    expect(server.stats().drops).toEqual({ unauthorized: 2 });
    // A new authenticator fetches the current keys.
    server.reload({ tokens: await JwtAuthenticator.create({ ...BASE, jwksUrl, algorithms: ['ES256'], leewaySeconds: 59 }) });
    expect(await (await attempt(fresh, 'new')).expect(2)).toMatchObject({ authenticated: true });
  });

  it('fetches the keys again when they are ten minutes old, or half a minute and a token names an unknown key, also when the clock is set back', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    let keys: JWK[] = [{ ...(await exportJWK(publicKey)), kid: 'one' }];
    const asked: string[] = [];
    const jwksUrl = await keyServer((response) => (asked.push('asked'), response.end(JSON.stringify({ keys }))));
    const tokens = await JwtAuthenticator.create({ ...BASE, jwksUrl, algorithms: ['ES256'] });
    const token = async (kid: string): Promise<string> => sign(privateKey, 'ES256', { exp: Math.floor(Date.now() / 1000) + 86_400 }, kid);
    const [one, two] = [await token('one'), await token('two')];
    expect(await tokens.authenticate(one)).toBeDefined();
    let passed = 0;
    const now = performance.now.bind(performance);
    const steady = vi.spyOn(performance, 'now').mockImplementation(() => now() + passed);
    vi.useFakeTimers({ toFake: ['Date'] });
    later(async () => (steady.mockRestore(), void vi.useRealTimers()));
    vi.setSystemTime(Date.now() - 3_600_000);
    keys = [{ ...keys[0]!, kid: 'two' }];
    await expect(tokens.authenticate(two)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    passed = 30_000;
    expect(await tokens.authenticate(two)).toBeDefined();
    keys = [];
    expect([await tokens.authenticate(two), asked.length]).toEqual([expect.anything(), 2]);
    passed = 630_000;
    expect([await tokens.authenticate(two), asked.length]).toEqual([undefined, 3]);
  });

  it('does not accept a key that was withdrawn while the machine slept, during which the steady clock stands still', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    let keys: JWK[] = [{ ...(await exportJWK(publicKey)), kid: 'one' }];
    const jwksUrl = await keyServer((response) => response.end(JSON.stringify({ keys })));
    const tokens = await JwtAuthenticator.create({ ...BASE, jwksUrl, algorithms: ['ES256'] });
    const token = await sign(privateKey, 'ES256', { exp: Math.floor(Date.now() / 1000) + 86_400 }, 'one');
    expect(await tokens.authenticate(token)).toBeDefined();
    keys = [];
    vi.useFakeTimers({ toFake: ['Date'] });
    later(async () => void vi.useRealTimers());
    vi.setSystemTime(Date.now() + 8 * 3_600_000);
    expect(await tokens.authenticate(token)).toBeUndefined();
  });

  it('closes with SERVER_FAULT, not UNAUTHORIZED, when the keys cannot be fetched, and the log says from where and why', async () => {
    const jwksUrl = await keyServer((response) => response.writeHead(500).end());
    const tokens = await JwtAuthenticator.create({ ...BASE, jwksUrl: `${jwksUrl}?key=abc`, algorithms: ['ES256'] });
    const faults: unknown[] = [];
    const server = await start({ tokens, logger: { warn: () => undefined, error: (text: unknown) => void faults.push(text) } });
    const { privateKey } = await generateKeyPair('ES256');
    const client = await RawControl.open(server.url);
    client.send(1, { token: await sign(privateKey, 'ES256') });
    expect((await client.closed).code).toBe(CloseCode.SERVER_FAULT);
    expect(faults).toEqual([expect.stringContaining(`The keys at "${jwksUrl}" cannot be fetched (Expected 200 OK from the JSON Web Key Set HTTP response): check jwksUrl`)]);
  });

  it('accepts a token whose expiry is later than numbers go', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    const tokens = await JwtAuthenticator.create({ ...BASE, key: await exportSPKI(publicKey), algorithms: ['ES256'] });
    const server = await start({ tokens });
    await connect(server, { token: await sign(privateKey, 'ES256', { exp: Number.MAX_VALUE }) });
  });
});

interface JwsFile {
  readonly numberOfTests: number;
  readonly testGroups: readonly {
    readonly comment: string;
    readonly private?: Record<string, unknown>;
    readonly public?: Record<string, unknown>;
    readonly tests: readonly { readonly tcId: number; readonly comment: string; readonly jws: unknown; readonly result: string; readonly flags: readonly string[] }[];
  }[];
}

describe('Wycheproof, json_web_signature_test', () => {
  const file = wycheproof<JwsFile>('json_web_signature_test');
  it.skipIf(!file)('every case of a supported algorithm has the right outcome, and the others are counted', async () => {
    const inapplicable: Record<string, number> = {};
    const wrong: string[] = [];
    let applicable = 0;
    for (const group of file!.testGroups) {
      const jwk = group.public ?? group.private!;
      const algorithm = JWT_ALGORITHMS.find((one) => one === jwk['alg']) ?? (jwk['alg'] === undefined ? ({ RSA: 'RS256', EC: 'ES256' } as const)[String(jwk['kty'])] : undefined);
      if (!algorithm) {
        inapplicable[String(jwk['alg'])] = (inapplicable[String(jwk['alg'])] ?? 0) + group.tests.length;
        continue;
      }
      const authenticator = await JwtAuthenticator.create({ ...BASE, key: JSON.stringify(jwk), algorithms: [algorithm] });
      for (const { tcId, comment, jws, result } of group.tests) {
        // These two cases are about padding that was lost when the file was converted, so that their tokens are valid.
        // The other two are valid according to the file, although they contain a character that is not base64url.
        const why = { 367: 'padding lost', 370: 'padding lost', 372: 'stray character', 373: 'stray character' }[tcId];
        if (why) {
          inapplicable[why] = (inapplicable[why] ?? 0) + 1;
          const same = file!.testGroups.some(({ tests }) => tests.some((other) => other.jws === jws && other.result === 'valid'));
          const opened = await authenticator.open(String(jws));
          expect([opened !== undefined, same]).toEqual(why === 'padding lost' ? [true, true] : [false, true]);
          continue;
        }
        applicable++;
        const opened = await authenticator.open(typeof jws === 'string' ? jws : JSON.stringify(jws));
        if ((opened !== undefined) !== (result === 'valid')) wrong.push(`${tcId} ${group.comment} ${comment} (${result})`);
      }
    }
    const left = Object.values(inapplicable).reduce((sum, count) => sum + count, 0);
    console.log(`Wycheproof JWS: ${applicable} applicable, ${left} inapplicable: ${JSON.stringify(inapplicable)}`);
    expect(wrong).toEqual([]);
    expect(applicable + left).toBe(file!.numberOfTests);
  });
});

describe('origins and TLS', () => {
  it('accepts pages of the listed origins, and of no others', async () => {
    const server = await start({ origins: ['https://app.example'] });
    (await dial(server.url, ['pubkeeper-1.1'], { origin: 'https://app.example' })).close();
    (await dial(server.url, ['pubkeeper-1.1'])).close();
    for (const origin of ['https://app.example.evil', 'https://app.example:444', 'http://app.example', 'null', `http://127.0.0.1:${server.port}`]) {
      expect(await refusal(server.url, ['pubkeeper-1.1'], { origin })).toMatchObject({ status: 403 });
    }
    for (const bad of ['app.example', 'https://app.example/', '*', 'null', 'file://', 'chrome-extension://abc/', 'data:abc']) {
      await expect(start({ origins: [bad] })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    }
  });

  it.each(['chrome-extension://abcdefghijklmnopabcdefghijklmnop', 'capacitor://localhost'])('accepts a page of %s when it is listed', async (origin) => {
    const server = await start({ origins: [origin] });
    (await dial(server.url, ['pubkeeper-1.1'], { origin })).close();
    expect(await refusal(server.url, ['pubkeeper-1.1'], { origin: `${origin}x` })).toMatchObject({ status: 403 });
  });

  it('serves control and relay over TLS, and refuses an invalid key', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-tls-'));
    later(() => rm(directory, { recursive: true }));
    const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=localhost', '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' });
    const tls = { cert: readFileSync(certFile), key: readFileSync(keyFile, 'utf8') };
    const server = await start({ tls });
    expect(server.url).toMatch(/^wss:/);
    const control = new RawControl(await dial(server.url, ['pubkeeper-1.1'], { ca: tls.cert, servername: 'localhost', checkServerIdentity: () => undefined }), '1.1');
    expect(await control.authenticate(server.token!)).toMatchObject({ authenticated: true });
    const relay = await dial(server.relayUrl, ['pubkeeper-1.0.0'], { rejectUnauthorized: false });
    relay.close();
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
    await expect(start({ tls: { cert: tls.cert, key: other } })).rejects.toMatchObject({ code: 'OPTION_INVALID', message: expect.stringContaining('the private key that belongs to it') as string });
    await expect(start({ tls: { cert: 'x', key: 'secret' } })).rejects.toMatchObject({ code: 'OPTION_INVALID', message: expect.not.stringContaining('secret') as string });
  });
});
