import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { arrange, inOrder } from '../scripts/gzip-order.mjs';

const CODE = `!function(){"use strict";const a=1,b=()=>a+c;let c=2;
function f(){return new A().go()}class A{#x=c;y;static z="}";go(){return[this.#add(3),this.sum,A.z,this.y,...this]}#add(n){return n+this.#x+b()}get sum(){return this.#add(1)}*[Symbol.iterator](){yield a}}class B extends A{go(){return["B",...super.go()]}}
const d=f();q=JSON.stringify([d,new B().go()])}()`;

const result = (code: string): unknown => {
  const page = { q: undefined };
  runInNewContext(code, page);
  return page.q;
};

const ORDER = { declarations: ['c', 'A', 'a', 'f', 'b', 'd', 'B'], methods: { A: ['#add', 'get sum', '*[Symbol.iterator]', 'go'] } };

describe('code in the order that compresses better', () => {
  const { code, map } = inOrder(CODE, ORDER);

  it('has its declarations and methods in that order, and the same result', () => {
    const places = ['let c=2;class A{', '#add(n){', 'get sum()', '*[Symbol.iterator]', 'go(){return[this', '}const a=1;function f()', 'const b=()=>a+c,d=f();class B'].map((text) => code.indexOf(text));
    expect(places).toEqual([...places].sort((one, other) => one - other));
    expect(places).not.toContain(-1);
    expect(result(code)).toBe(result(CODE));
    expect(result(CODE)).toBe('[[8,6,"}",null,1],["B",8,6,"}",null,1]]');
  });

  it('has a source map that leads to the original place of each declaration', () => {
    const lines = { code: code.split('\n'), CODE: CODE.split('\n') };
    for (const text of ['go(){return[this', '#add(n)', 'f()', 'd=f()', 'class B', 'q=JSON', 'use strict']) {
      const line = lines.code.findIndex((one) => one.includes(text));
      const column = lines.code[line]!.indexOf(text);
      const [, , from, at] = map.mappings[line]!.find(([place]) => place === column)!;
      expect(lines.CODE[from!]!.slice(at, at! + text.length)).toBe(text);
    }
  });

  it('is refused when another statement stands between declarations', () => {
    expect(() => inOrder('const a=1;g();const b=2;', ORDER)).toThrow('This stands between declarations, and what it depends on is not known: g();');
  });
});

it('a declaration that is not in the order stays behind the one before it', () => {
  const units = ['a', 'new', 'b', 'c'].map((key) => ({ key }));
  expect(arrange(units, ['gone', 'c', 'a', 'b']).map(({ key }) => key)).toEqual(['c', 'a', 'new', 'b']);
  expect(arrange(units, ['b']).map(({ key }) => key)).toEqual(['a', 'new', 'b', 'c']);
  expect(arrange(units).map(({ key }) => key)).toEqual(['a', 'new', 'b', 'c']);
});
