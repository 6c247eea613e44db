// `npm run conformance`: every brew against every case of the conformance suite, as a table.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SetupError, ensureBrokers, ensureDependencies, main, runNode, step } from './setup.mjs';

const SUITE = 'test/conformance.test.ts';
const CONTRACT = 'the contract of a brew: ';
const WIDTH = 90;

await main(async () => {
  await ensureDependencies();
  const problem = await ensureBrokers();
  if (problem) console.error(`pubkeeper: ${problem}`);
  const directory = mkdtempSync(join(tmpdir(), 'pubkeeper-conformance-'));
  const report = join(directory, 'report.json');
  try {
    step(`vitest ${SUITE}`);
    const { code, output } = await runNode('node_modules/vitest/vitest.mjs', ['run', '--project', 'unit', '--reporter=json', `--outputFile=${report}`, SUITE], {
      quiet: true,
    });
    // If vitest ends before it has run anything, it writes no report.
    const results = existsSync(report) ? read(report) : [];
    if (!results.length) throw new SetupError(`The suite did not run: ${output}`);
    print(results);
    for (const { brew, name, failure } of results) if (failure) console.error(`\n${brew}: ${name}\n${failure}`);
    process.exitCode = code;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

function read(file) {
  const tests = JSON.parse(readFileSync(file, 'utf8')).testResults.flatMap((result) => result.assertionResults);
  return tests.map(({ ancestorTitles, title, status, failureMessages }) => ({
    brew: brewOf(ancestorTitles),
    name: nameOf(ancestorTitles, title),
    status,
    failure: status === 'failed' ? failureMessages.join('\n') : '',
  }));
}

// Titles, from the outside in: perhaps others, `the contract of a brew: <the brew>`, and perhaps a part of the contract.
function contract(titles) {
  return titles.findIndex((title) => title.startsWith(CONTRACT));
}

function brewOf(titles) {
  return titles[contract(titles)].slice(CONTRACT.length);
}

function nameOf(titles, title) {
  const name = [...titles.slice(contract(titles) + 1), title].join(' ');
  // Each brew refuses other details, but it is one case of the contract.
  return name.startsWith('startPatron() refuses') ? 'startPatron() refuses details that make no sense' : name;
}

/** The sign for a cell, which may stand for several tests: 'NO' if any of them has failed. */
function sign(results) {
  if (results.some(({ status }) => status === 'failed')) return 'NO';
  return results.some(({ status }) => status === 'passed') ? 'yes' : '-';
}

function print(results) {
  const brews = [...new Set(results.map(({ brew }) => brew))];
  const cases = [...new Set(results.map(({ name }) => name))];
  brews.forEach((brew, index) => console.log(`${String.fromCharCode(65 + index)}  ${brew}`));
  const all = [];
  const line = (name, cells) => console.log(`${name.padEnd(WIDTH)}  ${cells.map((cell) => cell.padEnd(4)).join('')}`.trimEnd());
  console.log();
  line('', brews.map((_, index) => String.fromCharCode(65 + index)));
  for (const name of cases) {
    const cells = brews.map((brew) => sign(results.filter((result) => result.brew === brew && result.name === name)));
    all.push(...cells);
    line(name.length > WIDTH ? `${name.slice(0, WIDTH - 1)}…` : name, cells);
  }
  const count = (word) => all.filter((cell) => cell === word).length;
  console.log(`\n${brews.length} brews, ${cases.length} cases: ${count('yes')} yes, ${count('NO')} no, ${count('-')} not applicable or not installed`);
}
