import type { Brew } from './brew.js';
import type { CipherName, MakeSealer } from './ciphers/cipher.js';
import type { CryptoEngine } from './ciphers/engine.js';
import type { PubkeeperError } from './errors.js';

/** The options of a brewer. */
export interface BrewerOptions {
  /** `false`: messages are not encrypted. Default `true`. */
  readonly crypto?: boolean | undefined;
  /** A UUID to use instead of a generated one, with or without dashes. */
  readonly brewerId?: string | undefined;
  /**
   * `'aes-gcm'` (the default): sealed; patrons notice tampering, replays and gaps. `'aes-cbc'`: for deployed peers.
   * `'none'`: as `crypto: false`. For a custom cipher, a function that makes what seals a session.
   */
  readonly cipher?: CipherName | MakeSealer | undefined;
}

/** What a brewer emits: `brewer.on(name, listener)`. */
export interface BrewerEvents {
  /** The first patron was matched: what is brewed is sent from now on. May come before `connect()` resolves, so add the listener before. */
  matched: {
    /** The brewer's topic. */
    readonly topic: string;
  };
  /** The last match ended. */
  unmatched: {
    /** The brewer's topic. */
    readonly topic: string;
  };
  /** A patron was matched. */
  added: {
    /** The brewer's topic, not the patron's pattern. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly patronId: string;
    /** The name of the brew that carries the data. */
    readonly brew: string;
  };
  /** A match ended. */
  removed: {
    /** The brewer's topic. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly patronId: string;
  };
  /** The client lacks the brew of a match, or data could not be sent. */
  error: PubkeeperError;
}

/** What a client lends its brewers. */
export interface BrewerHost {
  brew(name: string): Brew | undefined;
  readonly engine: CryptoEngine;
}
