import { oneToOne } from './scenes/one-to-one.mjs'; import { peers } from './peers/index.mjs'; import { spread, human } from './lib/numbers.mjs';
console.log(Object.keys(peers));
const names=process.argv[3].split(','); const s=oneToOne(+process.argv[2],names); const v=new Map(names.map(n=>[n,[]]));
for(let i=0;i<5;i++) for(const n of names) v.get(n).push(await s.run(n,{ms:1000}));
for(const n of names){const {min,median,max}=spread(v.get(n)); console.log(n,human(min),human(median),human(max));}
process.exit()
