import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { copiesDirectory, originalsDirectory, vectors } from './vectors.js';

const jsonFiles = (directory: string) => readdirSync(directory).filter((name) => name.endsWith('.json')).sort();

describe('protocol vectors', () => {
  it.each(jsonFiles(copiesDirectory))('%s parses and is not empty', (name) => {
    expect(Object.keys(vectors<object>(name.replace('.json', ''))).length).toBeGreaterThan(0);
  });

  it.skipIf(originalsDirectory === null)('the copies in this repository equal the originals', () => {
    const originals = originalsDirectory ?? '';
    expect(jsonFiles(copiesDirectory)).toEqual(jsonFiles(originals));
    for (const name of jsonFiles(originals)) {
      const same = readFileSync(join(copiesDirectory, name)).equals(readFileSync(join(originals, name)));
      expect(same, `test/fixtures/vectors/${name} differs from the original: copy it again`).toBe(true);
    }
  });
});
