import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import terserPlugin from '@rollup/plugin-terser';
import { rollup, type OutputPlugin } from 'rollup';
import { describe, expect, it } from 'vitest';

// Its types assume CommonJS.
const terser = terserPlugin as unknown as (options: object) => OutputPlugin;
const dist = (name: string) => fileURLToPath(new URL(`../dist/${name}`, import.meta.url));
const gzipped = (code: string | Uint8Array) => gzipSync(code, { level: 9 }).length;

// In bytes, gzipped. The goal for a patron alone, at most 10,000, is reached. The goal for the bundle, 13,000, is not, as noble alone
// needs some 1,300. Until then it must not grow: lower the limit when the code has shrunk.
// Rewritten code may be some 30 bytes larger: `node scripts/gzip-order-search.mjs` searches a new order for it.
const SCRIPT = 17_970;
// It has the order that was searched for the script.
const MODULE = 17_920;
const PATRON = 7_861;

describe('the code that a page loads', () => {
  it(`is at most ${SCRIPT} bytes as a script, and ${MODULE} as a module`, () => {
    expect(gzipped(readFileSync(dist('pubkeeper.umd.min.js')))).toBeLessThanOrEqual(SCRIPT);
    expect(gzipped(readFileSync(dist('pubkeeper.esm.min.js')))).toBeLessThanOrEqual(MODULE);
  });

  it.each(['pubkeeper.umd.min.js', 'pubkeeper.esm.min.js', 'pubkeeper-compat.umd.min.js'])('%s is ASCII, so that a page of any encoding reads it right', (name) => {
    expect(readFileSync(dist(name)).every((byte) => byte < 0x80)).toBe(true);
  });

  it(`is at most ${PATRON} bytes for an application that imports a patron only`, async () => {
    const entry = 'entry';
    const bundle = await rollup({
      input: entry,
      plugins: [
        {
          name: 'entry',
          resolveId: (id) => (id === entry ? id : null),
          load: (id) => (id === entry ? `export { Patron } from ${JSON.stringify(dist('index.js'))};` : null),
        },
        nodeResolve({ browser: true }),
      ],
      onwarn(warning) {
        throw new Error(warning.message);
      },
    });
    const { output } = await bundle.generate({ format: 'es', plugins: [terser({ ecma: 2022, module: true })] });
    await bundle.close();
    // The client is not included.
    expect(readFileSync(dist('pubkeeper.umd.min.js'), 'utf8')).toContain('pubkeeper-1.1');
    expect(output[0].code).not.toContain('pubkeeper-1.1');
    expect(gzipped(output[0].code)).toBeLessThanOrEqual(PATRON);
  });
});
