/** The members of `unsafe` that src/core/ciphers/noble.ts uses. */
const USED = ['expandKeyLE', 'expandKeyDecLE', 'encrypt', 'decrypt'];

/** The names of the words of SHA-256's state. */
const WORDS = [...'ABCDEFGH'];

/**
 * The changes to each module, by the names of functions, or of classes with their methods. `bodies`: new function bodies. `without`:
 * methods and fields that nobody uses, which tree shaking does not find. `unchecked`: functions that lose this many checks, which are
 * `if (…) throw` and calls of `abytes`. `known`: code to replace, because its result is always the same here or is never used.
 */
const CUTS = {
  'ciphers/aes': {
    bodies: {
      // Tables for single bytes: noble's for pairs of bytes take 1.3 MB and some milliseconds to make, and do not stay in the CPU's cache.
      // All four are one table of signed words, which is twice as fast in Firefox. From index 256 on `sbox[i]` is undefined, which counts as 0.
      genTtable: 'const T = new Int32Array(1024); for (let i = 0; i < 1024; i++) T[i] = factors.reduce((word, factor) => (word << 8) | mul(sbox[i], factor), 0) || rotl32_8(T[i - 256]); return { S: sbox, T };',
      apply0123: 'return T[s0 & 255] ^ T[256 | ((s1 >>> 8) & 255)] ^ T[512 | ((s2 >>> 16) & 255)] ^ T[768 | (s3 >>> 24)];',
      applySbox: 'return S[s0 & 255] | (S[(s1 >>> 8) & 255] << 8) | (S[(s2 >>> 16) & 255] << 16) | (S[s3 >>> 24] << 24);',
      // The same steps as `encrypt`, with the words in reverse order; so are the words of its keys, below.
      decrypt: 'const r = encrypt(xk, s0, s3, s2, s1, tableDecoding); return { s0: r.s0, s1: r.s3, s2: r.s2, s3: r.s1 };',
    },
    unchecked: { expandKeyLE: 1 },
    known: {
      'const len = key.length;\n    validateKeyLength(key);': "const len = key.length; if (![16, 24, 32].includes(len)) throw RangeError('bad key');",
      'function genTtable(sbox, fn)': 'function genTtable(sbox, ...factors)',
      '(s) => (mul(s, 3) << 24) | (s << 16) | (s << 8) | mul(s, 2)': '3, 1, 1, 2',
      '(s) => (mul(s, 11) << 24) | (mul(s, 13) << 16) | (mul(s, 9) << 8) | mul(s, 14)': '11, 13, 9, 14',
      'apply0123(T01, T23,': 'apply0123(T,',
      'applySbox(sbox2,': 'applySbox(S,',
      'const { sbox2 } = tableEncoding;': 'const { S } = tableEncoding;',
      'const { T0, T1, T2, T3 } = tableDecoding;': 'const { T } = tableDecoding;',
      'T0[w & 0xff] ^ T1[(w >>> 8) & 0xff] ^ T2[(w >>> 16) & 0xff] ^ T3[w >>> 24]': 'apply0123(T, w, w, w, w)',
      'new Uint32Array(len + 28)': 'new Int32Array(len + 28)',
      'encKey[Nk - i - 4 + j]': 'encKey[Nk - i - 4 + (-j & 3)]',
      'function encrypt(xk, s0, s1, s2, s3) {\n    const { sbox2, T01, T23 } = tableEncoding;': 'function encrypt(xk, s0, s1, s2, s3, make = tableEncoding) {\n    const { S, T } = make();',
      // Read the key's words as little-endian on any machine, and do not change the given key.
      'const toClean = [];': 'let power = 1;',
      't = subByte(rotr32_8(t)) ^ xPowers[i / Nk - 1];': '{ t = subByte(rotr32_8(t)) ^ power; power = mul2(power); }',
      'if (!isLE || !isAligned32(key))\n        toClean.push((key = copyBytes(key)));': 'const view = new DataView(key.buffer, key.byteOffset, len);',
      'swap32IfBE(u32(key))': 'Int32Array.from({ length: len / 4 }, (_, i) => view.getInt32(4 * i, true))',
      'clean(...toClean);': '',
      'clean(t);': '',
      'clean(encKey);': '',
    },
  },
  'hashes/sha2': {
    // The state is a Uint32Array, so that words wrap at 32 bits by themselves. There is one class, since only SHA-256 is used.
    bodies: { 'SHA2_32B.constructor': 'this.state = Uint32Array.from(SHA256_IV);', 'SHA2_32B.get': 'return this.state;' },
    without: [...WORDS, 'set', '_cloneInto', 'destroy', 'roundClean'].map((name) => `SHA2_32B.${name}`),
    known: {
      'class SHA2_32B extends HashMD': 'class SHA2_32B',
      'constructor(outputLen, IV)': 'constructor()',
      'export class _SHA256 extends SHA2_32B {\n    constructor() {\n        super(32, SHA256_IV);\n    }\n}': 'export { SHA2_32B as _SHA256 };',
      'getUint32(offset, false)': 'getUint32(offset)',
      'let { A, B, C, D, E, F, G, H } = this;': 'let [A, B, C, D, E, F, G, H] = this.state;',
      'this.set(A, B, C, D, E, F, G, H);': '[A, B, C, D, E, F, G, H].forEach((word, i) => (this.state[i] += word));',
      ...Object.fromEntries(WORDS.map((word) => [`${word} = (${word} + this.${word}) | 0;`, ''])),
    },
  },
};

/** SHA-256's constants: the first bits of the roots of the first primes (FIPS 180-4, sections 4.2.2 and 5.3.3). */
const ROOTS = { SHA256_IV: [8, 2], SHA256_K: [64, 3] };
function rootsOfPrimes(count, degree) {
  const primes = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  return Uint32Array.from(primes, (prime) => prime ** (1 / degree) * 2 ** 32);
}

/**
 * A Rollup plugin for the modules of dist that use noble: leaves out the parts of @noble/ciphers and @noble/hashes that the SDK never uses.
 * These are: the other members of the object `unsafe`, which tree shaking cannot remove; checks of arguments that only our own code gives (keys
 * and frames are checked before, by `PubkeeperError`s that name the brewer; a key's type and length here too); SHA-256 for data that comes in
 * parts; duplicate code; and constants that are shorter to compute. The tables of AES are made at their first use, not on load: a page whose
 * messages are opened by WebCrypto never needs them. Results stay the same. If noble's text is not as expected here (package.json fixes its
 * versions), the build fails.
 */
export const leanNoble = {
  name: 'lean-noble',
  transform(code, id) {
    // Then minifiers see functions, which they can rename and inline, and not members of an object.
    if (id.endsWith('/core/ciphers/noble.js')) return { code: code.replace('import { unsafe }', 'import * as unsafe'), map: null };
    const name = /@noble[\\/](\w+[\\/]\w+)\.js$/.exec(id)?.[1]?.replace('\\', '/');
    if (!name) return null;
    let lean = CUTS[name] ? cut(code, this.parse(code), CUTS[name], name) : code;
    lean = lean.replace(/^((?:export )?const (SHA256_(?:IV|K)) = \/\* @__PURE__ \*\/ )Uint32Array\.from\((\[[^\]]+\])\);$/gm, (_, start, constant, list) => {
      const numbers = rootsOfPrimes(...ROOTS[constant]);
      const given = list.match(/0x\w+/g).map(Number);
      if (given.join() !== numbers.join()) throw different(name, constant);
      return `${start}rootsOfPrimes(${ROOTS[constant]});`;
    });
    if (name === 'ciphers/aes') lean = lateTables(lean);
    if (name === 'hashes/_md') lean += `export ${rootsOfPrimes}\n`;
    if (name === 'hashes/sha2') lean = `import { rootsOfPrimes } from './_md.js';\n${lean}`;
    return { code: lean, map: null };
  },
};

const different = (name, what) => new Error(`@noble/${name} is another one than is expected here: ${what}.`);

function cut(code, { body }, { bodies = {}, without = [], unchecked = {}, known = {} }, module) {
  const functions = new Map();
  for (const statement of body) {
    const node = statement.declaration ?? statement;
    if (node.type === 'FunctionDeclaration') functions.set(node.id.name, { node, block: node.body });
    for (const { id, init } of node.declarations ?? []) functions.set(id.name, { node, block: init?.body });
    if (node.type !== 'ClassDeclaration') continue;
    for (const member of node.body.body) {
      functions.set(`${node.id.name}.${member.key.name}`, { node: member, block: member.value?.body });
    }
  }
  const find = (name) => {
    if (!functions.has(name)) throw different(module, name);
    return functions.get(name);
  };
  const edits = [];
  for (const [name, text] of Object.entries(bodies)) edits.push({ ...find(name).block, text: `{ ${text} }` });
  for (const name of without) edits.push({ ...find(name).node, text: '' });
  for (const [name, count] of Object.entries(unchecked)) {
    const checks = find(name).block.body.filter(({ consequent, expression }) => consequent?.type === 'ThrowStatement' || expression?.callee?.name === 'abytes');
    if (checks.length !== count) throw different(module, name);
    for (const check of checks) edits.push({ ...check, text: '' });
  }
  // From the last to the first, so that the positions of earlier edits stay right.
  edits.sort((a, b) => b.start - a.start);
  const lean = edits.reduce((text, edit) => text.slice(0, edit.start) + edit.text + text.slice(edit.end), code);
  return Object.entries(known).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw different(module, from);
    return text.replaceAll(from, to);
  }, lean);
}

function lateTables(code) {
  const changed = { unsafe: 0, made: 0, used: 0 };
  const lean = code
    .replace(/^export const unsafe = \/\* @__PURE__ \*\/ Object\.freeze\(\{[^}]+\}\);$/m, () => (changed.unsafe++, `export { ${USED.join(', ')} };`))
    .replace(/^(const table(?:En|De)coding = )\/\* @__PURE__ \*\/ (genTtable\(.+\));$/gm, (_, name, make) => (changed.made++, `${name}/* @__PURE__ */ late(() => ${make});`))
    .replace(/ = (table(?:En|De)coding);$/gm, (_, name) => (changed.used++, ` = ${name}();`));
  const { unsafe, made, used } = changed;
  if (unsafe !== 1 || made !== 2 || used !== 3) throw different('ciphers/aes', JSON.stringify(changed));
  return `${lean}\nfunction late(make) { let made; return () => (made ??= make()); }\n`;
}
