import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { nameForGzip } from '../scripts/gzip-names.mjs';

/** One-letter names at each kind of place where names may collide, as minifiers use them more than once. */
const CODE = `!function(){"use strict";
function f(e,t=e+g(),n){let r=t;{let t=r*2,i=e;r=t+i}try{throw{a:r}}catch({a:t}){let i=t+1;r=i}return[r,n?.(e)].map((e,t)=>({e,t,s:\`\${e}-\${t}\`}))}
function g(){return h}let h=7;
class A{#e=1;#t(e){return e+this.#e}run(e){let t=class e{static n=3;get(){return e.n+t.n}};return this.#t(e)+new t().get()}has(e){return #e in e}}
a:for(let e=0;e<3;e++){for(let t of[1,2]){if(t>1)continue a;h+=e*t}}
let{run:x}=A.prototype,y=new A,z;({e:z}={e:o});
q=JSON.stringify([f(1,2,e=>e*3),f(2),y.run(4),y.has(y),y.has({}),h,x.call(y,1),(function e(t){return t?t*e(t-1):1})(5),z])}()`;

const result = (code: string): unknown => {
  const page = { o: 'global', q: undefined };
  runInNewContext(code, page);
  return page.q;
};

it('code has the same result with the names that compress better', async () => {
  const named = await nameForGzip(CODE, 'test.js', false);
  expect(named).not.toBe(CODE);
  expect(named).toHaveLength(CODE.length);
  expect(result(named)).toBe(result(CODE));
  expect(result(CODE)).toContain('"global"');
});

it.each(['var a=1;', 'import a from"./a.js";'])('unknown syntax is refused: %s', async (code) => {
  await expect(nameForGzip(code, 'test.js', true)).rejects.toThrow('Names are not looked for');
});
