import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { resolve } from 'node:path';
import nodeResolve from '@rollup/plugin-node-resolve';
import terser from '@rollup/plugin-terser';
import { minify } from 'rolldown/utils';
import { nameForGzip } from './scripts/gzip-names.mjs';
import { orderForGzip } from './scripts/gzip-order.mjs';
import { shortenProperties } from './scripts/gzip-properties.mjs';
import { leanNoble } from './scripts/lean-noble.mjs';

// Goes at the end of the bundle, so that no line of the source map moves.
const NOTICE = '/*! pubkeeper (MIT), with @noble/ciphers and @noble/hashes (MIT, Paul Miller) */';

const NOBLE = ['ciphers/noble.js', 'sha256.js'];

const NOBLE_NOTICE = '// With parts of @noble/ciphers and @noble/hashes (MIT, Paul Miller), see THIRD-PARTY-LICENSES.txt.';

/** Minifies terser's output again with Oxc, whose names suit gzip better, and which folds a bit more: saves 1 %. */
const oxc = {
  name: 'oxc',
  async renderChunk(code, { fileName }, { format }) {
    const module = format === 'es';
    const { code: minified, map, errors } = await minify(fileName, code, { module, mangle: { toplevel: module }, compress: { target: 'es2022' }, sourcemap: true });
    if (errors?.length) throw new Error(errors[0].message);
    const named = await nameForGzip(minified, fileName, module);
    return { code: `${module ? named : eager(named)}\n${NOTICE}`, map };
  },
};

/**
 * Puts the function that contains the bundle into parentheses: they tell V8 that it is called at once, so that V8 parses it once and not
 * twice. No column of the source map moves, because the outer function loses a parenthesis.
 */
function eager(code) {
  const changed = code.replace(/^\(function\((.*?)\}\)\((\w+),function\((.*)\}\);(\s*)$/s, '!function($1}($2,(function($3}));$4');
  if (changed === code) throw new Error('The bundle does not begin and end as is expected here.');
  return changed;
}

// tsc has compiled the source: Rollup only joins its output for pages that have no bundler of their own.
const output = (format, file, options) => ({
  format,
  file,
  name: 'Pubkeeper',
  exports: 'named',
  sourcemap: true,
  generatedCode: { preset: 'es2015', symbols: false },
  // The shortest code is not the shortest after gzip: calls that are not inlined, and plain statements, repeat more.
  plugins: [terser({ ecma: 2022, module: format === 'es', compress: { passes: 2, inline: 1, sequences: false }, mangle: false }), orderForGzip, shortenProperties, oxc],
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

/** Keeps only those sources in the source maps that are not in the package. */
const ownSourcesElsewhere = {
  name: 'own-sources-elsewhere',
  generateBundle(_options, bundle) {
    for (const asset of Object.values(bundle)) {
      if (!asset.fileName.endsWith('.map')) continue;
      const map = JSON.parse(asset.source);
      map.sourcesContent = map.sources.map((source, index) => (source.includes('node_modules/') ? map.sourcesContent[index] : null));
      asset.source = JSON.stringify(map);
    }
  },
};

/**
 * Puts the code that is least like the rest (noble) first, so that it does not separate similar code: gzip looks only 32 KiB back. Saves 0.6 %.
 */
const nobleFirst = {
  name: 'noble-first',
  transform: (code, id) => (/\/dist\/(compat\/)?index\.js$/.test(id) ? { code: `${NOBLE.map((file) => `import ${JSON.stringify(resolve('dist/core', file))};`).join(' ')} ${code}`, map: null } : null),
};

const { dependencies, peerDependencies, exports } = JSON.parse(readFileSync('package.json', 'utf8'));
const packages = Object.keys({ ...dependencies, ...peerDependencies });

/** The entries that package.json has for Node only: by their name in dist/node, the module that each is made from. */
function nodeEntries() {
  const names = Object.values(exports).flatMap((entry) => (entry?.node ? [entry.node.replace('./dist/node/', '')] : []));
  const files = names.flatMap((name) => {
    const [before, after] = name.split('*');
    return after === undefined ? [name] : readdirSync(`dist/${before}`).filter((file) => file.endsWith(after)).map((file) => before + file);
  });
  return Object.fromEntries(files.map((file) => [file.replace(/\.js$/, ''), `dist/${file}`]));
}

const shared = {
  // Without `browser: true` the bundle would include ws and the Node platform.
  plugins: [nodeResolve({ browser: true }), inputSourceMaps],
  onwarn(warning) {
    // A warning may mean an unresolved import, with which no page could load the bundle.
    throw new Error(warning.message);
  },
};

export default [
  // First, and replacing tsc's output: all that follows uses these modules, as do the bundlers of applications.
  ...NOBLE.map((name) => `dist/core/${name}`).map((file) => ({
    input: file,
    external: (id) => id.startsWith('.') && /\/(host|engine)\.js$/.test(id),
    plugins: [nodeResolve({ browser: true }), inputSourceMaps, leanNoble],
    output: { file, sourcemap: true, banner: NOBLE_NOTICE },
    onwarn(warning) {
      throw new Error(warning.message);
    },
  })),
  {
    ...shared,
    plugins: [...shared.plugins, nobleFirst],
    input: 'dist/index.js',
    output: [output('umd', 'dist/pubkeeper.umd.min.js'), output('es', 'dist/pubkeeper.esm.min.js')],
  },
  {
    ...shared,
    plugins: [...shared.plugins, nobleFirst],
    input: 'dist/compat/index.js',
    // With a script tag each name becomes a global, as with the old bundle: the "namespace" is the global object.
    output: output('umd', 'dist/pubkeeper-compat.umd.min.js', { name: 'globalThis', extend: true, esModule: false }),
  },
  // Bundled for Node, because opening, reading and linking many modules takes longer than running them. All entries are built together, so
  // that they share classes: an error that one of them throws is an instance of the class that another one exports.
  {
    input: nodeEntries(),
    external: (id) => isBuiltin(id) || packages.some((name) => id === name || id.startsWith(`${name}/`)),
    plugins: [nodeResolve({ exportConditions: ['node'] }), inputSourceMaps, ownSourcesElsewhere],
    output: {
      dir: 'dist/node',
      chunkFileNames: 'parts/[name].js',
      manualChunks: (id) => /\/dist\/(core|server)\/(?!ciphers\/noble\.js|cluster\/)/.exec(id)?.[1],
      hoistTransitiveImports: false,
      sourcemap: true,
      // Rollup drops the directive with which the entry for React begins.
      banner: ({ name }) => (name === 'react/index' ? "'use client';" : ''),
    },
    onwarn(warning) {
      if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') throw new Error(warning.message);
    },
  },
];
