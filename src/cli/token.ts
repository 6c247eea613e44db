import { createPrivateKey, createSecretKey, randomBytes } from 'node:crypto';
import { decodeJwt, importJWK, SignJWT } from 'jose';
import type { JwtAlgorithm, Right } from '../server/index.js';
import { readTokens } from '../server/index.js';
import { hashToken, readRights } from '../server/auth.js';
import { MAX_TOKEN } from './arguments.js';
import { ExitCode, failure, usage } from './exit.js';
import { readAll } from './input.js';
import { print } from './output.js';
import { jwtAuthenticator, readText } from './serve-files.js';
import type { JwtFlags } from './serve-flags.js';
import type { Tell } from './tell.js';
import { addTo } from './token-file.js';
import { EVERYTHING } from './tokens.js';

export interface TokenFlags extends JwtFlags {
  readonly tokens?: string;
}

export interface CreateFlags extends TokenFlags {
  readonly read?: readonly string[];
  readonly write?: readonly string[];
  readonly all?: true;
  readonly expires?: number;
  readonly subject?: string;
}

export interface VerifyFlags extends TokenFlags {
  readonly token?: string;
}

/** How long a signed token is valid by default, in seconds. */
const HOUR = 3600;
/** The latest date of JavaScript, in ms since 1970. For a token that expires later, this is near enough. */
const LAST_DATE = 8.64e15;
const TOO_LONG = `Standard input is longer than a token can be (${MAX_TOKEN} bytes): give it only the token.`;

/** `pubkeeper token create` */
export async function createToken(flags: CreateFlags, tell: Tell): Promise<number> {
  const rights = rightsOf(flags);
  if (flags.jwtJwksUrl !== undefined) throw usage('--jwt-jwks-url has public keys: a token is signed by --jwt-key-file or PUBKEEPER_JWT_KEY.');
  if (flags.jwtLeeway !== undefined) throw usage('--jwt-leeway is only for checking tokens: leave it out here.');
  const isSigned = [flags.jwtKeyFile, flags.jwtIssuer, flags.jwtAudience, flags.jwtAlgorithms].some((flag) => flag !== undefined);
  if (isSigned) {
    if (flags.tokens !== undefined) throw usage('A signed token is not kept in a file: leave out --tokens, or the flags that begin with --jwt.');
    await print(`${await sign(rights, flags)}\n`);
    return ExitCode.OK;
  }
  if (flags.expires !== undefined || flags.subject !== undefined) throw usage('--expires and --subject are for signed tokens: give --jwt-key-file.');
  const token = randomBytes(32).toString('base64url');
  const entry = { [`sha256:${Buffer.from(hashToken(token), 'base64').toString('hex')}`]: rights };
  if (flags.tokens === undefined) {
    tell.note('The token is shown only this once; the second line is its entry for a token file.');
    await print(`${token}\n${JSON.stringify(entry)}\n`);
    return ExitCode.OK;
  }
  // Print before the file is replaced: it must not hold the hash of a token that nobody has seen.
  await addTo(flags.tokens, entry, () => print(`${token}\n`));
  tell.note(`Added to ${flags.tokens}; a running server reads it on SIGHUP. The token is shown only this once.`);
  return ExitCode.OK;
}

/** `pubkeeper token verify` */
export async function verifyToken(flags: VerifyFlags, tell: Tell): Promise<number> {
  const { tokens: path } = flags;
  const jwt = await jwtAuthenticator(flags);
  // Read the file before waiting for a person who types.
  const known = path === undefined ? undefined : await readTokens(path);
  if (path === undefined && !jwt) throw usage('There is nothing to check the token against: give --tokens, or --jwt-key-file or --jwt-jwks-url.');
  // Otherwise somebody who has set that variable for other commands would take this for an answer about stdin.
  if (flags.token !== undefined && flags.token === process.env['PUBKEEPER_TOKEN']) tell.note('Checking the token in PUBKEEPER_TOKEN: stdin is not read.');
  const token = flags.token ?? (await readStdin(tell));
  if (!token) throw usage('There is no token: give it on stdin, or set PUBKEEPER_TOKEN.');
  const listed = known?.list(token);
  const signed = listed ? undefined : await jwt?.check(token);
  if (!listed && typeof signed !== 'object') {
    const why = [...(path === undefined ? [] : ['it is not in the file']), ...(signed === undefined ? [] : [signed])];
    throw failure(`The token is not valid: ${why.join('; ')}.`);
  }
  const claims = listed ? { rights: listed } : claimsOf(token);
  process.stdout.write(`${JSON.stringify(claims)}\n`);
  return ExitCode.OK;
}

async function readStdin(tell: Tell): Promise<string> {
  if (process.stdin.isTTY) tell.note('Reading the token from the terminal; end it with Ctrl-D.');
  return Buffer.from(await readAll(process.stdin, MAX_TOKEN, TOO_LONG)).toString().trim();
}

function claimsOf(token: string): Record<string, unknown> {
  const { rights, exp, sub } = decodeJwt(token);
  return { rights: readRights(rights), expires: new Date(Math.min((exp ?? 0) * 1000, LAST_DATE)).toISOString(), ...(sub !== undefined && { subject: sub }) };
}

function rightsOf({ read = [], write = [], all }: CreateFlags): readonly Right[] {
  if (all && (read.length || write.length)) throw usage('--all includes every right: leave out --all, or --read and --write.');
  if (all) return EVERYTHING;
  if (!read.length && !write.length) throw usage('A token without rights is of no use: give --read or --write with a pattern, or --all.');
  const both = read.filter((topic) => write.includes(topic));
  return [
    ...both.map((topic) => ({ topic, read: true, write: true })),
    ...read.filter((topic) => !both.includes(topic)).map((topic) => ({ topic, read: true })),
    ...write.filter((topic) => !both.includes(topic)).map((topic) => ({ topic, write: true })),
  ];
}

async function sign(rights: readonly Right[], flags: CreateFlags): Promise<string> {
  const { jwtKeyFile: path, jwtIssuer: issuer, jwtAudience: audience, jwtAlgorithms = [], expires = HOUR, subject } = flags;
  const [algorithm] = jwtAlgorithms;
  if (!issuer || !audience || !algorithm || jwtAlgorithms.length > 1) {
    throw usage('A signed token needs --jwt-issuer, --jwt-audience and one algorithm by --jwt-algorithms.');
  }
  const own = process.env['PUBKEEPER_JWT_KEY'];
  if (path === undefined && !own) throw usage('There is no key to sign with: give --jwt-key-file, or set PUBKEEPER_JWT_KEY.');
  const key = await signingKey((path === undefined ? own! : await readText(path)).trim(), algorithm);
  const token = new SignJWT({ rights })
    .setProtectedHeader({ alg: algorithm, typ: 'JWT' })
    .setIssuedAt()
    .setIssuer(issuer)
    .setAudience(audience)
    .setExpirationTime(Math.floor(Date.now() / 1000) + expires);
  if (subject !== undefined) token.setSubject(subject);
  try {
    return await token.sign(key);
  } catch {
    throw failure(`The key does not fit ${algorithm}: give the private key for it.`);
  }
}

type SigningKey = Parameters<SignJWT['sign']>[0];

async function signingKey(text: string, algorithm: JwtAlgorithm): Promise<SigningKey> {
  try {
    if (text.startsWith('{')) return await importJWK(JSON.parse(text) as Parameters<typeof importJWK>[0], algorithm);
    if (algorithm !== 'HS256') return createPrivateKey(text);
  } catch {
    // Do not pass on what the parsers say: it may quote the key.
    throw failure(`The key is not a private key for ${algorithm}: give a PEM or a JWK.`);
  }
  const secret = Buffer.from(text);
  if (secret.length < 32 || text.startsWith('-----BEGIN')) throw failure('HS256 needs a secret of at least 32 bytes, and no other kind of key.');
  return createSecretKey(secret);
}
