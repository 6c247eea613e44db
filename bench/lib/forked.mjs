// Servers in a process of their own, and the memory that they use.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** The resident memory of a process, in bytes; NaN where there is no /proc. */
export function residentBytes(pid) {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
  } catch {
    return NaN;
  }
}

const COLLECT = new URL('collect.mjs', import.meta.url).href;

// Node writes a profile when the process exits, but not when a signal ends it.
const LEAVE = 'data:text/javascript,process.on("SIGTERM",()=>process.exit())';

/** Arguments for Node that make it write a profile when it ends, if bench/profile.mjs runs. */
export const profiled = (role) => {
  const folder = process.env.BENCH_PROFILES;
  return folder ? ['--import', LEAVE, '--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${role}.cpuprofile`] : [];
};

/** Starts one of this folder's server files, which sends what is needed to reach the server (`info`). */
export async function forkServer(file) {
  const child = fork(new URL(file, import.meta.url), { execArgv: ['--expose-gc', '--import', COLLECT, ...profiled('server')] });
  const [info] = await once(child, 'message');
  return {
    info,
    /** The memory of the process after a garbage collection, in bytes. */
    async memory() {
      child.send('collect');
      await once(child, 'message');
      return residentBytes(child.pid);
    },
    close: () => new Promise((resolve) => (child.once('exit', resolve), child.kill())),
  };
}
