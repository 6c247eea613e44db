// Makes dist: the compiled modules with types and source maps, the bundles for pages without a bundler, and the bundled entries for Node.
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { copyDashboard } from './dashboard.mjs';
import { SetupError, buildFingerprint, ensureDependencies, main, recordBuild, root, runNode, step } from './setup.mjs';

const dist = (name) => join(root, 'dist', name);

await main(async () => {
  await ensureDependencies();
  // Before the build, so that a change during the build makes the result stale.
  const fingerprint = buildFingerprint();
  recordBuild('');
  rmSync(dist(''), { recursive: true, force: true });

  const tsc = await runNode('node_modules/typescript/bin/tsc', ['-p', 'tsconfig.json']);
  if (tsc.code !== 0) throw new SetupError('The TypeScript compiler found errors.');
  if (existsSync(dist('cli/main.js'))) chmodSync(dist('cli/main.js'), 0o755);

  if (existsSync(dist('index.js'))) {
    const rollup = await runNode('node_modules/rollup/dist/bin/rollup', ['-c', '--silent']);
    if (rollup.code !== 0) throw new SetupError('Rollup could not make the bundles.');
    for (const name of ['pubkeeper.umd.min.js', 'pubkeeper.esm.min.js', 'pubkeeper-compat.umd.min.js']) report(name);
  } else {
    step('src/index.ts is missing, so no bundles are made');
  }
  copyDashboard();
  copyLicenses();
  recordBuild(fingerprint);
});

/** Writes the licences of third-party code in the bundles and in the lean noble modules; the dashboard's are beside its files. */
function copyLicenses() {
  const packages = ['@noble/ciphers', '@noble/hashes'];
  const texts = packages.map((name) => `${name}\n\n${readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8').trim()}\n`);
  writeFileSync(dist('THIRD-PARTY-LICENSES.txt'), texts.join(`\n${'-'.repeat(80)}\n\n`));
}

function report(name) {
  const bytes = readFileSync(dist(name));
  const integrity = `sha384-${createHash('sha384').update(bytes).digest('base64')}`;
  step(`dist/${name}  ${bytes.length} B, gzipped ${gzipSync(bytes, { level: 9 }).length} B  ${integrity}`);
}
