import type { ClientOptions, CryptoEngine, WebSocketConstructor, WebSocketLike } from '../core/index.js';
import { nodeEngine } from './node-engine.js';

// What differs in Node; `browser.ts` beside this file has the same names. package.json chooses by export condition.

type Dialling = Pick<ClientOptions, 'WebSocket' | 'prepare'>;

let Loaded: WebSocketConstructor | undefined;
let failure: unknown;

/**
 * Stands in where there is no WebSocket: reports why by an `error` event, as a socket that cannot connect does. What a constructor throws
 * would be reported as blocked by a page's policy.
 */
class Missing implements WebSocketLike {
  binaryType = '';
  readonly protocol = '';
  readonly readyState = 0;
  readonly bufferedAmount = 0;
  onopen = null;
  onmessage = null;
  onerror: ((event: { readonly message: string }) => void) | null = null;
  onclose = null;

  constructor() {
    const message = `ws could not be loaded: ${failure instanceof Error ? failure.message : String(failure)}; esbuild makes bundles for Node that load it with --format=cjs`;
    queueMicrotask(() => this.onerror?.({ message }));
  }

  send(): void {}

  close(): void {}
}

/**
 * The WebSocket to use where `ws` cannot be loaded, as in an ES module that esbuild has bundled for Node: Node's own, from 22 on, which
 * compresses and masks.
 */
const instead = (): WebSocketConstructor => (globalThis.WebSocket as WebSocketConstructor | undefined) ?? Missing;

/** Loads `ws` only now, because that takes longer than loading all else: a server that imports this to render pages need not wait for it. */
async function prepare(): Promise<void> {
  try {
    Loaded ??= (await import('./node-socket.js')).NodeWebSocket;
  } catch (error) {
    failure = error;
  }
}

const WebSocket = class {
  constructor(url: string, protocols?: string | string[]) {
    return new (Loaded ?? instead())(url, protocols);
  }
} as WebSocketConstructor;

/** The WebSocket that a client connects with, and what it has to wait for first. */
export const webSocket = (given?: WebSocketConstructor): Dialling => (given ? { WebSocket: given } : { WebSocket, prepare });

/** `node:crypto`: synchronous, and faster than either of the portable engines at any size. */
export const engine: CryptoEngine | undefined = nodeEngine;

/** A process has no page whose return could be noticed; sleep shows as silence on the control connection. */
export const lifecycle: ((wake: () => void, rest: () => void) => () => void) | undefined = undefined;
