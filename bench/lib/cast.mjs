// Actors: processes with a role (role.mjs), as the process sees them that gives them orders.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { profiled } from './forked.mjs';

const ROLE = new URL('./role.mjs', import.meta.url);

export class Actor {
  #child;
  #said = [];
  #waiting;

  constructor(peer, role, options) {
    this.#child = fork(ROLE, [peer, role], { execArgv: profiled(role) });
    this.#child.on('message', (message) => {
      if (this.#waiting) this.#waiting(message);
      else this.#said.push(message);
      this.#waiting = undefined;
    });
    this.#child.send(options);
  }

  say(message) {
    this.#child.send(message);
  }

  hear() {
    return this.#said.length ? Promise.resolve(this.#said.shift()) : new Promise((resolve) => (this.#waiting = resolve));
  }

  ask(message) {
    this.say(message);
    return this.hear();
  }

  async end() {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill();
    await gone;
  }
}

/** Runs `scene` with that peer's server, and with actors that `scene` casts; ends them all afterwards. */
export async function withPeer(peers, name, scene) {
  const server = await peers[name].server();
  const actors = [];
  const cast = async (role, options = {}) => {
    const actor = new Actor(name, role, { info: server.info, ...options });
    actors.push(actor);
    await actor.hear(); // 'ready'
    return actor;
  };
  try {
    return await scene(cast, server);
  } finally {
    for (const actor of actors) await actor.end();
    await server.close();
  }
}
