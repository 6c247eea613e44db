import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { newId } from '../src/core/index.js';
import { findProgram } from './brews/processes.js';

// `npm run demo:cluster` starts half a dozen processes and a browser: none must be left, however it ends.

const START = fileURLToPath(new URL('../scripts/start.mjs', import.meta.url));
const canLook = process.platform === 'linux' && findProgram('nats-server') !== undefined;

/** The processes that were started with this mark in their environment, and their descendants. */
const marked = (mark: string): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark);
      } catch {
        return false; // it has ended
      }
    });

/** Waits, as the helpers of a killed browser end a moment later. */
const gone = (mark: string): Promise<void> => vi.waitFor(() => expect(marked(mark)).toEqual([]), { timeout: 10_000, interval: 50 });

function demo(...args: string[]) {
  const mark = `PUBKEEPER_TEST_MARK=${newId()}`;
  const [name, value] = mark.split('=') as [string, string];
  const child = spawn(process.execPath, [START, 'cluster', '--headless', ...args], { env: { ...process.env, [name]: value }, stdio: ['ignore', 'pipe', 'pipe'] });
  left.add(child);
  child.on('close', () => left.delete(child));
  let output = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += String(chunk);
      for (const look of waiting) look();
    });
  }
  const ended = new Promise<number | string | null>((resolve) => child.on('close', (code, signal) => resolve(code ?? signal)));
  const says = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (output.includes(text)) resolve();
      };
      waiting.add(look);
      look();
      void ended.then(() => reject(new Error(`It ended without "${text}": ${output}`)));
    });
  return { mark, child, ended, says, text: () => output };
}

const left = new Set<ChildProcess>();
afterEach(async () => {
  for (const child of left) child.kill('SIGTERM');
  await Promise.all([...left].map((child) => once(child, 'close')));
});

describe.runIf(canLook)('npm run demo:cluster', { timeout: 120_000 }, () => {
  it.each([
    ['SIGINT', 'Starting three NATS servers', 130],
    ['SIGTERM', 'messages a second each', 143],
  ] as const)('ends all processes that it has started at %s, after it has printed "%s"', async (signal, text, code) => {
    const { mark, child, ended, says } = demo();
    await says(text);
    expect(marked(mark).length).toBeGreaterThan(1);
    child.kill(signal);
    expect(await ended).toBe(code);
    await gone(mark);
  });

  it('--headless ends by itself after it has reported what happened to the messages', async () => {
    const { mark, ended, text } = demo('--seconds', '1');
    expect(await ended, text()).toBe(0);
    expect(text()).toMatch(/Messages of both flowed again \d+ ms after the failure: whole after \d+ ms\.\n/);
    await gone(mark);
  });
});
