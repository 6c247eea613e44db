import type { Complete } from './complete.js';
import type { WebSocketConstructor } from './connection.js';
import type { DropReason } from './drops.js';
import type { PubkeeperError } from './errors.js';
import type { Logger } from './host.js';
import type { BrewDetails, Packet } from './packet.js';
import type { ReconnectOptions } from './reconnect.js';

// The Brew contract: what a transport must offer. `test/brew-suite.ts` checks all of it, for third parties too.

/** What the client lends its brews. */
export interface BrewHost {
  /** The URL of the control server that is used or tried at present: of several that the client was given it may become another one. */
  readonly server: string;
  /** How often that server gives a sign of life when it is asked, in ms; 0 or missing where it has not said so. */
  readonly heartbeatMs?: number;
  /** How often a connection to a control server was lost, or could not be made, so far. */
  readonly losses?: number;
  /** The WebSocket implementation that the client uses. */
  readonly WebSocket: WebSocketConstructor;
  /** How connections come back, as given to the client or by default; times in ms. */
  readonly reconnect: Complete<ReconnectOptions>;
  /** The logger that was given to the client, if one was. */
  readonly logger: Logger | undefined;
  /** To be told what went wrong and is not the result of a call. */
  report(error: PubkeeperError): void;
  /** To be told of data that came and cannot be given to any patron here. */
  dropped(reason: DropReason): void;
  /**
   * To say that this brew cannot carry data at present, or that it can again: for all pairs, for those of one brewer or
   * patron, or for one pair. A pair whose ends share another brew goes on over that one, and comes back. Until it is said,
   * a brew is up. Say it when it has lasted (half a second), not at each hiccup. Missing where there is no other brew, or
   * none that brings failover along.
   */
  state?(brew: string, up: boolean, scope?: BrewScope): void;
}

/** Which pairs of a client a state is about: those that have all ids that are given. */
export interface BrewScope {
  /** 32 hex digits. */
  readonly brewerId?: string;
  /** 32 hex digits. */
  readonly patronId?: string;
}

/** One brewer of this client, matched with one patron over this brew. */
export interface BrewerPair {
  /** The brewer's literal topic. */
  readonly topic: string;
  /** 32 hex digits. */
  readonly brewerId: string;
  /** 32 hex digits. */
  readonly patronId: string;
  /** What the patron registered about this brew. Comes from the network: check it. */
  readonly details: BrewDetails;
  /**
   * What went over other brews last, oldest first: where the patron was served over one of them until now, or where the newest frame
   * has not gone over this brew. The patron may have missed these frames, and leaves out those that it has. To be given to it
   * before anything else, if that can be done.
   */
  readonly missed?: readonly Uint8Array<ArrayBuffer>[] | undefined;
  /** To be told what to wait for until those have been accepted, if that is not at once. A brewer that leaves waits for it. */
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
  /** What the brewer registered about this brew: where to find it. Comes from the network: check it. */
  readonly details: BrewDetails;
  /**
   * Takes every brew frame of this brewer, in the order in which it was brewed. Never throws. `retained`: it is a last
   * value and not a live one; undefined where the transport cannot tell. The frame is the receiver's: it is not to be changed afterwards.
   */
  readonly receive: (frame: Uint8Array, retained?: boolean) => void;
}

/** A way for data from a brewer to its patrons. Ids are 32 hex digits; frames are whole brew frames (protocol, section 3). */
export interface Brew {
  /** What it is called in registrations: both ends are matched by it. Unique within a client. */
  readonly name: string;
  /**
   * Called before anything else, when the brew is given to a client.
   * @throws {PubkeeperError} `BREW_IN_USE` when it belongs to another client already
   */
  attach(host: BrewHost): void;
  /**
   * What a brewer's registration says about this brew; undefined when it can only subscribe. A brew that has to listen
   * begins to here, and returns a promise. Called for each registration, also those after a reconnect.
   */
  brewerDetails(brewer: { readonly topic: string; readonly brewerId: string }): Awaitable<BrewDetails | undefined>;
  /** What a patron's registration says about this brew; undefined when it can only brew. */
  patronDetails(patron: { readonly topic: string; readonly patronId: string }): BrewDetails | undefined;
  /**
   * Makes ready to carry data of this brewer to this patron. Returns what ends it, which may be called twice, and after `close()`.
   * @throws {PubkeeperError} `BREW_CONFIG_INVALID` when the details make no sense; `BREW_FAILED` when it cannot carry data now
   */
  startBrewer(pair: BrewerPair): () => void;
  /**
   * Receives the data of this brewer until the returned function is called, which is done as with that of `startBrewer`. It may call
   * `receive` before it returns.
   * @throws {PubkeeperError} `BREW_CONFIG_INVALID` when the details make no sense
   */
  startPatron(pair: PatronPair): () => void;
  /**
   * Carries a frame to all patrons that this brewer was started for, in the order of the calls. Returns nothing when
   * the bytes were accepted at once, or a promise that resolves when they are. Does not change the frame.
   * @throws {PubkeeperError} `BUFFER_FULL` when too much waits already, `BREW_FAILED` when it can never be carried
   */
  brew(brewerId: string, frame: Uint8Array<ArrayBuffer>): void | Promise<void>;
  /** The brewer is not registered any more, and has no frame left: what `brewerDetails` began for it can end. */
  endBrewer?(brewerId: string): void;
  /**
   * The server has told of a running pair again, with details that differ in their `ticket` at most. `brews`: this client is
   * the brewer. Never throws.
   */
  renew?(pair: Pick<BrewerPair, 'topic' | 'brewerId' | 'details'>, brews: boolean): void;
  /** The page is put away: hold no connection until `wake`, since one would keep the page out of the browser's cache. */
  rest?(): void;
  /**
   * The network may have changed: check connections now instead of at the next timeout. `silentMs`: the server has not
   * answered for that long, so that a connection on which nothing came since is dead too.
   */
  wake?(silentMs?: number): void;
  /** @internal A pair has ended for good, over whichever brew: where this brew has said that it is down for that pair, nobody waits for it to be up again. */
  forget?(scope: BrewScope): void;
  /** `failover` of `pubkeeper/brews/failover`, if this brew is made to stand beside others. Such a brew knows what to do with what a pair `missed`. */
  readonly failover?: Failover;
  /** Closes everything, after what was accepted has left. The brew can be started again afterwards. */
  close(): Awaitable<void>;
}

/**
 * Makes brews of which one takes over when another is down, to be used in place of those of the client, and completes `host`.
 * It is no part of the core, so that a client with one brew does not bear it.
 * @param send sends a packet to the server, if that is one that can move pairs
 */
export type Failover = (host: BrewHost, brews: readonly Brew[], send: (packet: Packet) => void) => readonly Brew[];

type Awaitable<T> = T | Promise<T>;
