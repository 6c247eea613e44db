import type { BrewScope } from '../../core/brew.js';
import type { WebSocketConstructor, WebSocketLike } from '../../core/connection.js';
import { PubkeeperError } from '../../core/errors.js';
import { Outage } from './outage.js';

const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

type Observed = WebSocketLike & { addEventListener?(type: 'open' | 'close', listener: () => void): void };

interface Relay {
  readonly outage: Outage;
  readonly waiting: Set<() => void>;
  socket: Observed | undefined;
  users: number;
}

/** Tells which relays are up by watching the sockets that WebSocketBrew opens, so that WebSocketBrew need not know of failover. */
export class Relays {
  /** The constructor to use in place of the client's. */
  readonly WebSocket: WebSocketConstructor;
  readonly #tell: (up: boolean, scope: BrewScope) => void;
  readonly #relays = new Map<string, Relay>();

  constructor(WebSocket: WebSocketConstructor, tell: (up: boolean, scope: BrewScope) => void) {
    this.#tell = tell;
    const dialled = (url: string, socket: Observed): void => this.#dialled(url, socket);
    // When a constructor returns an object, `new` gives that object.
    this.WebSocket = class {
      constructor(url: string, protocols?: string | string[]) {
        const socket: Observed = new WebSocket(url, protocols);
        dialled(url, socket);
        return socket;
      }
    } as WebSocketConstructor;
  }

  /** A pair depends on this relay, until the returned function is called. */
  use(url: string, scope: BrewScope): () => void {
    const relay = this.#relay(url);
    relay.users++;
    const free = relay.outage.use(scope);
    return () => {
      free();
      relay.users--;
      this.#tidy(url, relay);
    };
  }

  /** If this relay was reported as down, calls `back` when it is up again; returns a function that cancels that. Undefined if it was not. */
  watch(url: string, back: () => void): (() => void) | undefined {
    const relay = this.#relays.get(url);
    if (!relay?.outage.isMissed) return undefined;
    relay.waiting.add(back);
    return () => void relay.waiting.delete(back);
  }

  /** The pair or brewer of this scope has ended: it waits for no relay any more. */
  forget(scope: BrewScope): void {
    for (const { outage } of this.#relays.values()) outage.forget(scope);
  }

  /** The page is put away, and its sockets are closed on purpose: what becomes of them says nothing about their relays. */
  rest(): void {
    for (const relay of this.#relays.values()) relay.socket = undefined;
  }

  /** Forgets all relays: nobody waits for them any more. */
  clear(): void {
    for (const { outage } of this.#relays.values()) outage.end(new PubkeeperError('CONNECTION_CLOSED', 'The client was disconnected.'));
    this.#relays.clear();
  }

  #dialled(url: string, socket: Observed): void {
    const relay = this.#relay(url);
    // The former socket has been given up without an end: its relay does not answer.
    if (relay.socket && [OPEN, CLOSING].includes(relay.socket.readyState)) relay.outage.down();
    relay.socket = socket;
    const isCurrent = (): boolean => relay.socket === socket && this.#relays.get(url) === relay;
    socket.addEventListener?.('open', () => {
      if (!isCurrent()) return;
      relay.outage.up();
      for (const back of relay.waiting) back();
      relay.waiting.clear();
    });
    socket.addEventListener?.('close', () => {
      if (isCurrent()) relay.outage.down();
      this.#tidy(url, relay);
    });
  }

  #relay(url: string): Relay {
    let relay = this.#relays.get(url);
    if (!relay) {
      // A relay that is down is remembered until another one is used, so that its next pair is told at once.
      for (const [other, known] of this.#relays) this.#tidy(other, known);
      relay = { outage: new Outage((up, scope) => this.#tell(up, scope)), waiting: new Set(), socket: undefined, users: 0 };
      this.#relays.set(url, relay);
    }
    return relay;
  }

  #tidy(url: string, relay: Relay): void {
    const { users, outage, socket } = relay;
    const isIdle = !users && !outage.isMissed && (socket?.readyState ?? CLOSED) > OPEN;
    if (isIdle && this.#relays.get(url) === relay) this.#relays.delete(url);
  }
}
