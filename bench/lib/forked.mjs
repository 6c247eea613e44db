// Servers in a process of their own, and what they weigh.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** What a process occupies, in bytes; NaN where there is no /proc. */
export function residentBytes(pid) {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
  } catch {
    return NaN;
  }
}

/** Starts one of this folder's server files; it sends what is needed to reach it. */
export async function forkServer(file) {
  const child = fork(new URL(file, import.meta.url), { execArgv: ['--expose-gc', '--import', new URL('collect.mjs', import.meta.url).href] });
  const [info] = await once(child, 'message');
  return {
    info,
    /** Bytes, once what is garbage is gone. */
    async memory() {
      child.send('collect');
      await once(child, 'message');
      return residentBytes(child.pid);
    },
    close: () => new Promise((resolve) => (child.once('exit', resolve), child.kill())),
  };
}
