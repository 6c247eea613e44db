// The common face of the browsers that the tests in this folder drive.

/** A browser that runs. */
export interface Engine {
  /** The browser's name and version, for the table that the run prints. */
  readonly version: string;
  /** Opens a page in a tab of its own; resolves when it has loaded. */
  open(url: string): Promise<EnginePage>;
  close(): Promise<void>;
}

/** A page that is open. Call it one at a time: not every driver takes two commands at once. */
export interface EnginePage {
  /**
   * What the JavaScript expression, or the promise that it makes, comes to. Must be JSON. Rejects with the page's own
   * error. Needs no `eval` in the page: the drivers run it from outside, whatever its Content-Security-Policy.
   */
  evaluate<T>(expression: string): Promise<T>;
  /** Leaves the page for another, or for the same anew; forgets its problems. */
  go(url: string): Promise<void>;
  /** What the console has shown so far, warnings and errors only; undefined where the driver cannot tell. */
  problems(): readonly string[] | undefined;
  close(): Promise<void>;
}

/** How to have an engine. */
export interface EngineKind {
  readonly name: 'Chromium' | 'Firefox' | 'WebKit';
  /** A sentence about what has to be installed; null when nothing is missing. */
  missing(): string | null;
  launch(): Promise<Engine>;
}

/** A host name that is this machine for Chromium and Firefox, and no secure context: not even `localhost` is less trusted. */
export const INSECURE_NAME = 'insecure.test';

/** The longest that an expression may take in a page, in ms. */
export const SCRIPT_TIMEOUT = 55_000;

interface Outcome {
  readonly value?: unknown;
  readonly error?: string;
}

/** An expression whose promise always resolves: each driver has its own way to lose what a page rejects with. */
export const guarded = (expression: string): string =>
  `Promise.resolve().then(() => (${expression})).then(` +
  `(value) => ({ value }), (error) => ({ error: String((error && error.stack) || error) + ' ' + String(error) }))`;

/** What came of a {@link guarded} expression. */
export function unguard<T>(outcome: unknown, expression: string): T {
  const { value, error } = outcome as Outcome;
  if (error !== undefined) throw new Error(`In the page, ${expression.slice(0, 100)} failed: ${error}`);
  return value as T;
}
