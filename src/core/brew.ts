import type { Complete } from './complete.js';
import type { WebSocketConstructor } from './connection.js';
import type { DropReason } from './drops.js';
import type { PubkeeperError } from './errors.js';
import type { Logger } from './host.js';
import type { BrewDetails, Packet } from './packet.js';
import type { ReconnectOptions } from './reconnect.js';

// The Brew contract: what a transport must offer. `test/brew-suite.ts` checks all of it, for third parties too.

/** What a client provides to its brews. */
export interface BrewHost {
  /** The URL of the control server that is used or tried now. It may change if the client has a list of servers. */
  readonly server: string;
  /** How often that server gives a sign of life when it is asked, in ms; 0 or missing if it has not announced that. */
  readonly heartbeatMs?: number;
  /** How often a connection to a control server was lost or could not be made so far. */
  readonly losses?: number;
  /** The WebSocket implementation that the client uses. */
  readonly WebSocket: WebSocketConstructor;
  /** How connections are retried: the client's option, or its default; times in ms. */
  readonly reconnect: Complete<ReconnectOptions>;
  /** The logger that was given to the client, if one was. */
  readonly logger: Logger | undefined;
  /** Call it with errors that are not the result of a call. */
  report(error: PubkeeperError): void;
  /** Call it for data that arrived and cannot be given to any patron here. */
  dropped(reason: DropReason): void;
  /**
   * Call it when this brew cannot carry data now (`up` false), and when it can again: for all pairs, for those of one brewer or
   * patron, or for one pair. A pair whose ends share another brew goes on over that one, and comes back. A brew counts as up
   * until this is called. Call it when the outage has lasted half a second, not at each hiccup. Missing if there is no other brew, or
   * none with failover.
   */
  state?(brew: string, up: boolean, scope?: BrewScope): void;
}

/** Which pairs of a client a state is about: those that have all the given ids. */
export interface BrewScope {
  /** 32 hex digits. */
  readonly brewerId?: string | undefined;
  /** 32 hex digits. */
  readonly patronId?: string | undefined;
}

/** One brewer of this client, matched with one patron over this brew. */
export interface BrewerPair {
  /** The brewer's literal topic. */
  readonly topic: string;
  /** 32 hex digits. */
  readonly brewerId: string;
  /** 32 hex digits. */
  readonly patronId: string;
  /** What the patron registered about this brew. It comes from the network: check it. */
  readonly details: BrewDetails;
  /**
   * The latest frames that went over other brews, oldest first: given if the patron was served over one of them until now, or if the
   * newest frame has not gone over this brew. The patron may have missed them, and ignores those that it has. Give them to it
   * before anything else, if you can.
   */
  readonly missed?: readonly Uint8Array<ArrayBuffer>[] | undefined;
  /** Call it with a promise of when these have been accepted, if that is not at once. A brewer that leaves waits for it. */
  accepting?(accepted: Promise<void>): void;
}

/** One patron of this client, matched with one brewer over this brew. */
export interface PatronPair {
  /** The brewer's literal topic. */
  readonly topic: string;
  /** 32 hex digits. */
  readonly brewerId: string;
  /** 32 hex digits. */
  readonly patronId: string;
  /** What the brewer registered about this brew: where to find it. It comes from the network: check it. */
  readonly details: BrewDetails;
  /**
   * Call it with every brew frame of this brewer, in the order in which they were brewed. Never throws. `retained`: whether it is a last
   * value; undefined if the transport cannot tell. Do not change the frame afterwards: it belongs to the receiver.
   */
  readonly receive: (frame: Uint8Array, retained?: boolean) => void;
}

/** A transport from a brewer to its patrons. Ids are 32 hex digits; frames are whole brew frames (protocol, section 3). */
export interface Brew {
  /** Its name in registrations: both ends are matched by it. Unique within a client. */
  readonly name: string;
  /**
   * How long the messages may be together that share a frame, in bytes, each with 4 more; the frame has 104 more. Default, and at most:
   * 64 KiB. For a transport with a limit, which would lose all of them. It may change; a message that is longer by itself is given to it
   * all the same.
   */
  readonly maxBundle?: number | undefined;
  /**
   * Called before anything else, when the brew is given to a client.
   * @throws {PubkeeperError} `BREW_IN_USE` when it belongs to another client already
   */
  attach(host: BrewHost): void;
  /**
   * Returns what a brewer's registration says about this brew; undefined if it can only subscribe. A brew that has to listen
   * starts to do so here, and returns a promise. Called for each registration, also after a reconnect.
   */
  brewerDetails(brewer: { readonly topic: string; readonly brewerId: string }): Awaitable<BrewDetails | undefined>;
  /** Returns what a patron's registration says about this brew; undefined if it can only brew. */
  patronDetails(patron: { readonly topic: string; readonly patronId: string }): BrewDetails | undefined;
  /**
   * Prepares to carry data of this brewer to this patron. Returns a function that ends it, which may be called twice, and after `close()`.
   * @throws {PubkeeperError} `BREW_CONFIG_INVALID` when the details make no sense; `BREW_FAILED` when it cannot carry data now
   */
  startBrewer(pair: BrewerPair): () => void;
  /**
   * Receives the data of this brewer until the returned function is called (as with `startBrewer`: perhaps twice, and after `close()`). May
   * call `receive` before it returns.
   * @throws {PubkeeperError} `BREW_CONFIG_INVALID` when the details make no sense
   */
  startPatron(pair: PatronPair): () => void;
  /**
   * Carries a frame to all patrons that this brewer was started for, in the order of the calls. Returns nothing if
   * the bytes were accepted at once, else a promise that resolves when they are. Must not change the frame.
   * @throws {PubkeeperError} `BUFFER_FULL` when too much is waiting already, `BREW_FAILED` when the frame can never be carried
   */
  brew(brewerId: string, frame: Uint8Array<ArrayBuffer>): void | Promise<void>;
  /** The brewer is no longer registered, and has no frame left: what `brewerDetails` started for it can end. */
  endBrewer?(brewerId: string): void;
  /**
   * The server has announced a running pair again, with details that differ at most in their `ticket`. `brews`: whether this client is
   * the brewer. Must not throw.
   */
  renew?(pair: Pick<BrewerPair, 'topic' | 'brewerId' | 'details'>, brews: boolean): void;
  /** The page is put away: hold no connection until `wake`, since one would keep the page out of the browser's cache. */
  rest?(): void;
  /**
   * The network may have changed: check connections now instead of at the next timeout. `silentMs`: the server has not
   * answered for that long, so a connection on which nothing has come since is dead too.
   */
  wake?(silentMs?: number): void;
  /** @internal A pair has ended for good, over whichever brew: where this brew has said that it is down for that pair, nobody waits for it to be up again. */
  forget?(scope: BrewScope): void;
  /** `failover` of `pubkeeper/brews/failover`, if this brew takes part in failover. Such a brew handles what a pair `missed`. */
  readonly failover?: Failover;
  /** Closes everything, after what was accepted has been sent. The brew can be started again afterwards. It must settle: `disconnect()` waits for it. */
  close(): Awaitable<void>;
}

/**
 * Makes brews of which one takes over when another is down, to be used in place of those of the client, and completes `host`.
 * It is not part of the core, so that a client with one brew does not load it.
 * @param send sends a packet to the server, if that is one that can move pairs
 */
export type Failover = (host: BrewHost, brews: readonly Brew[], send: (packet: Packet) => void) => readonly Brew[];

type Awaitable<T> = T | Promise<T>;
