import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../free-port.js';
import { listen, pubkeeper, result } from './harness.js';

let directory: string;
beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), 'pubkeeper-token-'))));
afterAll(() => rmSync(directory, { recursive: true }));

const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};
const RIGHTS = ['--read', 'plant.**', '--write', 'plant.1', '--write', 'plant.**'];
const RIGHTS_LIST = [{ topic: 'plant.**', read: true, write: true }, { topic: 'plant.1', read: false, write: true }];

describe.concurrent('pubkeeper token, static', () => {
  it('create prints the token once, and an entry with its hash for the token file', async () => {
    const made = await result(['token', 'create', ...RIGHTS]);
    expect(made.code).toBe(0);
    expect(made.stderr).toMatch(/^pubkeeper: The token is shown only this once[^\n]+\n$/);
    const [token = '', entry = ''] = made.stdout.split('\n');
    expect(token).toMatch(/^[\w-]{43}$/);
    expect(entry).toMatch(/^\{"sha256:[0-9a-f]{64}":\[/);
    expect(entry).not.toContain(token);
    const tokens = file('entry.json', entry);
    const checked = await result(['token', 'verify', '--tokens', tokens], { input: `${token}\n` });
    expect(JSON.parse(checked.stdout)).toEqual({ rights: RIGHTS_LIST });
    // The hash is not accepted as a token.
    const [hash] = Object.keys(JSON.parse(entry) as object);
    const refused = 'pubkeeper: The token is not valid: it is not in the file.\n';
    expect(await result(['token', 'verify', '--tokens', tokens], { input: hash! })).toEqual({ code: 1, stdout: '', stderr: refused });
    const none = await result(['token', 'verify', '--tokens', tokens]);
    expect(none).toMatchObject({ code: 2, stderr: expect.stringMatching(/^pubkeeper: There is no token: give it on stdin/) as string });
  });

  it('create adds the hash to a token file that only its owner can read, and a server accepts the token', async () => {
    const tokens = join(directory, 'made.json');
    const first = (await result(['token', 'create', '--all', '--tokens', tokens, '--quiet'])).stdout.trim();
    expect(statSync(tokens).mode & 0o777).toBe(0o600);
    const added = await result(['token', 'create', '--read', 'a', '--tokens', tokens]);
    expect(added.stderr).toBe(`pubkeeper: Added to ${tokens}; a running server reads it on SIGHUP. The token is shown only this once.\n`);
    const second = added.stdout.trim();
    expect(Object.keys(JSON.parse(readFileSync(tokens, 'utf8')) as object)).toHaveLength(2);
    expect(readFileSync(tokens, 'utf8')).not.toMatch(new RegExp(`${first}|${second}`));
    const server = pubkeeper(['serve', '--port', '0', '--tokens', tokens]);
    const [, url] = (await server.says(/Serving at (\S+)\n/)) as unknown as [string, string];
    const patron = await listen('a', ['-n', '1', '--lines'], { env: { PUBKEEPER_SERVER: url, PUBKEEPER_TOKEN: second } });
    expect(await result(['brew', 'a', 'x', '--server', url], { env: { PUBKEEPER_TOKEN: first } })).toMatchObject({ code: 0 });
    expect(await patron.exit).toBe(0);
  });

  it('create does not change a file that is not a token file', async () => {
    const tokens = file('broken.json', '["secret-token"]');
    const { code, stdout, stderr } = await result(['token', 'create', '--all', '--tokens', tokens]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^pubkeeper: The token file [^\n]+ must be an object[^\n]+\n$/);
    expect(readFileSync(tokens, 'utf8')).toBe('["secret-token"]');
  });
});

describe.concurrent('pubkeeper token, signed', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const CLAIMS = ['--jwt-issuer', 'me', '--jwt-audience', 'them', '--jwt-algorithms'];
  const pem = (): [string, string] => [
    file('private.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
    file('public.pem', publicKey.export({ type: 'spki', format: 'pem' }).toString()),
  ];

  it('cannot be verified if the keys cannot be fetched, and the error says from where and why', async () => {
    const token = await new SignJWT({}).setProtectedHeader({ alg: 'ES256' }).sign(privateKey);
    const url = `http://127.0.0.1:${await freePort()}/jwks`;
    const { code, stdout, stderr } = await result(['token', 'verify', '--jwt-jwks-url', url, ...CLAIMS, 'ES256'], { input: token });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(`pubkeeper: The keys at "${url}" cannot be fetched (ECONNREFUSED): check jwksUrl (--jwt-jwks-url).\n`);
    // A token that is listed in the token file needs no keys.
    const both = ['--tokens', file('listed.json', '{"listed":[]}'), '--jwt-jwks-url', url, ...CLAIMS, 'ES256'];
    expect(await result(['token', 'verify', ...both], { input: 'listed' })).toEqual({ code: 0, stdout: '{"rights":[]}\n', stderr: '' });
  });

  it('is signed with a private key, and accepted by verify and by a server with the public key', async () => {
    const [secret, open] = pem();
    const made = await result(['token', 'create', ...RIGHTS, '--subject', 'pump', '--jwt-key-file', secret, ...CLAIMS, 'ES256']);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const env = { PUBKEEPER_TOKEN: made.stdout.trim() };
    const { iat = NaN, exp = NaN } = decodeJwt(env.PUBKEEPER_TOKEN);
    expect([3600, 3601]).toContain(exp - iat); // the second may end between the two
    const checked = await result(['token', 'verify', '--jwt-key-file', open, ...CLAIMS, 'ES256'], { env });
    expect(JSON.parse(checked.stdout)).toEqual({ rights: RIGHTS_LIST, expires: expect.stringMatching(/^\d{4}-/) as string, subject: 'pump' });
    const server = pubkeeper(['serve', '--port', '0', '--jwt-key-file', open, ...CLAIMS, 'ES256']);
    const [, url] = (await server.says(/Serving at (\S+)\n/)) as unknown as [string, string];
    const patron = await listen('plant.1', ['-n', '1', '--lines'], { env: { ...env, PUBKEEPER_SERVER: url } });
    expect(await result(['brew', 'plant.1', 'x', '--server', url], { env })).toMatchObject({ code: 0 });
    expect(await patron.exit).toBe(0);
    // For another audience the token is not valid.
    const other = await result(['token', 'verify', '--jwt-key-file', open, '--jwt-issuer', 'me', '--jwt-audience', 'us', '--jwt-algorithms', 'ES256'], { env });
    expect(other).toMatchObject({ code: 1, stdout: '' });
    // The message says which token was checked, as the user may have given another one on stdin.
    const which = 'Checking the token in PUBKEEPER_TOKEN: stdin is not read.';
    expect(other.stderr).toBe(`pubkeeper: ${which}\npubkeeper: The token is not valid: unexpected "aud" claim value.\n`);
    expect(other.stderr).not.toContain(env.PUBKEEPER_TOKEN);
  });

  it('is signed and verified with a secret of the environment by HS256', async () => {
    const env = { PUBKEEPER_JWT_KEY: 'a secret of more than thirty-two bytes' };
    const { stdout } = await result(['token', 'create', '--all', '--expires', '60', ...CLAIMS, 'HS256'], { env });
    const { iat = NaN, exp = NaN } = decodeJwt(stdout.trim());
    expect([60, 61]).toContain(exp - iat);
    expect(await result(['token', 'verify', ...CLAIMS, 'HS256'], { env, input: stdout })).toMatchObject({ code: 0, stderr: '' });
    // A line break at the end of the file is not part of the secret.
    const same = await result(['token', 'create', '--all', '--jwt-key-file', file('secret', `${env.PUBKEEPER_JWT_KEY}\n`), ...CLAIMS, 'HS256']);
    expect(await result(['token', 'verify', ...CLAIMS, 'HS256'], { env, input: same.stdout })).toMatchObject({ code: 0, stderr: '' });
    const wrong = { PUBKEEPER_JWT_KEY: 'another secret of more than thirty-two bytes' };
    expect(await result(['token', 'verify', ...CLAIMS, 'HS256'], { env: wrong, input: stdout })).toMatchObject({ code: 1, stdout: '' });
  });

  it('that has expired is accepted for as long as --jwt-leeway says, by default for a minute', async () => {
    const env = { PUBKEEPER_JWT_KEY: 'a secret of more than thirty-two bytes' };
    const expired = new SignJWT({ rights: [] }).setProtectedHeader({ alg: 'HS256' }).setIssuer('me').setAudience('them').setExpirationTime(Math.floor(Date.now() / 1000) - 10);
    const input = await expired.sign(Buffer.from(env.PUBKEEPER_JWT_KEY));
    const verify = (...flags: string[]) => result(['token', 'verify', ...CLAIMS, 'HS256', ...flags], { env, input });
    expect(await verify()).toMatchObject({ code: 0 });
    expect(await verify('--jwt-leeway', '0')).toEqual({ code: 1, stdout: '', stderr: 'pubkeeper: The token is not valid: "exp" claim timestamp check failed.\n' });
  });

  it('is signed with a key that is a JWK, and verified by the JWK of its public key', async () => {
    const jwk = (name: string, key: KeyObject): string => file(name, JSON.stringify(key.export({ format: 'jwk' })));
    const made = await result(['token', 'create', '--all', '--jwt-key-file', jwk('private.jwk', privateKey), ...CLAIMS, 'ES256']);
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(await result(['token', 'verify', '--jwt-key-file', jwk('public.jwk', publicKey), ...CLAIMS, 'ES256'], { input: made.stdout })).toMatchObject({ code: 0 });
  });

  it('is refused by verify with all reasons: it is not in the file, and why its signature does not count', async () => {
    const tokens = file('reasons.json', '{"another":[]}');
    const env = { PUBKEEPER_JWT_KEY: 'a secret of just thirty-two bytes'.slice(0, 32) };
    const { code, stdout, stderr } = await result(['token', 'verify', '--tokens', tokens, ...CLAIMS, 'HS256', '--token', 'no.such.token'], { env });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^pubkeeper: The token is not valid: it is not in the file; [^;\n]+\.\n$/);
    // The shortest secret that is allowed.
    const made = await result(['token', 'create', '--all', ...CLAIMS, 'HS256'], { env });
    expect(await result(['token', 'verify', '--tokens', tokens, ...CLAIMS, 'HS256'], { env, input: made.stdout })).toMatchObject({ code: 0 });
  });

  it('may expire later than the last date that JavaScript can express', async () => {
    const key = 'a secret of more than thirty-two bytes';
    const token = new SignJWT({ rights: [{ topic: 'a', read: true }] }).setProtectedHeader({ alg: 'HS256' }).setIssuer('me').setAudience('them').setExpirationTime(1e16);
    const env = { PUBKEEPER_JWT_KEY: key };
    const checked = await result(['token', 'verify', ...CLAIMS, 'HS256'], { env, input: await token.sign(Buffer.from(key)) });
    expect(checked).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(checked.stdout)).toMatchObject({ expires: '+275760-09-13T00:00:00.000Z' });
  });

  it('needs a key that fits its algorithm and use, and the key is never printed', async () => {
    const [secret, open] = pem();
    const hopeless: [string[], RegExp][] = [
      [['token', 'create', '--all', '--jwt-key-file', open, ...CLAIMS, 'ES256'], /not a private key for ES256/],
      [['token', 'create', '--all', '--jwt-key-file', secret, ...CLAIMS, 'RS256'], /does not fit RS256/],
      [['token', 'create', '--all', '--jwt-key-file', secret, ...CLAIMS, 'HS256'], /HS256 needs a secret/],
      [['token', 'create', '--all', '--jwt-key-file', file('short', 'x'.repeat(31)), ...CLAIMS, 'HS256'], /HS256 needs a secret of at least 32 bytes/],
      [['token', 'create', '--all', '--jwt-key-file', file('json', '{"kty":"SECRET"}'), ...CLAIMS, 'ES256'], /not a private key for ES256/],
      [['serve', '--port', '0', '--jwt-key-file', secret, ...CLAIMS, 'ES256'], /is a private key: give the public one/],
      [['token', 'verify', '--jwt-key-file', secret, ...CLAIMS, 'ES256'], /is a private key: give the public one/],
    ];
    for (const [args, sentence] of hopeless) {
      const { code, stdout, stderr } = await result(args, { input: 'x' });
      expect(stderr).toMatch(sentence);
      expect(stderr).toMatch(/^pubkeeper: [^\n]+\n$/);
      expect(stderr).not.toMatch(/SECRET|BEGIN/);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    }
  });
});
