import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import nodeResolve from '@rollup/plugin-node-resolve';
import terser from '@rollup/plugin-terser';
import { minify } from 'rolldown/utils';
import { leanNoble } from './scripts/lean-noble.mjs';

// At the end, so that no line of the source map moves.
const NOTICE = '/*! pubkeeper (MIT), with @noble/ciphers and @noble/hashes (MIT, Paul Miller) and isomorphic-ws (MIT, Zejin Zhuang) */';

/** What terser leaves, to which Oxc gives names that gzip likes better, and from which it folds a bit more: 1 %. */
const oxc = {
  name: 'oxc',
  async renderChunk(code, { fileName }, { format }) {
    const module = format === 'es';
    const { code: minified, map, errors } = await minify(fileName, code, { module, mangle: { toplevel: module }, compress: { target: 'es2022' }, sourcemap: true });
    if (errors?.length) throw new Error(errors[0].message);
    return { code: `${minified}\n${NOTICE}`, map };
  },
};

// tsc has compiled the source: Rollup only joins its output for pages that have no bundler of their own.
const output = (format, file, options) => ({
  format,
  file,
  name: 'Pubkeeper',
  exports: 'named',
  sourcemap: true,
  generatedCode: 'es2015',
  // What is shortest is not what gzip makes shortest: calls that are not inlined and plain statements repeat more.
  plugins: [terser({ ecma: 2022, module: format === 'es', compress: { passes: 2, inline: 1, sequences: false }, mangle: false }), oxc],
  ...options,
});

/** Passes the source maps of tsc on, so that the bundle's map leads to the TypeScript source. */
const inputSourceMaps = {
  name: 'input-source-maps',
  async load(id) {
    if (!existsSync(`${id}.map`)) return null;
    const [code, map] = await Promise.all([readFile(id, 'utf8'), readFile(`${id}.map`, 'utf8')]);
    return { code, map: JSON.parse(map) };
  },
};

const shared = {
  // Without `browser: true` the bundle swallows ws and the Node platform.
  plugins: [nodeResolve({ browser: true }), inputSourceMaps, leanNoble],
  onwarn(warning) {
    // An import left unresolved makes a bundle that no page can load.
    throw new Error(warning.message);
  },
};

export default [
  {
    ...shared,
    input: 'dist/index.js',
    output: [output('umd', 'dist/pubkeeper.umd.min.js'), output('es', 'dist/pubkeeper.esm.min.js')],
  },
  {
    ...shared,
    input: 'dist/compat/index.js',
    // A script tag sets each of its names as a global, as the old bundle did: the "namespace" is the global object.
    output: output('umd', 'dist/pubkeeper-compat.umd.min.js', { name: 'globalThis', extend: true, esModule: false }),
  },
];
