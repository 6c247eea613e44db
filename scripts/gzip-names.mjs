import { minify } from 'rolldown/utils';
import { parseAst } from 'rollup/parseAst';
import { bindingsOf } from './bindings.mjs';

/** What a name may become: in the order in which Oxc gives them. */
const NAMES = 'etnriaoscludfpmhgvybxwkCSTED';

/** The lengths of text that are counted, and how often all names are looked at. Tried: shorter and longer ones, weights, more rounds. */
const LENGTHS = [2, 3, 4, 5, 7, 9];
const ROUNDS = 4;

const WORTH = Float64Array.from({ length: 4096 }, (_, count) => count && 1 + Math.log2(count) / 6);
const LONGEST = Math.max(...LENGTHS);
const BITS = 20;

/**
 * Gives the variables and private names of minified code names by which gzip finds more of what it has seen already. A minifier gives the names
 * that are shortest, and which of those it gives to what it does not care; but `e.length` ten times is less for gzip than `e.length`
 * five times and `t.length` five times. So each variable in turn takes, of all names of one letter that are free where it is seen,
 * that which makes the text around it most like the rest: by how often each piece of two to nine characters is there. Where another
 * variable has that name, the two may swap. 2.4 %.
 *
 * Nothing but letters changes, each for one other, so the source map holds for the result. It depends on nothing but the code: no
 * randomness, and no gzip, of which each version of Node has another. That the code still means the same is checked by Oxc: whatever it is
 * given, it gives the same names to what means the same.
 */
export async function nameForGzip(code, fileName, module) {
  const text = Buffer.from(code, 'latin1');
  const bindings = bindingsOf(parseAst(code)).filter(({ name }) => name.length === 1);
  const pieces = new Pieces(text);
  for (let round = 0; round < ROUNDS; round++) for (const binding of bindings) rename(binding, pieces);

  const named = text.toString('latin1');
  const canonical = async (one) => (await minify(fileName, one, { module, mangle: { toplevel: module }, compress: false })).code;
  if ((await canonical(named)) !== (await canonical(code))) throw new Error(`${fileName} would be another program by its new names.`);
  return named;
}

/** Gives it the best of the names that it can have. */
function rename(binding, pieces) {
  const { name: former, conflicts } = binding;
  let most = 0;
  let best;
  for (const name of NAMES) {
    if (name === former || binding.taken.has(name)) continue;
    const others = conflicts.filter((other) => other.name === name);
    if (!others.every((other) => !other.taken.has(former) && other.conflicts.every((third) => third === binding || third.name !== former))) continue;
    const gain = pieces.gain([binding, ...others], [name, ...others.map(() => former)]);
    if (gain > most) {
      most = gain;
      best = [[binding, ...others], [name, ...others.map(() => former)]];
    }
  }
  if (best) pieces.replace(...best);
}

/** How often each piece of the text is there, by hashes. */
class Pieces {
  #text;
  #counts = LENGTHS.map(() => new Int32Array(1 << BITS));

  constructor(text) {
    this.#text = text;
    this.#count([...text.keys()], 1);
  }

  /** How much more often the pieces around bindings would be there, if they had these names. */
  gain(bindings, names) {
    const places = bindings.flatMap(({ places }) => places).sort((a, b) => a - b);
    const former = bindings.map(({ name }) => name);
    this.#count(places, -1);
    const before = this.#count(places, 1);
    this.#count(places, -1);
    this.#write(bindings, names);
    const after = this.#count(places, 1);
    this.#count(places, -1);
    this.#write(bindings, former);
    this.#count(places, 1);
    return after - before;
  }

  replace(bindings, names) {
    const places = bindings.flatMap(({ places }) => places).sort((a, b) => a - b);
    this.#count(places, -1);
    this.#write(bindings, names);
    this.#count(places, 1);
  }

  #write(bindings, names) {
    bindings.forEach((binding, index) => {
      binding.name = names[index];
      for (const place of binding.places) this.#text[place] = names[index].charCodeAt(0);
    });
  }

  /** Adds to the counts of all pieces that hold one of these places, or takes away; returns how much of them was there. */
  #count(places, by) {
    const text = this.#text;
    let sum = 0;
    let start = 0;
    for (const place of places) {
      start = Math.max(start, place - LONGEST + 1);
      for (; start <= place; start++) {
        let hash = 0;
        for (let length = 1, index = 0; index < LENGTHS.length && start + length <= text.length; length++) {
          hash = Math.imul(hash ^ text[start + length - 1], 0x9e3779b1);
          hash ^= hash >>> 15;
          if (length !== LENGTHS[index]) continue;
          const counts = this.#counts[index++];
          if (start + length <= place) continue;
          const at = hash >>> (32 - BITS);
          // What is there at all counts most.
          sum += WORTH[Math.min(counts[at], WORTH.length - 1)];
          counts[at] += by;
        }
      }
    }
    return sum;
  }
}
