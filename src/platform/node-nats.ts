import type { BrewHost } from '../core/index.js';
import type { Line, LineOwner, Target } from '../brews/internal/broker-line.js';
import { loadNats, type NatsConnect, openNats } from '../brews/internal/nats-line.js';
import { refusalOf } from './nats-refusal.js';
import { natsTls } from './nats-tls.js';
import { wholeModule } from './whole-module.js';

// NATS in Node; `browser-nats.ts` beside this file has the same names. package.json chooses by export condition.

/** Of a network's addresses, those to use here. */
export const reachable = (tcp: readonly string[], ws: readonly string[]): readonly string[] => (tcp.length ? tcp : ws);

export function dial(target: Target, owner: LineOwner, host: BrewHost, known: Set<string>): Promise<Line> {
  const isWs = target.urls[0]!.startsWith('ws');
  return openNats(() => (isWs ? webSocket(host) : tcp(owner.gone)), packagesFor(isWs), target, owner, host, known);
}

/** Rejects with `BREW_DEPENDENCY` when a package is missing. */
export async function load(isWs: boolean): Promise<void> {
  await loadNats(() => (isWs ? webSocket() : tcp()), packagesFor(isWs));
}

const packagesFor = (isWs: boolean): string[] => ['@nats-io/nats-core', ...(isWs ? [] : ['@nats-io/transport-node'])];

async function tcp(gone?: AbortSignal): Promise<NatsConnect> {
  const { connect } = wholeModule(await import('@nats-io/transport-node'));
  return async (options) => {
    const servers = [options.servers ?? []].flat();
    try {
      return await inTurn('tcp', () => connect({ ...options, ...(options.tls && { tls: natsTls(servers) }) }));
    } catch (error) {
      throw (await refusalOf(servers[0], error, gone)) ?? error;
    }
  };
}

async function webSocket(host?: BrewHost): Promise<NatsConnect> {
  const { wsconnect } = wholeModule(await import('@nats-io/nats-core'));
  // Node 20 has no WebSocket of its own. The client's has all that the library uses.
  const dialSocket = (url: string) => new host!.WebSocket(url) as globalThis.WebSocket;
  const wsFactory = (url: string) => Promise.resolve({ socket: dialSocket(url), encrypted: url.startsWith('wss:') });
  return (options) => inTurn('ws', () => wsconnect({ ...options, wsFactory }));
}

let kind: string | undefined;
/** Settle when all earlier dials of the other kind have ended (`start`), and when all dials so far have (`done`). */
let start: Promise<unknown> = Promise.resolve();
let done: Promise<unknown> = start;

/** The library keeps its transport in one global variable: the last to set it wins. So the two kinds must not dial at once. */
function inTurn<T>(mine: string, run: () => Promise<T>): Promise<T> {
  if (kind !== mine) start = done;
  kind = mine;
  const result = start.then(run);
  // Without the results: otherwise each connection would keep the one before it in memory, for ever.
  done = Promise.allSettled([done, result]).then(() => undefined);
  return result;
}
