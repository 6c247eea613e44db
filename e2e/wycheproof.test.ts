import { fileURLToPath } from 'node:url';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { rollup } from 'rollup';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { wycheproof } from '../test/vectors.js';
import { type Engine, engineKinds, type EnginePage, titleOf, warnOfMissing } from './engines.js';
import type { Vector } from './page/wycheproof.js';
import { html, type Site, serveSite } from './site.js';

// The engines of src/core/ciphers in real browsers, against Wycheproof's vectors.

warnOfMissing();

interface File {
  readonly testGroups: readonly { readonly ivSize: number; readonly keySize: number; readonly tagSize?: number; readonly tests: readonly Vector[] }[];
}
interface Load {
  readonly applicable: readonly Vector[];
  /** The number of vectors with parameters that this SDK does not use. */
  readonly inapplicable: number;
}

function load(name: string, ivSize: number): Load | undefined {
  const file = wycheproof<File>(name);
  if (!file) return undefined;
  const isOurs = (group: File['testGroups'][number]): boolean => group.ivSize === ivSize && (group.tagSize ?? 128) === 128;
  return {
    applicable: file.testGroups.filter(isOurs).flatMap(({ tests }) => tests),
    inapplicable: file.testGroups.filter((group) => !isOurs(group)).flatMap(({ tests }) => tests).length,
  };
}

const cbc = load('aes_cbc_pkcs5_test', 128);
const gcm = load('aes_gcm_test', 96);
const isThere = cbc !== undefined && gcm !== undefined;

async function coreModule(): Promise<string> {
  const bundle = await rollup({ input: fileURLToPath(new URL('../dist/core/index.js', import.meta.url)), plugins: [nodeResolve({ browser: true })] });
  const { output } = await bundle.generate({ format: 'es' });
  await bundle.close();
  return output[0].code;
}

describe.each(engineKinds.map((kind) => ({ kind, title: titleOf(kind) })))('Wycheproof in $title', ({ kind }) => {
  const isMissing = kind.missing() !== null || !isThere;
  let engine: Engine | undefined;
  let site: Site | undefined;
  let page: EnginePage;
  beforeAll(async () => {
    if (isMissing) return;
    const start = "import * as core from '/core.js'; globalThis.core = core;";
    site = await serveSite({
      files: {
        '/': html('<script type="module" src="/start.js"></script>', '<script type="module" src="/page/wycheproof.js"></script>'),
        '/start.js': start,
        '/core.js': await coreModule(),
      },
    });
    engine = await kind.launch();
    page = await engine.open(`${site.url}/`);
  });
  afterAll(async () => {
    await page?.close();
    await engine?.close();
    await site?.close();
  });

  const check = (name: string, mode: string, vectors: readonly Vector[]) =>
    page.evaluate<string[]>(`wycheproof.check(${JSON.stringify(name)}, ${JSON.stringify(mode)}, ${JSON.stringify(vectors)})`);

  it.skipIf(isMissing).each(['noble', 'WebCrypto', 'default'])('AES-CBC with PKCS#7 by %s', async (name) => {
    // Chromium's WebCrypto has no 192-bit keys; the default engine leaves those to plain JavaScript.
    const isKnown = ({ key }: Vector): boolean => !(kind.name === 'Chromium' && name === 'WebCrypto' && key.length === 48);
    const vectors = cbc!.applicable.filter(isKnown);
    expect(vectors.length).toBeGreaterThan(100);
    console.log(`AES-CBC by ${name} in ${kind.name}: ${vectors.length} applicable, ${cbc!.applicable.length - vectors.length} of a key size that it lacks, ${cbc!.inapplicable} others`);
    expect(await check(name, 'cbc', vectors)).toEqual([]);
  });

  it.skipIf(isMissing).each(['noble', 'WebCrypto', 'default'])('AES-GCM by %s', async (name) => {
    // Sealed mode has only 256-bit keys.
    const vectors = gcm!.applicable.filter(({ key }) => key.length === 64);
    expect(vectors.length).toBeGreaterThan(50);
    console.log(`AES-GCM by ${name} in ${kind.name}: ${vectors.length} applicable, ${gcm!.applicable.length - vectors.length} of other key sizes, ${gcm!.inapplicable} of other nonces or tags`);
    expect(await check(name, 'gcm', vectors)).toEqual([]);
  });
});
