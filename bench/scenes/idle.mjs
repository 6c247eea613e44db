import { spawnSync } from 'node:child_process';
import { withPeer } from '../lib/cast.mjs';
import { peers } from '../peers/index.mjs';

/** How many file descriptors a process may have; a server needs one for each connection, and some more. */
const descriptors = Number(spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).stdout) || Infinity;
const measured = new Map();

/** Measures memory and time together; each scene takes one of them. */
function measure(name, connections) {
  const key = `${name}:${connections}`;
  if (!measured.has(key)) {
    measured.set(
      key,
      withPeer(peers, name, async (cast, server) => {
        const crowd = await cast('idle', { connections });
        const before = await server.memory();
        const { ms } = await crowd.ask('go');
        return { each: ((await server.memory()) - before) / connections / 1024, seconds: ms / 1000 };
      }),
    );
  }
  return measured.get(key);
}

const idle = (wanted, what, unit, names, pick) => {
  const connections = Math.min(wanted, descriptors - 500);
  const fewer = connections < wanted ? ` (not ${wanted.toLocaleString('en')}: the limit of file descriptors is ${descriptors})` : '';
  return {
    title: `${connections.toLocaleString('en')} idle clients: ${what}${fewer}`,
    unit,
    better: 'less',
    names,
    runs: 1,
    run: async (name) => pick(await measure(name, connections)),
  };
};

/** By how much the server's process grows for each client that is authenticated and does nothing. */
export const idleMemory = (count, names) => idle(count, 'memory of the server for each', 'KiB', names, ({ each }) => each);

/** How long it takes until all clients, which one process opens a hundred at a time, are authenticated. */
export const idleAccept = (count, names) => idle(count, 'until all are let in', 's', names, ({ seconds }) => seconds);
