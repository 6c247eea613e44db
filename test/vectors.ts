import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The copies in this repository, for clones without the originals. */
export const copiesDirectory = fromHere('fixtures/vectors');

/** The directory of the originals, or null in a clone without them. */
export const originalsDirectory = findOriginals();

function findOriginals(): string | null {
  const named = process.env['PUBKEEPER_VECTORS'];
  if (named) {
    if (!existsSync(named)) throw new Error(`PUBKEEPER_VECTORS names ${named}, which does not exist.`);
    return named;
  }
  const beside = fromHere('../../shared/vectors');
  return existsSync(beside) ? beside : null;
}

const readJson = (file: string): unknown => JSON.parse(readFileSync(file, 'utf8'));

/** The parsed protocol vectors of that name: `vectors<TopicCase[]>('topics')`. */
export function vectors<T = unknown>(name: string): T {
  return readJson(join(originalsDirectory ?? copiesDirectory, `${name}.json`)) as T;
}

/** Parsed Wycheproof vectors, or null with a warning if they are missing: they are read in place and not copied. */
export function wycheproof<T = unknown>(name: string): T | null {
  const file = originalsDirectory === null ? null : join(originalsDirectory, 'wycheproof', `${name}.json`);
  if (file !== null && existsSync(file)) return readJson(file) as T;
  console.warn(`\nSKIPPED: no Wycheproof vectors '${name}' here; set PUBKEEPER_VECTORS to a folder that has wycheproof/${name}.json.\n`);
  return null;
}
