// Code for pages, bundled by the same steps for every library: Rollup for browsers, terser.
import { fileURLToPath } from 'node:url';
import commonjs from '@rollup/plugin-commonjs';
import nodeResolve from '@rollup/plugin-node-resolve';
import terser from '@rollup/plugin-terser';
import { rollup } from 'rollup';

/** Reads JSON modules, which some packages import. */
const json = { name: 'json', transform: (code, id) => (id.endsWith('.json') ? { code: `export default ${code}`, map: null } : null) };

const ENTRY = '\0entry';
const made = new Map();

/** A script that sets the global `name` to the exports of the module `code`, whose imports are resolved as from bench/page. Made once. */
export function bundle(name, code) {
  const key = `${name}:${code}`;
  if (!made.has(key)) made.set(key, make(name, code));
  return made.get(key);
}

async function make(name, code) {
  const from = fileURLToPath(new URL('../page/entry.mjs', import.meta.url));
  const entry = {
    name: 'entry',
    async resolveId(id, importer) {
      if (id === ENTRY) return ENTRY;
      return importer === ENTRY ? this.resolve(id, from, { skipSelf: true }) : null;
    },
    load: (id) => (id === ENTRY ? code : null),
  };
  const built = await rollup({
    input: ENTRY,
    plugins: [entry, nodeResolve({ browser: true, preferBuiltins: false }), json, commonjs()],
    onwarn: () => undefined,
  });
  const { output } = await built.generate({ format: 'iife', name, inlineDynamicImports: true, plugins: [terser({ ecma: 2022 })] });
  await built.close();
  return output[0].code;
}
