// `npm test`: sets up what is missing, runs every check even after one has failed, and ends with one line of counts.
// Arguments go to vitest (`npm test -- test/core`); then only vitest runs.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runChecks } from './checks.mjs';
import { SetupError, ensureBrokers, ensureBrowsers, ensureBuild, ensureDependencies, main, runNode, step } from './setup.mjs';

const vitestArguments = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };

await main(async () => {
  await ensureDependencies();
  await attempt(ensureBuild);
  const browserProblem = await ensureBrowsers();
  if (browserProblem) console.error(`pubkeeper: ${browserProblem}`);
  const brokerProblem = await ensureBrokers();
  if (brokerProblem) console.error(`pubkeeper: ${brokerProblem}`);

  if (vitestArguments.length > 0) {
    add(await runVitest(vitestArguments));
  } else {
    add(await runChecks());
    add(await runVitest(['--project', 'unit']));
    add(await runVitest(['--project', 'e2e']));
  }

  if (total.failed > 0 || total.passed === 0) process.exitCode = 1;
  console.log(`${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
});

function add(counts) {
  for (const key of Object.keys(total)) total[key] += counts[key];
}

/** Counts a failed build as one failure among the tests; what can be checked without dist is still checked. */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`pubkeeper: ${error.message}`);
    add({ passed: 0, failed: 1, skipped: 0 });
  }
}

async function runVitest(args) {
  step(`vitest ${args.join(' ')}`);
  const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-test-'));
  try {
    const report = join(directory, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const { code } = await runNode('node_modules/vitest/vitest.mjs', ['run', ...reporters, ...args]);
    return count(readReport(report), code);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).testResults;
  } catch {
    return []; // vitest died before it could write a report: its exit code counts
  }
}

function count(files, exitCode) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of files) {
    const statuses = file.assertionResults.map((test) => test.status);
    // A pending test has never ended, because its process died.
    const failed = statuses.filter((status) => status === 'failed' || status === 'pending').length;
    const passed = statuses.filter((status) => status === 'passed').length;
    counts.passed += passed;
    counts.skipped += statuses.length - passed - failed;
    // A file that fails outside its tests (on import, in a hook) is a failure too.
    counts.failed += failed === 0 && file.status === 'failed' ? 1 : failed;
  }
  // So is a failure that belongs to no test: a crash, an unhandled error, no test file at all.
  if (counts.failed === 0 && exitCode !== 0) counts.failed = 1;
  return counts;
}
