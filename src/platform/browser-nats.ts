import type { BrewHost } from '../core/index.js';
import { type Line, type LineOwner, needsWebSocket, PageSockets, type Target } from '../brews/internal/broker-line.js';
import { loadNats, type NatsConnect, openNats } from '../brews/internal/nats-line.js';
import { wholeModule } from './whole-module.js';

// NATS in a browser; `node-nats.ts` beside this file has the same names. package.json chooses by export condition.

/** Of a network's addresses, those to use here: pages have no TCP. */
export const reachable = (_tcp: readonly string[], ws: readonly string[]): readonly string[] => ws;

const PACKAGES = ['@nats-io/nats-core'];

const library = async () => wholeModule(await import('@nats-io/nats-core')).wsconnect;

/** Rejects with `BREW_DEPENDENCY` when the package is missing. */
export const load = async (_isWs: boolean): Promise<void> => void (await loadNats(library, PACKAGES));

export async function dial(target: Target, owner: LineOwner, host: BrewHost, known: Set<string>): Promise<Line> {
  needsWebSocket('NatsBrew', target.urls);
  const sockets = new PageSockets(owner);
  // Async, so that a refusal to open a socket rejects.
  const wsFactory = async (url: string) => ({ socket: sockets.open(url), encrypted: url.startsWith('wss:') });
  const connect = async (): Promise<NatsConnect> => {
    const wsconnect = await library();
    return (options) => wsconnect({ ...options, wsFactory });
  };
  return openNats(connect, PACKAGES, target, owner, host, known, sockets);
}
