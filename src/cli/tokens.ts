import { isTopicPattern } from '../core/topic.js';
import type { Authenticator, Right, TokenTable } from '../server/index.js';
import { withoutBreak } from './arguments.js';
import { usage } from './exit.js';

// Tokens on the command line of `serve`. No sentence here repeats what was given: it may be a token.

const FORM = "--token takes TOKEN, or TOKEN=read:PATTERN,write:PATTERN as in 'secret=read:demo.**,write:demo.x'";
/** The rights of a token that is given without any. */
export const EVERYTHING: readonly Right[] = [{ topic: '**', read: true, write: true }];

/**
 * One `--token`: a token that may do everything, or one with rights. Equals signs at the end of a token, as in base64, belong
 * to the token; one anywhere else must be followed by rights, so that a typing mistake there does not make a token that may do
 * everything.
 */
export function parseTokenGrant(given: string): readonly [token: string, rights: readonly Right[]] {
  const text = withoutBreak(given);
  const trimmed = text.replace(/=+$/, '');
  if (!trimmed) throw usage(`An empty token: ${FORM}.`);
  const at = trimmed.lastIndexOf('=');
  if (at < 0) return [text, EVERYTHING];
  const token = text.slice(0, at);
  if (!token) throw usage(`An empty token: ${FORM}.`);
  return [token, text.slice(at + 1).split(',').map(parseRight)];
}

function parseRight(text: string): Right {
  const [, verb, topic] = /^(read|write):(.*)$/.exec(text) ?? [];
  if (verb === undefined) throw usage(`A token's rights must be read: or write: and a topic pattern: ${FORM}.`);
  if (!isTopicPattern(topic)) throw usage(`A token's right has no valid topic pattern after "${verb}:": ${FORM}.`);
  return verb === 'read' ? { topic, read: true } : { topic, write: true };
}

/** Collects an option that may be repeated, for commander. The rights of a token that is given twice add up. */
export function collectTokens(text: string, table: ReadonlyMap<string, readonly Right[]> | undefined): Map<string, readonly Right[]> {
  const [token, rights] = parseTokenGrant(text);
  return new Map(table).set(token, [...(table?.get(token) ?? []), ...rights]);
}

/** The table that the server takes. Its entries are own properties, whatever a token is called. */
export const tokenTable = (tokens: ReadonlyMap<string, readonly Right[]>): TokenTable => Object.fromEntries(tokens);

/** Asks the second authenticator about tokens that the first does not know. */
export const either = (first: Authenticator, second: Authenticator): Authenticator => ({
  authenticate: async (token) => (await first.authenticate(token)) ?? (await second.authenticate(token)),
  compare(tokenHash, former) {
    const verdict = first.compare?.(tokenHash, former) ?? 'changed';
    return verdict === 'unknown' ? (second.compare?.(tokenHash, former) ?? 'changed') : verdict;
  },
});
