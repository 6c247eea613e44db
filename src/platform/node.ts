import WebSocket from 'isomorphic-ws';
import type { CryptoEngine, WebSocketConstructor } from '../core/index.js';
import { nodeEngine } from './node-engine.js';

// What differs in Node; `browser.ts` beside this file has the same names. package.json chooses by export condition.

/** `ws`, by way of isomorphic-ws. */
export const webSocket = (): WebSocketConstructor => WebSocket;

/** `node:crypto`: synchronous, and faster than either of the portable engines at any size. */
export const engine: CryptoEngine | undefined = nodeEngine;

/** A process has no page whose return could be noticed; sleep shows as silence on the control connection. */
export const lifecycle: ((wake: () => void, rest: () => void) => () => void) | undefined = undefined;
