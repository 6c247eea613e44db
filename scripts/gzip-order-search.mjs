// Searches an order of each bundle's declarations and methods, and letters of its inner properties, that gzip better; writes gzip-order.json:
//   node scripts/gzip-order-search.mjs [seconds for each bundle, default 300] [seed, default 1] [bundles, default both]
// It needs a build (`npm run build`). Where there are a script and an ES module, the sizes are the sum of both.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Script } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { rollup } from 'rollup';
import { loadConfigFile } from 'rollup/loadConfigFile';
import { parseAst } from 'rollup/parseAst';
import { inOrder, ORDER, orderForGzip, orderOf, piecesOf, unitsOf } from './gzip-order.mjs';
import { lettersFor, propertiesOf, shortened } from './gzip-properties.mjs';
import { root } from './setup.mjs';

const BUNDLES = process.argv[4]?.split(',') ?? ['pubkeeper.umd.min.js', 'pubkeeper-compat.umd.min.js'];
/** After this many seconds the bundle is made again: the names of variables depend on the order, and the best order on those names. */
const ROUND = 3;

/** By how many bytes an order may be worse than the one before it, at first; the best order is rarely beside the one that the search starts from. */
const SLACK = 30;
/** In the last part of the time, no order may be worse. */
const STRICT = 0.3;

const sizeOf = (code) => gzipSync(code, { level: 9 }).length;

async function main(seconds, seed) {
  process.chdir(root);
  for (const file of BUNDLES) {
    const found = await Promise.all(Array.from({ length: availableParallelism() }, (_, index) => inWorker({ file, seconds, seed: seed + 7 * index })));
    const [best] = found.sort((a, b) => a.size - b.size);
    console.log(`${file}  ${best.before} B, now ${found.map(({ size, rounds }) => `${size} B after ${rounds} rounds`).join(', ')}`);
    if (best.size >= best.before) continue;
    const orders = existsSync(ORDER) ? JSON.parse(readFileSync(ORDER, 'utf8')) : {};
    writeFileSync(ORDER, `${JSON.stringify({ ...orders, [file]: best.order }, undefined, 1)}\n`);
  }
}

/** Searches a better order, starting from the current one; or from none if, with the current one, a constant was inlined (not `isWhole`). */
async function search({ file, seconds, seed }) {
  const make = await maker(file);
  const end = Date.now() + seconds * 1000;
  const start = await make(orderOf(file));
  let from = start.isWhole ? start : await make({ declarations: [], methods: {} });
  let best = start;
  let rounds = 0;
  for (; Date.now() < end; rounds++) {
    // Each round has a seed of its own. An order that is good with the old names is mostly worse with the new ones, but not always.
    const made = await make(climb({ ...from, seconds: ROUND * (rounds % 3 ? 0.1 : 1), seed: seed + 31 * rounds }).order);
    const slack = SLACK * Math.max(0, (end - Date.now()) / (seconds * 1000) - STRICT);
    if (made.isWhole && made.size <= from.size + slack) from = made;
    if (made.isWhole && made.size < best.size) best = made;
  }
  return { before: start.size, size: best.size, order: best.order, rounds };
}

/**
 * Returns a function that makes a bundle as the build does, in a given order. `named`: the code before names are shortened; `code`: after that.
 * `size`: the sum of the script and the ES module, if both are made.
 * `isWhole`: both have the same declarations, so that the names of one tell the order of the other; otherwise a constant was inlined.
 */
async function maker(file) {
  const { options } = await loadConfigFile(`${root}/rollup.config.mjs`, { silent: true });
  const config = options.find(({ output }) => output.some(({ file: made }) => made?.endsWith(`/${file}`)));
  const bundle = await rollup(config);
  // The script comes first; the ES module has the order that is found for it.
  const outputs = await Promise.all(
    config.output.map(async (output) => {
      const at = output.plugins.indexOf(orderForGzip);
      const { output: [chunk] } = await bundle.generate({ ...output, sourcemap: false, plugins: output.plugins.slice(0, at) });
      return { output, chunk, last: output.plugins.at(-1) };
    }),
  );
  await bundle.close();
  return async (order) => {
    const [script, ...others] = await Promise.all(
      outputs.map(async ({ output, chunk, last }) => {
        const named = order ? inOrder(chunk.code, order).code : chunk.code;
        const short = lettersFor(named, order?.properties);
        const { code } = await last.renderChunk(shortened(named, short).code, { fileName: output.file.replace(/.*\//, '') }, output);
        return { named, code, properties: Object.fromEntries(short.letters), size: sizeOf(code) };
      }),
    );
    const size = others.reduce((sum, other) => sum + other.size, script.size);
    return { ...script, order, size, isWhole: unitsOf(script.named).length === unitsOf(script.code).length };
  };
}

const inWorker = (data) => new Promise((resolve, reject) => new Worker(new URL(import.meta.url), { workerData: data }).once('message', resolve).once('error', reject));

/** Moves declarations and methods, and swaps the letters of properties; keeps each change that makes the code no longer, while there is time. */
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
  // A linear congruential generator: the same seed gives the same search.
  const random = (below) => ((seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) >> 8) % below;
  const moved = (list, count) => {
    const next = [...list];
    const cut = next.splice(random(next.length), count);
    next.splice(random(next.length + 1), 0, ...cut);
    return next;
  };
  // Names of two letters stay as they are.
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
else parentPort.postMessage(await search(workerData));
