// The static checks. `node scripts/checks.mjs [lint|types]` runs those whose name begins with that word; scripts/test.mjs runs all.
import { pathToFileURL } from 'node:url';
import { ensureBuild, ensureDependencies, main, runNode, step } from './setup.mjs';

const tsc = (project) => () => runNode('node_modules/typescript/bin/tsc', ['-p', project, '--noEmit']);

const checks = [
  { name: 'lint', run: () => runNode('node_modules/eslint/bin/eslint.js', ['.', '--max-warnings', '0']) },
  { name: 'types of src', run: tsc('tsconfig.json') },
  { name: 'types of src/core without DOM and Node', run: tsc('src/core/tsconfig.json') },
  { name: 'types of test, e2e and bench', run: tsc('tsconfig.test.json') },
  { name: 'types of demo', run: tsc('demo/tsconfig.json') },
];

/** Runs every check whose name begins with the prefix, even after one has failed. */
export async function runChecks(prefix = '') {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const check of checks.filter(({ name }) => name.startsWith(prefix))) {
    const { code } = await check.run();
    step(`${check.name}: ${code === 0 ? 'passed' : 'FAILED'}`);
    counts[code === 0 ? 'passed' : 'failed'] += 1;
  }
  return counts;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main(async () => {
    await ensureDependencies();
    // The demos import what the build makes.
    if (process.argv[2] !== 'lint') await ensureBuild();
    const { passed, failed } = await runChecks(process.argv[2]);
    if (failed > 0 || passed === 0) process.exitCode = 1;
  });
}
