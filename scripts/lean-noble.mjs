/** What src/core/ciphers/noble.ts takes of `unsafe`. */
const USED = ['expandKeyLE', 'expandKeyDecLE', 'encryptBlock', 'decrypt', 'ctr32'];

/**
 * A Rollup plugin, for `dist/core/ciphers/noble.js` and all that is made of it. Of @noble/ciphers' AES it leaves out what the object `unsafe` holds besides, which no
 * tree shaking can: CMAC, S2V and more, 2.4 KB. And the tables, 1.3 MB that are made when it is loaded, are made when they are first
 * used: that is more than half of the time in which a page runs the bundle, and one whose messages are opened by WebCrypto
 * never needs them. What is computed stays as it is. Where noble's text is not what is expected here (its version is fixed in
 * package.json), the build fails.
 */
export const leanNoble = {
  name: 'lean-noble',
  transform(code, id) {
    if (!/@noble[\\/]ciphers[\\/]aes\.js$/.test(id)) return null;
    const changed = { unsafe: 0, made: 0, used: 0 };
    const lean = code
      .replace(/^export const unsafe = \/\* @__PURE__ \*\/ Object\.freeze\(\{[^}]+\}\);$/m, () => (changed.unsafe++, `export const unsafe = { ${USED.join(', ')} };`))
      .replace(/^(const table(?:En|De)coding = )\/\* @__PURE__ \*\/ (genTtable\(.+\));$/gm, (_, name, make) => (changed.made++, `${name}/* @__PURE__ */ late(() => ${make});`))
      .replace(/ = (table(?:En|De)coding);$/gm, (_, name) => (changed.used++, ` = ${name}();`));
    const { unsafe, made, used } = changed;
    if (unsafe !== 1 || made !== 2 || used !== 5) throw new Error(`@noble/ciphers is another one than is expected here: ${JSON.stringify(changed)}.`);
    return { code: `${lean}\nfunction late(make) { let made; return () => (made ??= make()); }\n`, map: null };
  },
};
