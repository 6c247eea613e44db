import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, vi } from 'vitest';

// Runs the real command line, as `npm test` has built it, in separate processes.

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
if (!existsSync(MAIN)) throw new Error('There is no dist/cli/main.js: run `npm run build` first.');

// Tests wait for many processes that start at the same time, which takes long on a busy machine.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const running = new Set<Cli>();

// Not after each test, as the tests of a file run concurrently.
afterAll(async () => {
  const left = [...running];
  for (const cli of left) cli.kill('SIGKILL');
  await Promise.all(left.map((cli) => cli.exit));
});

/** The text of an output stream of a process: tests can wait for a pattern to appear. */
class Text {
  all = '';
  #waiting: (() => void)[] = [];
  #ended = false;

  add(text: string): void {
    this.all += text;
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  get lines(): string[] {
    return this.all.split('\n').slice(0, -1);
  }

  /** Resolves to the match when `pattern` has appeared; rejects if the stream ends without it. */
  async has(pattern: RegExp, describe: () => string): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.all);
      if (match) return match;
      if (this.#ended) throw new Error(`The process ended without ${String(pattern)}: ${describe()}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

export interface CliOptions {
  readonly env?: Record<string, string>;
  /** Written to stdin, which then ends. Without `input`, stdin stays open: write to `child.stdin`. */
  readonly input?: string | Uint8Array;
}

export class Cli {
  readonly child: ChildProcess;
  readonly stdout = new Text();
  readonly stderr = new Text();
  readonly bytes: Buffer[] = [];
  /** The exit code, or the name of the signal that ended the process. */
  readonly exit: Promise<number | string>;

  constructor(command: string, args: readonly string[], { env, input }: CliOptions = {}) {
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PUBKEEPER_|NO_COLOR|FORCE_)/.test(name)));
    this.child = spawn(command, args, { env: { ...inherited, ...env }, stdio: 'pipe' });
    running.add(this);
    this.child.stdout!.on('data', (chunk: Buffer) => {
      this.bytes.push(chunk);
      this.stdout.add(chunk.toString());
    });
    this.child.stderr!.on('data', (chunk: Buffer) => this.stderr.add(chunk.toString()));
    // A process that ends before it has read its whole input causes EPIPE here.
    this.child.stdin!.on('error', () => undefined);
    if (input !== undefined) this.child.stdin!.end(input);
    this.exit = new Promise((resolve) =>
      this.child.on('close', (code, signal) => {
        running.delete(this);
        this.stdout.end();
        this.stderr.end();
        resolve(code ?? signal ?? 'unknown');
      }),
    );
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Waits for text on stdout. */
  prints(pattern: RegExp): Promise<RegExpExecArray> {
    return this.stdout.has(pattern, () => this.toString());
  }

  /** Waits for text on stderr. */
  says(pattern: RegExp): Promise<RegExpExecArray> {
    return this.stderr.has(pattern, () => this.toString());
  }

  toString(): string {
    return JSON.stringify({ args: this.child.spawnargs.slice(1), stdout: this.stdout.all.slice(-2000), stderr: this.stderr.all.slice(-2000) });
  }
}

/** Starts `pubkeeper <args>`. */
export const pubkeeper = (args: readonly string[], options?: CliOptions): Cli => new Cli(process.execPath, [MAIN, ...args], options);

/** Runs `pubkeeper <args>` to its end, with an empty stdin unless another is given. */
export async function result(args: readonly string[], options: CliOptions = {}): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const cli = pubkeeper(args, { input: '', ...options });
  const code = await cli.exit;
  return { code, stdout: cli.stdout.all, stderr: cli.stderr.all };
}

export const TOKEN = 'token-of-the-tests';

export interface Served {
  readonly cli: Cli;
  readonly url: string;
  readonly port: number;
  /** The environment in which `patron` and `brew` need no flags. */
  readonly env: Record<string, string>;
}

/** Starts a server, on a free port unless one is given. */
export async function serve({ args = ['--token', TOKEN], port = 0 } = {}): Promise<Served> {
  const cli = pubkeeper(['serve', '--json', '--port', String(port), ...args]);
  await cli.prints(/\n/);
  const { url, port: own } = JSON.parse(cli.stdout.all) as { url: string; port: number };
  return { cli, url, port: own, env: { PUBKEEPER_SERVER: url, PUBKEEPER_TOKEN: TOKEN } };
}

/** Starts a patron, and waits until it listens. */
export async function listen(pattern: string, args: readonly string[], { env }: { env: Record<string, string> }): Promise<Cli> {
  const cli = pubkeeper(['patron', pattern, ...args], { env });
  await cli.says(/Listening for/);
  return cli;
}
