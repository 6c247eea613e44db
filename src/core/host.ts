// What the core needs of its host: the few globals that browsers, workers, Node, Deno and Bun share. They are declared
// here instead of taken from `lib.dom` or `@types/node`, so that neither leaks into the core. Nothing is read at import:
// a missing global is noticed only when it is used.

/** What `setTimeout` returned: a number in browsers, an object in Node. */
export type Timer = { unref?(): void } | number;

interface TextCodec {
  encode(text: string): Uint8Array<ArrayBuffer>;
  decode(bytes: Uint8Array): string;
}

/** The few members of the WHATWG `URL` that are used here. */
export interface ParsedUrl {
  readonly protocol: string;
  readonly host: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
  readonly href: string;
}

declare const TextEncoder: new () => Pick<TextCodec, 'encode'>;
declare const TextDecoder: new (label: string, options: { fatal?: boolean; ignoreBOM?: boolean }) => Pick<TextCodec, 'decode'>;
declare const URL: new (url: string) => ParsedUrl;
declare const crypto: { getRandomValues(bytes: Uint8Array<ArrayBuffer>): unknown };
declare const setTimeout: (run: () => void, ms: number) => Timer;
declare const clearTimeout: (timer: Timer | undefined) => void;
declare const queueMicrotask: (run: () => void) => void;
declare const console: Logger;

/** Where a client reports errors that have no listener, and a server what it refuses. `console`, pino, winston, consola and loglevel fit. */
export interface Logger {
  /** Oddities that need no action; only servers log these. */
  debug?(...data: unknown[]): void;
  /** Refusals, and what may need attention; only servers log these. */
  warn(...data: unknown[]): void;
  /**
   * Errors. A client passes one argument: a `PubkeeperError` that has no listener. A server passes a sentence that
   * says what was thrown, and the error as a second argument: pino leaves the stack out unless it is given as `{ …, error: (text, error) => pino.error(error, text) }`.
   */
  error(...data: unknown[]): void;
}

let encoder: Pick<TextCodec, 'encode'> | undefined;
let strictDecoder: Pick<TextCodec, 'decode'> | undefined;
let lenientDecoder: Pick<TextCodec, 'decode'> | undefined;

export const utf8 = (text: string): Uint8Array<ArrayBuffer> => (encoder ??= new TextEncoder()).encode(text);

/** Throws a `TypeError` for bytes that are not UTF-8. */
export const fromUtf8Strict = (bytes: Uint8Array): string =>
  (strictDecoder ??= new TextDecoder('utf-8', { fatal: true })).decode(bytes);

/** Replaces what is not UTF-8 by U+FFFD, as a browser's `MessageEvent` text would; loses nothing, not even a BOM. */
export const fromUtf8 = (bytes: Uint8Array): string =>
  (lenientDecoder ??= new TextDecoder('utf-8', { ignoreBOM: true })).decode(bytes);

/** The only source of randomness: `crypto.getRandomValues`, which plain-http pages have too. */
export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  crypto.getRandomValues(bytes);
  return bytes;
}

export const parseUrl = (url: string): ParsedUrl => new URL(url);

/** A port as a number. Text is accepted because pages take it from `location`, where it is empty for the default port. */
export const portOf = (port: unknown, secure: unknown): number => (typeof port === 'string' ? Number(port || (secure ? 443 : 80)) : (port as number));

/** The longest time that `setTimeout` can wait, in ms: 24 days. With more, such as `Infinity`, it would fire at once. */
const LONGEST = 0x7fffffff;

/**
 * A timer that does not keep a Node process alive: a client's sockets do that, its housekeeping must not.
 * `ms` in milliseconds.
 */
export function after(ms: number, run: () => void): Timer {
  const timer = wait(ms, run);
  (timer as { unref?(): void }).unref?.();
  return timer;
}

/** Like `after`, but keeps the process alive: for timers that a caller awaits. */
export const wait = (ms: number, run: () => void): Timer => setTimeout(run, Math.min(ms, LONGEST));

export const cancel = (timer: Timer | undefined): void => clearTimeout(timer);

export const microtask = (run: () => void): void => queueMicrotask(run);

/** Throws an error where nothing else is stopped by it. */
export const throwLater = (error: unknown): void =>
  microtask(() => {
    throw error;
  });

/**
 * Like `microtask`, but cheaper, for calls that are made for every message: a promise stays within the JavaScript engine, while
 * `queueMicrotask` goes through the host. `run` must not throw.
 */
export const soon = (run: () => void): void => void Promise.resolve().then(run);

export const defaultLogger = (): Logger => console;
