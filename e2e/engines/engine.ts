// The common interface of the browsers that the end-to-end tests drive.

/** A running browser. */
export interface Engine {
  /** The browser's name and version, for the table that the run prints. */
  readonly version: string;
  /** Opens a page in a new tab; resolves when it has loaded. */
  open(url: string): Promise<EnginePage>;
  close(): Promise<void>;
}

/** An open page. Make one call at a time: not every driver accepts two commands at once. */
export interface EnginePage {
  /**
   * Resolves to the value of a JavaScript expression or of its promise, which must be JSON. Rejects with the page's own
   * error. Needs no `eval` in the page: drivers run the expression from outside, whatever the Content-Security-Policy.
   */
  evaluate<T>(expression: string): Promise<T>;
  /** Navigates to another page, or loads the same one again; clears its problems. */
  go(url: string): Promise<void>;
  /** What the console has shown so far, warnings and errors only; undefined where the driver cannot tell. */
  problems(): readonly string[] | undefined;
  close(): Promise<void>;
}

/** How to launch an engine. */
export interface EngineKind {
  readonly name: 'Chromium' | 'Firefox' | 'WebKit';
  /** A sentence about what has to be installed; null when nothing is missing. */
  missing(): string | null;
  launch(): Promise<Engine>;
}

/** A host name that Chromium and Firefox resolve to this machine, but do not trust as a secure context. */
export const INSECURE_NAME = 'insecure.test';

/** The longest that an expression may take in a page, in ms. */
export const SCRIPT_TIMEOUT = 55_000;

interface Outcome {
  readonly value?: unknown;
  readonly error?: string;
}

/** Makes an expression whose promise always resolves, as each driver loses the reason of a rejection in its own way. */
export const guarded = (expression: string): string =>
  `Promise.resolve().then(() => (${expression})).then(` +
  `(value) => ({ value }), (error) => ({ error: String((error && error.stack) || error) + ' ' + String(error) }))`;

/** The value of a {@link guarded} expression. Throws if it failed. */
export function unguard<T>(outcome: unknown, expression: string): T {
  const { value, error } = outcome as Outcome;
  if (error !== undefined) throw new Error(`In the page, ${expression.slice(0, 100)} failed: ${error}`);
  return value as T;
}
