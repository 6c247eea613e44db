// Looks for an order of each bundle's declarations and methods, and for letters of its inner properties, that are shorter with gzip, and keeps them in gzip-order.json:
//   node scripts/gzip-order-search.mjs [seconds for each bundle, default 300] [seed, default 1] [bundles, default both]
// It goes on from the order that is there, or from none where that one has put a constant where it is used; and needs a build (`npm run build`).
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Script } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { rollup } from 'rollup';
import { loadConfigFile } from 'rollup/loadConfigFile';
import { parseAst } from 'rollup/parseAst';
import { ORDER, orderForGzip, orderOf, piecesOf, unitsOf } from './gzip-order.mjs';
import { lettersFor, propertiesOf } from './gzip-properties.mjs';
import { root } from './setup.mjs';

const BUNDLES = process.argv[4]?.split(',') ?? ['pubkeeper.umd.min.js', 'pubkeeper-compat.umd.min.js'];
/** After so many parts of the time the bundle is made anew: names follow the order, and the order the names. */
const ROUNDS = 4;

const sizeOf = (code) => gzipSync(code, { level: 9 }).length;

async function main(seconds, seed) {
  process.chdir(root);
  const { options } = await loadConfigFile(`${root}/rollup.config.mjs`, { silent: true });
  for (const file of BUNDLES) {
    let best = await make(options, file);
    console.log(`${file}  ${best.size} B`);
    let from = best;
    if (!from.isWhole) {
      const before = keep(file, { declarations: [], methods: {} });
      from = await make(options, file);
      writeFileSync(ORDER, before);
    }
    for (let round = 0; round < ROUNDS; round++) {
      // Each goes its own way from where the best is.
      const found = await Promise.all(Array.from({ length: availableParallelism() }, (_, index) => inWorker({ ...from, seconds: seconds / ROUNDS, seed: seed + 31 * round + 7 * index })));
      for (const { order, size } of found) {
        const before = keep(file, order);
        const made = await make(options, file);
        console.log(`  ${size} B with the names of before, ${made.size} B made anew`);
        if (made.isWhole && made.size < from.size) from = made;
        if (made.size < best.size) best = made;
        else writeFileSync(ORDER, before);
      }
    }
    console.log(`${file}  ${best.size} B`);
  }
}

function keep(file, order) {
  const before = existsSync(ORDER) ? readFileSync(ORDER, 'utf8') : '{}';
  writeFileSync(ORDER, `${JSON.stringify({ ...JSON.parse(before), [file]: order }, undefined, 1)}\n`);
  return before;
}

/**
 * The bundle as the build makes it: `named` before names are shortened, `code` after that. `isWhole`: both declare the same, so that the order
 * of one is known by the names of the other; a constant may have been put where it is used.
 */
async function make(options, file) {
  const config = options.find(({ output }) => output.some(({ file: made }) => made?.endsWith(`/${file}`)));
  const output = config.output.find(({ file: made }) => made.endsWith(`/${file}`));
  let named;
  const capture = { name: 'capture', renderChunk: (code) => ((named = code), null) };
  const bundle = await rollup(config);
  const { output: [chunk] } = await bundle.generate({ ...output, sourcemap: false, plugins: output.plugins.flatMap((plugin) => (plugin === orderForGzip ? [plugin, capture] : [plugin])) });
  await bundle.close();
  return { named, code: chunk.code, properties: Object.fromEntries(lettersFor(named, orderOf(file)?.properties).letters), size: sizeOf(chunk.code), isWhole: unitsOf(named).length === unitsOf(chunk.code).length };
}

const inWorker = (data) => new Promise((resolve, reject) => new Worker(new URL(import.meta.url), { workerData: data }).once('message', resolve).once('error', reject));

/** Moves declarations and methods about, gives properties each other's letters, and keeps what is not longer, as long as there is time. */
function climb({ named, code: made, properties, seconds, seed }) {
  let code = made;
  const names = unitsOf(named);
  const units = unitsOf(code).map((unit, index) => ({
    ...unit,
    key: names[index].key,
    methods: unit.methods?.map((method, place) => ({ ...method, key: names[index].methods[place].key })),
  }));
  const classes = units.filter(({ methods }) => methods?.length > 1);
  const textOf = (sorted) =>
    [[0, units[0].statement.start], ...piecesOf(sorted), [units.at(-1).statement.end]].map((piece) => (typeof piece === 'string' ? piece : code.slice(...piece))).join('');
  // A linear congruential generator: the same seed takes the same way.
  const random = (below) => ((seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) >> 8) % below;
  const moved = (list, count) => {
    const next = [...list];
    const cut = next.splice(random(next.length), count);
    next.splice(random(next.length + 1), 0, ...cut);
    return next;
  };
  // Those of two letters stay as they are.
  const shortest = Object.keys(properties).filter((name) => properties[name].length === 1);
  const letters = shortest.map((name) => properties[name]);
  const spots = propertiesOf(parseAst(code)).found.filter(({ name, shorthand }) => letters.includes(name) && !shorthand);
  const swap = (a, b) => {
    const text = [...code];
    for (const { start } of spots) if (text[start] === a || text[start] === b) text[start] = text[start] === a ? b : a;
    code = text.join('');
  };
  let order = units;
  let size = sizeOf(textOf(order));
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    const kind = random(5);
    if (!kind) {
      const [a, b] = [random(letters.length), random(letters.length)];
      if (a === b) continue;
      swap(letters[a], letters[b]);
      const now = sizeOf(textOf(order));
      if (now <= size) [size, letters[a], letters[b]] = [now, letters[b], letters[a]];
      else swap(letters[a], letters[b]);
    } else if (kind < 3) {
      const next = moved(order, 1 + random(3));
      const text = textOf(next);
      const now = sizeOf(text);
      if (now <= size && canBeRead(text)) [order, size] = [next, now];
    } else {
      const one = classes[random(classes.length)];
      const before = one.methods;
      one.methods = moved(before, 1);
      const now = sizeOf(textOf(order));
      if (now <= size) size = now;
      else one.methods = before;
    }
  }
  return { size, order: { declarations: order.map(({ key }) => key), methods: Object.fromEntries(classes.map(({ key, methods }) => [key, methods.map((method) => method.key)])), properties: { ...properties, ...Object.fromEntries(shortest.map((name, index) => [name, letters[index]])) } } };
}

function canBeRead(code) {
  try {
    new Script(code).runInNewContext({});
    return true;
  } catch {
    return false;
  }
}

if (isMainThread) await main(Number(process.argv[2] ?? 300), Number(process.argv[3] ?? 1));
else parentPort.postMessage(climb(workerData));
