import { createHash } from 'node:crypto';
import { PubkeeperError } from '../core/errors.js';
import { show } from '../core/id.js';
import { TopicTrie, isTopic, isTopicPattern } from '../core/topic.js';
import type { Rights } from './match.js';
import { errorCode, readText } from './read-text.js';

export type { Rights } from './match.js';

/** One right of a token: what it may do with the topics that the pattern `topic` matches. One of `read` and `write` must be given. */
export interface Right {
  /** A topic pattern. */
  readonly topic: string;
  /** Whether its patrons are matched with these topics; default false. */
  readonly read?: boolean | undefined;
  /** Whether its brewers may publish on these topics; default false. */
  readonly write?: boolean | undefined;
}

/**
 * Tokens and their rights, as in `createServer` and token files. A key may also be `sha256:` and the 64 hex digits of the token's
 * hash, as `pubkeeper token create` makes it: then nobody who reads the table can connect.
 */
export type TokenTable = Readonly<Record<string, readonly Right[]>>;

/** Decides which clients may connect, and what they may do. */
export interface Authenticator {
  /**
   * Returns the rights of a token, or a promise of them, or undefined to refuse it. It has `authMs` to answer. If it throws or rejects, the
   * error is logged, so it must not contain the token; the connection is closed with 4500, and the client may reconnect.
   */
  authenticate(token: string): Rights | undefined | Promise<Rights | undefined>;
  /**
   * For `server.reload()`: whether a token that this or a former authenticator accepted has the same rights now. It must answer at
   * once, not by a promise. `tokenHash`: base64 of its SHA-256, since tokens are not kept. Without this method all clients must reconnect.
   */
  compare?(tokenHash: string, former: Rights): 'same' | 'changed' | 'unknown';
}

/** For who gives his own check in another form, or misspells it: it would be taken for a table. */
const OWN_CHECK = 'your own check is an object that has the function authenticate(token)';
const HASHED = /^sha256:([0-9a-f]{64})$/i;

/**
 * A table of tokens. Only their SHA-256 hashes are kept and looked up, so that neither a dump of the memory nor the
 * time that a look-up takes tells a token.
 */
export class Tokens implements Authenticator {
  readonly #rights = new Map<string, Rights>();
  readonly #lists = new Map<string, readonly Right[]>();
  /** The list that each rights object was made from, to see whether the rights have changed. */
  static readonly #sources = new WeakMap<Rights, string>();

  /**
   * @param source what messages name: a file, or the option; default: the option `tokens`
   * @throws {PubkeeperError} `OPTION_INVALID` with a sentence that names the place, never the token
   */
  constructor(table: unknown, source = 'The option "tokens"') {
    if (typeof table === 'function') throw invalid(source, `must not be a function: ${OWN_CHECK}`);
    if (!isRecord(table)) throw invalid(source, 'must be an object: {"<token>": [{"topic": "**", "read": true}]}');
    const entries = Object.entries(table);
    if (!entries.length) throw invalid(source, 'holds no token, so that nobody could connect: add one');
    entries.forEach(([token, rights], index) => {
      const place = `in token number ${index + 1}`;
      if (!token) throw invalid(source, `has an empty token (number ${index + 1}): give it a long random text`);
      if (typeof rights === 'function') throw invalid(source, `has a function ${place}: ${OWN_CHECK}`);
      if (!Array.isArray(rights)) throw invalid(source, `must have a list of rights ${place}`);
      const checked = rights.map((right: unknown, at) => checkRight(right, source, `${place}, right number ${at + 1}`));
      const made = rightsOf(checked);
      const [, hash] = HASHED.exec(token) ?? [];
      if (!hash && token.startsWith('sha256:')) throw invalid(source, `must have 64 hex digits behind "sha256:" ${place}`);
      const key = hash ? Buffer.from(hash, 'hex').toString('base64') : hashToken(token);
      // Nobody could see which of the two counts.
      if (this.#rights.has(key)) throw invalid(source, `has a token twice, as itself and by its hash (number ${index + 1}): leave one of them`);
      this.#rights.set(key, made);
      this.#lists.set(key, checked);
      Tokens.#sources.set(made, JSON.stringify(checked));
    });
  }

  authenticate(token: string): Rights | undefined {
    return this.#rights.get(hashToken(token));
  }

  /** What a token may do, as the table has it; undefined when it is not known. */
  list(token: string): readonly Right[] | undefined {
    return this.#lists.get(hashToken(token));
  }

  compare(tokenHash: string, former: Rights): 'same' | 'changed' | 'unknown' {
    const rights = this.#rights.get(tokenHash);
    if (!rights) return 'unknown';
    return Tokens.#sources.get(rights) === Tokens.#sources.get(former) ? 'same' : 'changed';
  }
}

/**
 * Reads a JSON file of tokens: `{"<token>": [{"topic": "plant.**", "read": true, "write": true}]}`.
 * @throws {PubkeeperError} `OPTION_INVALID` when the file cannot be read, is not JSON or is not of that form
 */
export async function readTokens(path: string): Promise<Tokens> {
  let text: string;
  try {
    text = await readText(path);
  } catch (cause) {
    if (cause instanceof PubkeeperError) throw cause;
    const why = errorCode(cause) === 'ENOENT' ? 'does not exist' : `cannot be read (${errorCode(cause)})`;
    throw new PubkeeperError('OPTION_INVALID', `The token file ${show(path)} ${why}.`, { path }, cause);
  }
  const source = `The token file ${show(path)}`;
  let table: unknown;
  try {
    // Some editors begin a file with a byte order mark: `trim` removes it too.
    table = JSON.parse(text.trim());
  } catch {
    // What JSON.parse says is not passed on: it quotes the text, and that holds tokens.
    throw invalid(source, 'is not JSON');
  }
  return new Tokens(table, source);
}

/** Combines a list of rights. */
export function rightsOf(rights: readonly Right[]): Rights {
  const reads = rights.filter(({ read }) => read).map(({ topic }) => topic);
  return {
    reads,
    mayRead: allowed(reads),
    mayWrite: allowed(rights.filter(({ write }) => write).map(({ topic }) => topic)),
  };
}

function allowed(patterns: readonly string[]): (topic: string) => boolean {
  if (patterns.includes('**')) return isTopic;
  // Each connection with a signed token has its own trie, which with the usual cache would grow to half a megabyte.
  const trie = new TopicTrie<true>({ cacheSize: 64 });
  for (const pattern of patterns) trie.add(pattern, true);
  return (topic) => trie.match(topic).length > 0;
}

/** Rights as a token's claim has them; undefined when they are malformed. */
export function readRights(value: unknown): Right[] | undefined {
  if (!Array.isArray(value)) return undefined;
  try {
    return value.map((right: unknown) => checkRight(right, '', ''));
  } catch {
    return undefined;
  }
}

function checkRight(right: unknown, source: string, place: string): Right {
  if (!isRecord(right)) throw invalid(source, `must have an object {topic, read, write} ${place}`);
  for (const key of Object.keys(right)) {
    // The key is not shown: in a file of the wrong shape it may be a token.
    if (!['topic', 'read', 'write'].includes(key)) {
      throw invalid(source, `has a key that is none of "topic", "read" and "write" ${place}`);
    }
  }
  const { topic, read = false, write = false } = right;
  if (!isTopicPattern(topic)) throw invalid(source, `must have a topic pattern, such as "plant.**", under the key "topic" ${place}`);
  if (typeof read !== 'boolean') throw invalid(source, `must have true or false under the key "read" ${place}`);
  if (typeof write !== 'boolean') throw invalid(source, `must have true or false under the key "write" ${place}`);
  // An explicit false says what it means. Where nothing is said, somebody takes the topic alone for a right.
  if (right['read'] === undefined && right['write'] === undefined) throw invalid(source, `must have the key "read" or "write" ${place}: a topic alone allows nothing`);
  return { topic, read, write };
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is kept of a token: its SHA-256 hash in base64. */
export const hashToken = (token: string): string => createHash('sha256').update(token, 'utf8').digest('base64');

const invalid = (source: string, why: string): PubkeeperError =>
  new PubkeeperError('OPTION_INVALID', `${source} ${why}.`);
