// node bench/profile.mjs [sealed|plain|cbc] [bytes]: where the time of 1 → 1 goes, by `node --cpu-prof` of each process.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [name = 'sealed', size = '64'] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'bench-profile-'));
process.env.BENCH_PROFILES = folder;
const { oneToOne } = await import('./scenes/one-to-one.mjs');

/** The group that a function belongs to. */
function groupOf({ functionName, url }) {
  if (functionName === '(garbage collector)') return 'garbage collection';
  if (functionName === '(program)') return 'V8 and the kernel';
  const [, ours] = /\/dist\/(.*)\.js$/.exec(url) ?? [];
  if (ours) return ours;
  if (url.includes('node_modules/ws/')) return 'ws';
  if (url.startsWith('node:internal/crypto')) return 'node:crypto';
  if (/node:(net|internal\/(stream|streams|net))/.test(url)) return "Node's sockets and streams";
  if (url.startsWith('node:')) return 'other parts of Node';
  // Native functions without a URL belong to the kernel or to crypto.
  if (/^(writev|writeBuffer|writeLatin1String|writeUtf8String)$/.test(functionName)) return 'system calls: write';
  if (/^(update|final|setAAD|setAuthTag|getAuthTag|CipherBase|randomFillSync)$/.test(functionName)) return 'node:crypto';
  return url.includes('/bench/') ? 'the bench itself' : functionName.startsWith('(') ? functionName : 'built in';
}

/** Parts of Node that only run at the start, such as loading and compiling modules. */
const STARTS = /modules|loader|bootstrap|realm|internal\/(process|main|source_map|vm)|fs/;

function read(role) {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(folder, `${role}.cpuprofile`), 'utf8'));
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]));
  const groups = new Map();
  const functions = new Map();
  let busy = 0;
  samples.forEach((id, index) => {
    const frame = byId.get(id);
    if (frame.functionName === '(idle)' || frame.functionName === '(root)' || (frame.url.startsWith('node:') && STARTS.test(frame.url))) return;
    const us = timeDeltas[index];
    busy += us;
    const group = groupOf(frame);
    groups.set(group, (groups.get(group) ?? 0) + us);
    const key = `${frame.functionName || '(anonymous)'} (${group})`;
    functions.set(key, (functions.get(key) ?? 0) + us);
  });
  return { groups, functions, busy };
}

try {
  const seconds = 3;
  const rate = await oneToOne(Number(size), [name]).run(name, { ms: seconds * 1000 });
  console.log(`1 → 1, ${size} B, ${name}: ${Math.round(rate).toLocaleString('en')} messages/s under the profiler`);
  for (const role of ['publish', 'server', 'subscribe']) {
    const { groups, functions, busy } = read(role);
    const share = (us) => `${((us / busy) * 100).toFixed(1).padStart(5)} %`;
    const top = (map, count) => [...map].sort(([, a], [, b]) => b - a).slice(0, count);
    console.log(`\n${role}: busy for ${(busy / 1e6).toFixed(2)} s`);
    for (const [group, us] of top(groups, 8)) console.log(`  ${share(us)}  ${group}`);
    console.log('  of these, by function:');
    for (const [key, us] of top(functions, 10)) console.log(`  ${share(us)}  ${key}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
