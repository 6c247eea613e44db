// npm run bench [-- --quick] [-- --only <words of a title>]: ours and the peers in the same run, in turn.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { human, spread } from './lib/numbers.mjs';
import { page } from './lib/page.mjs';

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
const runs = quick ? 1 : 5;
const ms = quick ? 400 : 1500;

const missing = new Map();
for (const [name, peer] of Object.entries(peers)) {
  const why = peer.missing();
  if (why) missing.set(name, why);
}
for (const why of new Set(missing.values())) console.log(`bench: skipped: ${why}`);

const results = [];
const skipped = new Set(missing.values());
for (const scene of scenes(quick)) {
  if (!scene.title.toLowerCase().includes(only)) continue;
  const why = scene.missing?.();
  if (why) {
    skipped.add(why);
    console.log(`\n${scene.title}: skipped: ${why}`);
    continue;
  }
  const names = scene.names.filter((name) => !missing.has(name));
  const values = new Map(names.map((name) => [name, []]));
  // In turn, so that a machine that slows down does so for everybody.
  for (let run = 0; run < (scene.runs ?? runs); run++) for (const name of names) values.get(name).push(await scene.run(name, { ms }));
  const rows = names.map((name) => ({ name, label: scene.labels?.[name] ?? peers[name]?.name ?? name, ...spread(values.get(name)) }));
  const first = rows[0]?.median;
  for (const row of rows) row.ratio = scene.better === 'more' ? first / row.median : row.median / first;
  results.push({ title: scene.title, unit: scene.unit, better: scene.better, rows });
  console.log(`\n${scene.title} (${scene.unit}, ${scene.better} is better)`);
  for (const { label, min, median, max, ratio } of rows) {
    console.log(`  ${label.padEnd(36)} ${human(median).padStart(8)}   ${`${human(min)} … ${human(max)}`.padEnd(22)} ours is ${ratio.toFixed(2)} ×`);
  }
}

const machine = `${cpus().length} × ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`;
const report = { date: new Date().toISOString(), machine, runs, ms, skipped: [...skipped], results };
mkdirSync(here('results'), { recursive: true });
writeFileSync(here('results/results.json'), JSON.stringify(report, undefined, 2));
writeFileSync(here('results/results.html'), page(report));
console.log(`\n${machine}\nbench/results/results.json and results.html hold the same.`);
await closeBrowsers();
process.exit();
