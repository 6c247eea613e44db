import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { lettersFor, shortened } from '../scripts/gzip-properties.mjs';

/** Properties wherever a program can name them; `e` is one already. */
const CODE = `!function(){class A{inner=1;static own=2;#inner=3;get given(){return this.inner+this.#inner}"quoted"(){return this?.given}}
const inner=4,{own,given:{e}={e:5}}=A,of=({inner:a=6,own:b}={own:7})=>a+b;
const o={inner,own,given:e,outer:{inner:8}};o.inner++;
q=JSON.stringify([of(),of(o),o.outer.inner,o["quoted"],new A().quoted(),e,Object.keys(o).length,A.own,inner])}()`;

const result = (code: string): unknown => {
  const page = { q: undefined };
  runInNewContext(code, page);
  return page.q;
};

describe('inner properties by short names', () => {
  const { code, map } = shortened(CODE, lettersFor(CODE, { own: 'x', gone: 'y' }, ['inner', 'own', 'given']));

  it('change nothing but their names, and keep the letters that they had', () => {
    expect(code).not.toMatch(/\.(inner|own|given)\b/);
    expect(code).toContain('A.x');
    expect(code).toContain(`{${lettersFor(CODE, { own: 'x' }, ['inner', 'own', 'given']).letters.get('inner')!}:8}`);
    expect(result(code)).toBe(result(CODE));
    expect(result(CODE)).toBe('[13,7,8,null,4,5,4,2,4]');
  });

  it('have a source map that leads to where each was', () => {
    const lines = { code: code.split('\n'), CODE: CODE.split('\n') };
    for (const text of ['outer:', 'JSON', 'class A', 'Object.keys']) {
      const line = lines.code.findIndex((one) => one.includes(text));
      const column = lines.code[line]!.indexOf(text);
      const [, , from, at] = map.mappings[line]!.find(([place]) => place === column)!;
      expect(lines.CODE[from!]!.slice(at, at! + text.length)).toBe(text);
    }
  });

  it.each([['length', 'a builtin'], ['quoted', 'a text']])('%s cannot be one: it is that of %s too', (name) => {
    expect(() => lettersFor(CODE, {}, [name])).toThrow(`${name} may be the name of something else`);
  });
});
