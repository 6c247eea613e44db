import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// The fault table: `npm test` runs a short form of each row, `npm run test:faults` the long one, with its full numbers.

export const LONG = process.env['PUBKEEPER_FAULTS'] === 'long';

/** A number for the short form, and one for the long form. */
export const scale = (short: number, long: number): number => (LONG ? long : short);

export const MiB = 1024 * 1024;

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** The bytes in use at this moment, without garbage. */
export function held(): number {
  gc();
  gc(); // V8 frees buffers in another thread, and counts them as held until the next one
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The bytes of the heap, after garbage collection. */
export async function heap(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Random numbers that are the same in every run, so that a failure can be repeated. */
export function dice(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

/** A changed copy of one of `seeds`: bits flipped, bytes overwritten, cut, extended, spliced, wrong lengths; sometimes unchanged. */
export function mutator(seeds: readonly Uint8Array[], seed: number): () => Uint8Array<ArrayBuffer> {
  const roll = dice(seed);
  return () => {
    let bytes = Uint8Array.from(seeds[roll(seeds.length)]!);
    for (let rounds = roll(4); rounds >= 0; rounds--) {
      const at = bytes.length ? roll(bytes.length) : 0;
      switch (roll(7)) {
        case 0: if (bytes.length) bytes[at]! ^= 1 << roll(8); break;
        case 1: if (bytes.length) bytes[at] = roll(256); break;
        case 2: bytes = bytes.slice(0, at); break;
        case 3: bytes = Uint8Array.from([...bytes, ...Array.from({ length: roll(40) }, () => roll(256))]); break;
        case 4: { const other = seeds[roll(seeds.length)]!; bytes = Uint8Array.from([...bytes.subarray(0, at), ...other.subarray(roll(other.length))]); break; }
        case 5: if (bytes.length > 4) new DataView(bytes.buffer).setUint32(roll(bytes.length - 3), [0, 1, 0x7fffffff, 0xffffffff][roll(4)]!, true); break;
        default: if (bytes.length) bytes.fill(roll(2) * 255, at, at + roll(16)); break;
      }
    }
    return bytes;
  };
}

/** Prints the figures of a row for the report of a long run. */
export function report(row: string, figures: Record<string, unknown>): void {
  if (LONG) console.info(`FAULTS ${row}: ${JSON.stringify(figures)}`);
}

export const total = (counts: Readonly<Record<string, number | undefined>>): number =>
  Object.values(counts).reduce<number>((sum, count) => sum + (count ?? 0), 0);

/** The value below which this part of `values` lies. */
export const quantile = (values: readonly number[], part: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? NaN;
