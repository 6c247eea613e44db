// npm run bench [-- --quick | --smoke] [-- --only <words of a title>] [-- --readme]: measures Pubkeeper and its peers in turn, in one run.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { human, spread } from './lib/numbers.mjs';
import { page } from './lib/page.mjs';
import { intoReadme } from './lib/readme.mjs';

/** What is wrong with the arguments; undefined if they are right. */
function complaint([arg, ...rest]) {
  if (arg === undefined) return undefined;
  if (arg !== '--only') return ['--quick', '--smoke', '--readme'].includes(arg) ? complaint(rest) : `${arg} is none of its options`;
  return rest.length ? complaint(rest.slice(1)) : '--only needs words of a title';
}

const wrong = complaint(process.argv.slice(2));
if (wrong) {
  console.log(`bench: ${wrong}.\nnpm run bench [-- --quick | --smoke] [-- --only <words of a title>] [-- --readme]: see bench/README.md.`);
  process.exit(2);
}

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
if (!existsSync(here('node_modules'))) {
  console.log('bench: installing the peers');
  if (spawnSync('npm', ['ci'], { cwd: here('.'), stdio: 'inherit' }).status) process.exit(1);
}
if (!existsSync(here('../dist/index.js')) && spawnSync('npm', ['run', 'build'], { cwd: here('..'), stdio: 'inherit' }).status) process.exit(1);
const { peers } = await import('./peers/index.mjs');
const { scenes } = await import('./scenes/index.mjs');
const { closeBrowsers } = await import('./lib/browsers.mjs');

const args = process.argv.slice(2);
const quick = args.includes('--quick');
const only = args.includes('--only') ? args[args.indexOf('--only') + 1].toLowerCase() : '';
const smoke = args.includes('--smoke'); // all scenes, but once and briefly: do they still run?
const runs = quick || smoke ? 1 : 3;
const ms = smoke ? 150 : quick ? 400 : 1000;
// If a slow machine would take longer than this in all (and some slack), scenes are run less often; so the last ones are run, too.
const BUDGET_MS = 10 * 60_000;
const SLACK_MS = 2 * 60_000;

const missing = new Map();
for (const [name, peer] of Object.entries(peers)) {
  const why = peer.missing();
  if (why) missing.set(name, why);
}
const skipped = new Set(missing.values());
const planned = scenes(quick).filter((scene) => {
  const why = scene.missing?.();
  if (why) skipped.add(why);
  return !why && scene.title.toLowerCase().includes(only);
});
for (const why of skipped) console.log(`bench: SKIPPED: ${why}`);
if (!planned.length) {
  console.log(`bench: no title of what can be measured here holds "${only}".`);
  process.exit(2);
}

const total = planned.reduce((sum, { names }) => sum + names.length, 0);
const began = Date.now();
let begun = 0;
const results = [];
for (const scene of planned) {
  const names = scene.names.filter((name) => !missing.has(name));
  begun += scene.names.length;
  const late = began + BUDGET_MS * (begun / total) + SLACK_MS;
  const values = await measure(scene, names, late).catch((error) => {
    // A scene that fails must not prevent the others.
    console.log(`\n${scene.title}: FAILED: ${error.stack}`);
    process.exitCode = 1;
    return undefined;
  });
  if (!values) continue;
  const rows = names.map((name) => ({ name, label: scene.labels?.[name] ?? peers[name]?.name ?? name, ...spread(values.get(name)) }));
  const first = rows[0]?.median;
  for (const row of rows) row.ratio = scene.better === 'more' ? first / row.median : row.median / first;
  const { title, unit, better, isOurs = false } = scene;
  results.push({ title, unit, better, isOurs, rows });
  console.log(`\n${title} (${unit}, ${better} is better)`);
  for (const [index, { label, min, median, max, ratio }] of rows.entries()) {
    const beside = index && !isOurs ? `ours is ${ratio.toFixed(2)} ×` : '';
    console.log(`  ${label.padEnd(36)} ${human(median).padStart(8)}   ${`${human(min)} … ${human(max)}`.padEnd(22)} ${beside}`);
  }
}

const machine = `${cpus().length} × ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`;
const report = { date: new Date().toISOString(), machine, runs, ms, skipped: [...skipped], results };
mkdirSync(here('results'), { recursive: true });
writeFileSync(here('results/results.json'), JSON.stringify(report, undefined, 2));
writeFileSync(here('results/results.html'), page(report));
if (args.includes('--readme')) writeFileSync(here('../README.md'), intoReadme(readFileSync(here('../README.md'), 'utf8'), report));
console.log(`\n${machine}; ${Math.round((Date.now() - began) / 1000)} s\nbench/results/results.json and results.html hold the same.`);
await closeBrowsers();
process.exit();

/** Measures the values of each name. The names take turns, so that a machine that slows down does so for all of them. */
async function measure(scene, names, late) {
  if (scene.all) return scene.all(names, { ms });
  const values = new Map(names.map((name) => [name, []]));
  for (let run = 0; run < (scene.runs ?? runs) && (!run || Date.now() < late); run++) {
    for (const name of names) values.get(name).push(await scene.run(name, { ms }));
  }
  return values;
}
