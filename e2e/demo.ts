import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { PubkeeperClient } from '../src/index.js';

/** The running demo, which `npm start` starts. */
export interface Demo {
  /** The address of the page. */
  readonly page: string;
  readonly server: string;
  readonly token: string;
  /** The topics that it brews. */
  readonly topics: readonly string[];
  /** Ends the demo by a signal; resolves to the exit code. */
  end(signal: 'SIGINT' | 'SIGTERM'): Promise<number | null>;
}

/** Starts the demo, by default on a free port, and waits until it brews. */
export async function startDemo(port = 0): Promise<Demo> {
  const script = fileURLToPath(new URL('../demo/start.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, '--port', String(port)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  let output = '';
  const find = (name: string) => new RegExp(`^ *${name} +(\\S+)$`, 'm').exec(output)?.[1];
  await new Promise<void>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('Ctrl-C')) resolve();
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    void ended.then((code) => reject(new Error(`The demo ended with code ${String(code)}: ${output}`)));
  });
  const [page = '', server = '', token = ''] = [find('Dashboard'), find('Server'), find('Token')];
  const topics = await watch(server, token);
  return {
    page,
    server,
    token,
    topics,
    end(signal) {
      child.kill(signal);
      return ended;
    },
  };
}

/** Resolves to the topics that the demo brews. */
async function watch(server: string, token: string): Promise<string[]> {
  const client = new PubkeeperClient({ server, token });
  const live = new Map<string, number>();
  const known = new Promise<void>((resolve) => {
    client.addPatron('host.**', (_data, { topic, retained }) => {
      const count = (live.get(topic) ?? 0) + (retained ? 0 : 1);
      live.set(topic, count);
      // All topics are brewed once a second, one after the other: at the third message of one, every topic has had its turn.
      if (count === 3) resolve();
    });
  });
  await client.connect();
  await known;
  await client.disconnect();
  return [...live.keys()];
}
