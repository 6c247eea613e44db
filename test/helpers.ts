import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { PubkeeperError, type ErrorCode } from '../src/core/errors.js';

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const unhex = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, 'hex'));
export const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, 'utf8'));
export const sha256 = (data: string | Uint8Array): Buffer => createHash('sha256').update(data).digest();

/** Ids that are easy to distinguish: `id(7)` is `00000007-…` without dashes. */
export const id = (n: number): string => n.toString(16).padStart(8, '0') + '0000400080000000' + n.toString(16).padStart(8, '0');

/** `id` as foreign systems may write it: dashed, upper-case. */
export const dashed = (text: string): string =>
  text.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5').toUpperCase();

/** A brew frame that is made here from protocol.md, section 3, and not by the code under test. */
export function rawFrame(topic: string, brewerId: string, payload: Uint8Array | string): Uint8Array<ArrayBuffer> {
  const body = typeof payload === 'string' ? bytes(payload) : payload;
  const frame = Buffer.alloc(88 + body.length);
  frame[0] = 1;
  sha256(topic).copy(frame, 2);
  Buffer.from(brewerId, 'hex').copy(frame, 34);
  frame.writeUInt32LE(body.length, 84);
  frame.set(body, 88);
  return Uint8Array.from(frame);
}

/** The exception of `run`, which has to be a PubkeeperError of that code. */
export function thrown(run: () => unknown, code?: ErrorCode): PubkeeperError {
  let error: unknown;
  try {
    run();
  } catch (caught) {
    error = caught;
  }
  return checked(error, code);
}

/** The rejection of `promise`, which has to be a PubkeeperError of that code. */
export async function rejected(promise: Promise<unknown>, code?: ErrorCode): Promise<PubkeeperError> {
  return checked(await promise.then(() => undefined, (error: unknown) => error), code);
}

function checked(error: unknown, code: ErrorCode | undefined): PubkeeperError {
  expect(error).toBeInstanceOf(PubkeeperError);
  if (code) expect((error as PubkeeperError).code).toBe(code);
  expect((error as PubkeeperError).message).not.toBe('');
  return error as PubkeeperError;
}

/** Lets everything that is ready run: promises, their successors, and answers of the platform in between. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** A promise, and the functions that settle it. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** The milliseconds of CPU time of this process, so that other processes on the machine and waits do not count. */
export const worked = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
