import type { ClientOptions, CryptoEngine, WebSocketConstructor, WebSocketLike } from '../core/index.js';
import { nodeEngine } from './node-engine.js';

// What differs in Node; `browser.ts` beside this file has the same names. package.json chooses by export condition.

type Dialling = Pick<ClientOptions, 'WebSocket' | 'prepare'>;

let Loaded: WebSocketConstructor | undefined;
let failure: unknown;

/**
 * Where there is no socket: it tells why, as one that reaches nobody does. What a constructor throws would be told as the doing of a page's
 * policy.
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
 * What is dialled with where `ws` cannot be loaded, as in a bundle of esbuild's for Node that is an ES module: Node's own, from 22 on, which
 * compresses and masks.
 */
const instead = (): WebSocketConstructor => (globalThis.WebSocket as WebSocketConstructor | undefined) ?? Missing;

/** Loading `ws` takes longer than loading all else: who imports this to render pages on a server need not wait for it. */
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

/** What a client dials with, and what it has to wait for before. */
export const webSocket = (given?: WebSocketConstructor): Dialling => (given ? { WebSocket: given } : { WebSocket, prepare });

/** `node:crypto`: synchronous, and faster than either of the portable engines at any size. */
export const engine: CryptoEngine | undefined = nodeEngine;

/** A process has no page whose return could be noticed; sleep shows as silence on the control connection. */
export const lifecycle: ((wake: () => void, rest: () => void) => () => void) | undefined = undefined;
