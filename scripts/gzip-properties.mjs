import { parseAst } from 'rollup/parseAst';
import { cutAndJoined, orderOf } from './gzip-order.mjs';

/**
 * The properties that only the bundle itself uses: those of our objects and classes that are never seen by an application, a server, a third
 * party's brew or cipher, or another copy of this package. No property of the public API, of sent data or of an error's details belongs here.
 */
export const INNER = [
  // Connections, sessions, and what they are made of
  'abandon', 'heardAt', 'hurry', 'isOpen', 'isReady', 'onClose', 'onDown', 'onFault', 'onMessage', 'onOpen', 'onPacket', 'onReady', 'place', 'servers', 'tell', 'watch',
  // The lifecycle of a client, its registry, and the registered members
  'answered', 'expectAnswer', 'expire', 'isRunning', 'notify', 'refused', 'register', 'registerAll', 'registration', 'registry', 'session', 'unanswered', 'unbind', 'undo', 'unregister', 'untried',
  // What patrons and brewers are made of
  'accept', 'counts', 'deliver', 'digestOf', 'drops', 'flush', 'hasRoomFor', 'listener', 'outlet', 'past', 'queue', 'received', 'replays', 'resets', 'sealer', 'take', 'told',
  // A relay's link and its routes
  'ended', 'given', 'grant', 'hash', 'identity', 'idle', 'interrupted', 'own', 'packet', 'pairs', 'publish', 'receivers', 'revoke', 'takes', 'toldAfter', 'users',
];

const LETTERS = [...'etnriaoscludfpmhgvybxwkCSTEDjqzABFGHIJKLMNOPQRUVWXYZ$_'];
/** The short names to choose from: there are more properties than letters. */
const NAMES = [...LETTERS, ...LETTERS.map((letter) => `${letter}e`)];

/** Builtin objects whose properties must not be taken for ours. */
const BUILTINS = [Array, ArrayBuffer, DataView, Date, Error, Function, Map, Number, Object, Promise, RegExp, Set, String, Uint8Array, WeakSet];
const isBuiltin = (name) => name in Math || name in JSON || BUILTINS.some((Class) => name in Class || name in Class.prototype);

/**
 * Finds where the names of properties stand in a program that rollup/parseAst has read, and its string literals. `shorthand`: the name stands
 * for a property and a variable, as in `{ name }`.
 */
export function propertiesOf(program) {
  /** @type {{ name: string, start: number, end: number, shorthand: boolean }[]} */
  const found = [];
  const texts = new Set();
  const note = ({ name, start, end }, shorthand = false) => found.push({ name, start, end, shorthand });
  const visit = (node) => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (typeof node?.type !== 'string') return;
    const { type, computed, property, key, shorthand } = node;
    if (type === 'Literal') texts.add(node.value);
    if (type === 'MemberExpression' && !computed && property.type === 'Identifier') note(property);
    if (['Property', 'MethodDefinition', 'PropertyDefinition'].includes(type) && !computed && key.type === 'Identifier') note(key, shorthand);
    Object.values(node).forEach(visit);
  };
  visit(program);
  return { found, texts };
}

/**
 * Chooses short names for the inner properties of `code`: names that no other property has, the shortest for the most frequent ones. `known`:
 * earlier names, which are kept if possible.
 * @param {Readonly<Record<string, string>>} [known]
 */
export function lettersFor(code, known = {}, inner = INNER) {
  const { found, texts } = propertiesOf(parseAst(code));
  const wrong = inner.find((name) => isBuiltin(name) || texts.has(name));
  if (wrong) throw new Error(`${wrong} may be the name of something else than a property of ours: it must keep it.`);
  const timesOf = new Map();
  for (const { name } of found) timesOf.set(name, (timesOf.get(name) ?? 0) + 1);
  const letters = new Map(Object.entries(known).filter(([name, letter]) => inner.includes(name) && timesOf.has(name) && !timesOf.has(letter)));
  const free = NAMES.filter((letter) => !timesOf.has(letter) && ![...letters.values()].includes(letter));
  const others = inner.filter((name) => timesOf.has(name) && !letters.has(name)).sort((a, b) => timesOf.get(b) - timesOf.get(a));
  others.forEach((name, index) => letters.set(name, free[index]));
  return { found, letters };
}

/**
 * A Rollup plugin for code that still has its names: gives the inner properties short names. Minifiers leave properties alone, since
 * they cannot know which of them other code uses. gzip-order-search.mjs chooses the letters.
 */
export const shortenProperties = {
  name: 'shorten-properties',
  renderChunk: (code, { fileName }) => shortened(code, lettersFor(code, orderOf(fileName)?.properties)),
};

/** `code` with these short names, and a source map. */
export function shortened(code, { found, letters }) {
  const pieces = [];
  let at = 0;
  for (const { name, start, end, shorthand } of found.sort((a, b) => a.start - b.start)) {
    const letter = letters.get(name);
    if (!letter) continue;
    pieces.push([at, start], shorthand ? `${letter}:${name}` : letter);
    at = end;
  }
  return cutAndJoined(code, [...pieces, [at, code.length]]);
}
