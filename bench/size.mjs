// `npm run bench:size`: how much each library adds to a page, by the same steps for all: a plain import of what an application needs,
// bundled by Rollup for browsers, minified by terser, compressed by gzip -9. Other libraries are installed into a temporary directory.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import commonjs from '@rollup/plugin-commonjs';
import nodeResolve from '@rollup/plugin-node-resolve';
import terser from '@rollup/plugin-terser';
import { rollup } from 'rollup';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const others = ['socket.io-client', 'centrifuge', '@nats-io/nats-core', 'mqtt'];
const rows = [
  { name: 'pubkeeper', what: 'all of it', code: `import * as all from 'pubkeeper'; console.log(all);` },
  { name: 'pubkeeper', what: 'client and brew', code: `import { PubkeeperClient } from 'pubkeeper'; console.log(PubkeeperClient);` },
  { name: 'pubkeeper', what: 'patron only', code: `import { Patron } from 'pubkeeper'; console.log(Patron);` },
  { name: 'socket.io-client', what: 'io', code: `import { io } from 'socket.io-client'; console.log(io);` },
  { name: 'centrifuge', what: 'Centrifuge', code: `import { Centrifuge } from 'centrifuge'; console.log(Centrifuge);` },
  { name: '@nats-io/nats-core', what: 'wsconnect', code: `import { wsconnect } from '@nats-io/nats-core'; console.log(wsconnect);` },
  { name: 'mqtt', what: 'connect', code: `import mqtt from 'mqtt'; console.log(mqtt.connect);` },
];

/** Reads JSON modules, which some packages import. */
const json = {
  name: 'json',
  transform: (code, id) => (id.endsWith('.json') ? { code: `export default ${code}`, map: null } : null),
};

async function measure(directory, code, at) {
  const input = join(directory, `entry-${at}.js`);
  writeFileSync(input, code);
  const bundle = await rollup({
    input,
    plugins: [nodeResolve({ browser: true, preferBuiltins: false }), json, commonjs()],
    onwarn(warning) {
      if (warning.code === 'UNRESOLVED_IMPORT') console.warn(`  ${warning.message}`);
    },
  });
  const { output } = await bundle.generate({ format: 'es', inlineDynamicImports: true, plugins: [terser({ ecma: 2022, module: true })] });
  await bundle.close();
  // Only the import is measured: the line that uses it is a few bytes.
  const minified = output[0].code;
  return { minified: Buffer.byteLength(minified), gzipped: gzipSync(minified, { level: 9 }).length };
}

const version = (directory, name) => JSON.parse(readFileSync(join(directory, 'node_modules', name, 'package.json'), 'utf8')).version;

if (!existsSync(join(root, 'dist/index.js'))) {
  console.error('bench: dist is missing: run "npm run build" first.');
  process.exit(1);
}
const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-size-'));
try {
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  execFileSync('npm', ['install', ...others, '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  mkdirSync(join(directory, 'node_modules'), { recursive: true });
  symlinkSync(root, join(directory, 'node_modules/pubkeeper'), 'junction');

  const number = new Intl.NumberFormat('en');
  console.log('| library | what is imported | minified | gzipped |\n| --- | --- | ---: | ---: |');
  for (const [at, { name, what, code }] of rows.entries()) {
    const { minified, gzipped } = await measure(directory, code, at);
    console.log(`| ${name} ${version(directory, name)} | ${what} | ${number.format(minified)} | ${number.format(gzipped)} |`);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
