import { compactVerify, createLocalJWKSet, createRemoteJWKSet, errors, importJWK, importSPKI, importX509, jwtVerify } from 'jose';
import type { CompactVerifyGetKey, CryptoKey, JSONWebKeySet, JWK } from 'jose';
import { PubkeeperError } from '../core/errors.js';
import { show } from '../core/id.js';
import { hashToken, readRights, rightsOf } from './auth.js';
import type { Authenticator, Rights } from './auth.js';
import { checkNames } from './options.js';
import { errorCode, readText } from './read-text.js';

/** The signature algorithms that are supported: what `algorithms` of {@link JwtOptions} may name. */
export const JWT_ALGORITHMS = ['HS256', 'RS256', 'ES256', 'EdDSA'] as const;
/** One of {@link JWT_ALGORITHMS}. */
export type JwtAlgorithm = (typeof JWT_ALGORITHMS)[number];

/** How tokens are checked. One of `key`, `keyFile` and `jwksUrl` must be given. */
export interface JwtOptions {
  /** A PEM public key or certificate, a JWK, a JWKS, or for HS256 a secret of at least 32 bytes. */
  readonly key?: string | undefined;
  /** The path of a file that holds such a key. The file is read once; see `server.reload()`. */
  readonly keyFile?: string | undefined;
  /**
   * The URL of a JWKS: https, or http on this machine, without name and password. It is fetched when the first token comes, again after ten minutes, and when a
   * token names an unknown key. After a fetch that has succeeded, it is not fetched again for 30 s.
   */
  readonly jwksUrl?: string | undefined;
  /** The signature algorithms that are accepted, whatever a token says of itself: at least one. HS256 cannot be combined with others. */
  readonly algorithms: readonly JwtAlgorithm[];
  /** What the claim `iss` must be. */
  readonly issuer: string;
  /** What the claim `aud` must be or contain. */
  readonly audience: string;
  /** How much clocks may differ, in seconds; default 60. A connection ends this long after its token has expired. */
  readonly leewaySeconds?: number | undefined;
}

/** Whether a token is three parts in canonical base64url. `jose` also accepts blanks and stray bits. */
function isCompact(token: string): boolean {
  const parts = token.split('.');
  return parts.length === 3 && parts.every((part) => Buffer.from(part, 'base64url').toString('base64url') === part);
}

type Keys = CryptoKey | JWK | Uint8Array | CompactVerifyGetKey;

/**
 * Accepts signed tokens (JWT). The claim `rights` says what a token may do: `[{"topic": "plant.**", "read": true}]`. A token
 * must have an expiry (`exp`); `leewaySeconds` after it the connection ends. Made by {@link JwtAuthenticator.create}.
 */
export class JwtAuthenticator implements Authenticator {
  readonly #keys: Keys;
  readonly #algorithms: string[];
  readonly #options: JwtOptions;
  readonly #leeway: number;

  /** A hash of keys and options. Rights of an authenticator with another fingerprint have to be given anew. */
  readonly #fingerprint: string;
  static readonly #made = new WeakMap<Rights, string>();

  private constructor(options: JwtOptions, keys: Keys, source: string) {
    this.#options = options;
    this.#fingerprint = hashToken(JSON.stringify([source, { ...options, key: undefined, keyFile: undefined }]));
    this.#keys = keys;
    this.#algorithms = [...options.algorithms];
    this.#leeway = options.leewaySeconds ?? 60;
  }

  /**
   * Reads the key, and makes what `createServer` takes as `tokens`.
   * @throws {PubkeeperError} `OPTION_INVALID`; its message does not contain the key
   */
  static async create(options: JwtOptions): Promise<JwtAuthenticator> {
    checkNames('JwtAuthenticator.create()', options, NAMES);
    const { algorithms, issuer, audience, leewaySeconds = 60 } = options;
    if (!Array.isArray(algorithms) || !algorithms.length || !algorithms.every((one) => JWT_ALGORITHMS.includes(one))) {
      throw invalid(`"algorithms" must name at least one of ${JWT_ALGORITHMS.join(', ')}`);
    }
    for (const [name, value] of Object.entries({ issuer, audience })) {
      if (typeof value !== 'string' || !value) throw invalid(`"${name}" must say what that claim of a token has to be`);
    }
    if (!Number.isFinite(leewaySeconds) || leewaySeconds < 0) throw invalid('"leewaySeconds" must be a number, 0 or more');
    return new JwtAuthenticator(options, ...(await readKeys(options)));
  }

  /**
   * The rights of a token; undefined when anything is wrong with it.
   * @throws {PubkeeperError} with a `jwksUrl`: `SERVER_ERROR` when the keys cannot be fetched; `UNAUTHORIZED` when the token's key is unknown
   * and the keys were fetched less than 30 s ago
   */
  async authenticate(token: string): Promise<Rights | undefined> {
    const checked = await this.check(token);
    return typeof checked === 'string' ? undefined : checked;
  }

  /**
   * Like `authenticate`, but says what is wrong with a token, without quoting it. This is for whoever made the token; do not send it to clients.
   * @throws {PubkeeperError} as `authenticate`
   */
  async check(token: string): Promise<Rights | string> {
    const { issuer, audience } = this.#options;
    if (!isCompact(token)) return 'it is not a JWT';
    try {
      const { payload } = await jwtVerify(token, getter(this.#keys), {
        algorithms: this.#algorithms,
        issuer,
        audience,
        clockTolerance: this.#leeway,
        requiredClaims: ['exp'],
      });
      const rights = readRights(payload['rights']);
      if (!rights) return 'its claim "rights" is missing or malformed';
      const made = { ...rightsOf(rights), expiresAt: Math.min((payload.exp! + this.#leeway) * 1000, Number.MAX_SAFE_INTEGER) };
      JwtAuthenticator.#made.set(made, this.#fingerprint);
      return made;
    } catch (error) {
      if (error instanceof PubkeeperError) throw error;
      // The messages of `jose` name claims, but do not quote what they hold.
      return (error as Error).message;
    }
  }

  /** Tokens are not kept: rights that were given by the same keys and options are still good; clients with others have to come again. */
  compare(_tokenHash: string, former: Rights): 'same' | 'changed' | 'unknown' {
    const by = JwtAuthenticator.#made.get(former);
    if (by === undefined) return 'unknown';
    return by === this.#fingerprint ? 'same' : 'changed';
  }

  /** @internal For published test vectors: the payload of a token if its signature is good; its claims are not checked. */
  async open(token: string): Promise<Uint8Array | undefined> {
    if (!isCompact(token)) return undefined;
    try {
      return (await compactVerify(token, getter(this.#keys), { algorithms: this.#algorithms })).payload;
    } catch (error) {
      if (error instanceof PubkeeperError) throw error;
      return undefined;
    }
  }
}

// One form for every source. A key that is there already is used whatever the token's header says about keys: `jose` checks
// whether it fits the algorithm.
const getter = (keys: Keys): CompactVerifyGetKey => (typeof keys === 'function' ? keys : () => keys);

const NAMES: Readonly<Record<keyof JwtOptions, true>> = {
  key: true, keyFile: true, jwksUrl: true, algorithms: true, issuer: true, audience: true, leewaySeconds: true,
};

/** The keys, and the text or the URL that they come from. */
async function readKeys({ key, keyFile, jwksUrl, algorithms }: JwtOptions): Promise<[Keys, string]> {
  if ([key, keyFile, jwksUrl].filter((source) => source !== undefined).length !== 1) {
    throw invalid('give one of "key", "keyFile" and "jwksUrl"');
  }
  for (const [name, source] of Object.entries({ key, keyFile, jwksUrl })) {
    if (source !== undefined && typeof source !== 'string') throw invalid(`"${name}" must be a string`);
  }
  if (jwksUrl !== undefined) return [remote(jwksUrl), jwksUrl];
  if (key !== undefined) return [await parseKey(key, algorithms, '"key"'), key];
  const source = `the file ${show(keyFile)}`;
  let text: string;
  try {
    text = await readText(keyFile!);
  } catch (cause) {
    if (cause instanceof PubkeeperError) throw cause;
    throw new PubkeeperError('OPTION_INVALID', `Tokens cannot be checked: ${source} cannot be read.`, { keyFile }, cause);
  }
  return [await parseKey(text.trim(), algorithms, source), text];
}

/** How old fetched keys may be, and how long they are not fetched again although a token names an unknown one; in milliseconds. */
const [MAX_AGE_MS, COOLDOWN_MS] = [600_000, 30_000];

function remote(jwksUrl: string): CompactVerifyGetKey {
  const url = URL.canParse(jwksUrl) ? new URL(jwksUrl) : undefined;
  const isLocal = url?.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (!url || !(url.protocol === 'https:' || isLocal)) {
    throw invalid('"jwksUrl" (--jwt-jwks-url) must be an https URL: who can change the keys on their way can let anybody in');
  }
  // `fetch` refuses such a URL for each token anew, with an error that quotes it.
  if (url.username || url.password) throw invalid('"jwksUrl" (--jwt-jwks-url) must not have a name and a password in it: the keys in a JWKS are public');
  // `jose` would measure both times by a clock that can be set: set back, it would use keys that were withdrawn, and not fetch new ones, for as long.
  const fetched = createRemoteJWKSet(url, { cacheMaxAge: Infinity, cooldownDuration: Infinity });
  // Nor is the steady clock enough: it stands still while the machine sleeps. Keys are old when either clock says so.
  let fetchedAt = { steady: -Infinity, wall: -Infinity };
  const isOlder = (ms: number): boolean => performance.now() - fetchedAt.steady >= ms || Date.now() - fetchedAt.wall >= ms;
  const fetchAgain = async (): Promise<void> => {
    await fetched.reload();
    fetchedAt = { steady: performance.now(), wall: Date.now() };
  };
  return async (header, token) => {
    // Keys that were fetched before the token came may be older than the key that signed it: then "no matching key" is no verdict.
    const isStale = !isOlder(COOLDOWN_MS);
    try {
      if (isOlder(MAX_AGE_MS)) await fetchAgain();
      return await fetched(header, token).catch(async (error: unknown) => {
        if (!(error instanceof errors.JWKSNoMatchingKey) || !isOlder(COOLDOWN_MS)) throw error;
        await fetchAgain();
        return await fetched(header, token);
      });
    } catch (cause) {
      const fault = cause instanceof errors.JOSEError ? cause.code : '';
      if (isStale && fault === 'ERR_JWKS_NO_MATCHING_KEY') {
        throw new PubkeeperError('UNAUTHORIZED', 'The key of a token is not known. The keys were fetched less than 30 s ago and will be fetched again: the client may retry.', { jwksUrl }, cause);
      }
      if (['ERR_JWKS_NO_MATCHING_KEY', 'ERR_JWKS_MULTIPLE_MATCHING_KEYS', 'ERR_JOSE_NOT_SUPPORTED'].includes(fault)) throw cause;
      // Not the token's fault: the client may come back with it.
      const message = `The keys at ${show(url.origin + url.pathname)} cannot be fetched (${reasonOf(cause)}): check jwksUrl (--jwt-jwks-url).`;
      throw new PubkeeperError('SERVER_ERROR', message, { jwksUrl }, cause);
    }
  };
}

/** Why a fetch has failed: `fetch` itself says only that it has, and the reason is its cause. */
function reasonOf(error: unknown): string {
  const why = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  // The codes of `jose` say less than its messages.
  return why instanceof Error && (why instanceof errors.JOSEError || !('code' in why)) ? why.message : errorCode(why);
}

async function parseKey(text: string, algorithms: readonly JwtAlgorithm[], source: string): Promise<Keys> {
  const symmetric = algorithms.includes('HS256');
  // A public key is no secret: if it was used as one, for HS256, anybody could sign tokens.
  if (symmetric && algorithms.length > 1) throw invalid('HS256 uses a secret, the others use public keys: choose one kind');
  if (text.startsWith('{')) {
    const parsed = parseJson(text, source);
    if (isPrivate(parsed)) throw invalid(`${source} holds a private key: give the public one, by which tokens are only checked`);
    if (isKeySet(parsed)) {
      if (symmetric) throw invalid(`${source} is a set of public keys, and HS256 needs a secret`);
      const fit = await Promise.all(parsed.keys.map((one) => fits(one, algorithms)));
      if (!fit.includes(true)) throw invalid(`${source} holds no key that can be used for ${algorithms.join(', ')}`);
      return createLocalJWKSet(parsed);
    }
    if (!isKey(parsed)) throw invalid(`${source} is neither a JWK nor a JWKS`);
    if ((parsed.kty === 'oct') !== symmetric) throw invalid(`${source} holds a key that is not for ${algorithms.join(', ')}`);
    if (symmetric && (parsed.k?.length ?? 0) < 43) throw invalid(`${source} holds a secret of less than 32 bytes`);
    if (!(await fits(parsed, algorithms))) throw invalid(`${source} holds a key that cannot be used for ${algorithms.join(', ')}`);
    return parsed;
  }
  if (text.startsWith('-----BEGIN')) {
    if (/^-----BEGIN [A-Z ]*PRIVATE/.test(text)) throw invalid(`${source} is a private key: give the public one, by which tokens are only checked`);
    if (symmetric || algorithms.length > 1) throw invalid(`${source} is one public key: name its one algorithm`);
    try {
      const read = text.startsWith('-----BEGIN CERTIFICATE') ? importX509 : importSPKI;
      const key = await read(text, algorithms[0]!);
      if (isLong(key)) return key;
    } catch {
      // told below
    }
    throw invalid(`${source} is no public key for ${algorithms[0]} (RSA has 2048 bits at least)`);
  }
  if (!symmetric) throw invalid(`${source} must be a PEM public key, a JWK or a JWKS for ${algorithms.join(', ')}`);
  const secret = new TextEncoder().encode(text);
  if (secret.length < 32) throw invalid(`${source} must have at least 32 bytes for HS256`);
  return secret;
}

/** Whether a key can be used for one of these algorithms. With any other key every token would be refused, and nobody would say why. */
async function fits({ use: _use, key_ops: _operations, ...jwk }: JWK, algorithms: readonly JwtAlgorithm[]): Promise<boolean> {
  for (const algorithm of algorithms) {
    if ((jwk.alg ?? algorithm) !== algorithm) continue;
    try {
      if (isLong(await importJWK(jwk, algorithm))) return true;
    } catch {
      // perhaps it fits another algorithm
    }
  }
  return false;
}

const isLong = (key: CryptoKey | Uint8Array): boolean =>
  key instanceof Uint8Array ? key.length >= 32 : !('modulusLength' in key.algorithm && Number(key.algorithm.modulusLength) < 2048);

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What JSON.parse says is not passed on: it quotes the text, and that may be a secret.
    throw invalid(`${source} is not JSON`);
  }
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

const isKeySet = (value: unknown): value is JSONWebKeySet =>
  isObject(value) && 'keys' in value && Array.isArray(value.keys) && value.keys.every(isObject);

const isPrivate = (value: unknown): boolean =>
  isObject(value) && ('d' in value || (isKeySet(value) && value.keys.some((key) => 'd' in key)));

const isKey = (value: unknown): value is JWK & { readonly kty: string } =>
  isObject(value) && 'kty' in value && typeof value.kty === 'string';

const invalid = (why: string): PubkeeperError => new PubkeeperError('OPTION_INVALID', `Tokens cannot be checked: ${why}.`);
