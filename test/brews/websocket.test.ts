import WebSocket from 'ws';
import type { WebSocketConstructor } from '../../src/index.js';
import { WebSocketBrew } from '../../src/brews/websocket.js';
import { createServer } from '../../src/server/index.js';
import { brewSuite } from '../brew-suite.js';
import { MiniRelay } from '../mini-relay.js';

const badDetails = [
  ...[undefined, null, '', 7, 'a b', 'a/b', 'user@host', 'host?x', 'host#x', 'host%2f', 'a:1/', { toString: 1 }, Object.create(null) as object].map((hostname) => ({ name: 'websocket', hostname, port: 80 })),
  ...[undefined, null, 0, -1, 65_536, 1.5, NaN, true, {}, { toString: 1 }, ' ', '0', '-1', '65536', '1.5', '80/', '80x', 'http'].map((port) => ({ name: 'websocket', hostname: 'h', port })),
  { name: 'websocket' },
];
const host = { WebSocket: WebSocket as unknown as WebSocketConstructor };

brewSuite('WebSocketBrew through our own relay', {
  async make() {
    const server = await createServer({ port: 0, tokens: { secret: [{ topic: '**', read: true, write: true }] } });
    return { brew: () => new WebSocketBrew(), host: { ...host, server: server.url }, close: () => server.close() };
  },
  lastValue: true,
  badDetails,
});

brewSuite('WebSocketBrew through a relay as deployed', {
  async make() {
    const relay = await new MiniRelay().listen();
    return { brew: () => new WebSocketBrew({ hostname: '127.0.0.1', port: relay.port }), host, close: () => relay.close() };
  },
  lastValue: true,
});
