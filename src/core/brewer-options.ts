import type { Brew } from './brew.js';
import type { CipherName, MakeSealer } from './ciphers/cipher.js';
import type { CryptoEngine } from './ciphers/engine.js';
import type { PubkeeperError } from './errors.js';

/** The options of a brewer. */
export interface BrewerOptions {
  /** `false`: what is brewed is not encrypted. Default `true`. */
  readonly crypto?: boolean | undefined;
  /** A UUID to use instead of a generated one, with or without dashes. */
  readonly brewerId?: string | undefined;
  /**
   * `'aes-gcm'` (the default): sealed; tampering, replays and gaps are noticed. `'aes-cbc'`: what deployed peers read.
   * `'none'`: as `crypto: false`. A function makes what seals a session: for ciphers of one's own.
   */
  readonly cipher?: CipherName | MakeSealer | undefined;
}

/** What a brewer emits: `brewer.on(name, listener)`. */
export interface BrewerEvents {
  /** The first patron was matched: what is brewed has a reader now. May come before `connect()` resolves: listen before. */
  matched: {
    /** The brewer's own. */
    readonly topic: string;
  };
  /** The last match ended. */
  unmatched: {
    /** The brewer's own. */
    readonly topic: string;
  };
  /** A patron was matched. */
  added: {
    /** The brewer's own, whatever the patron's pattern. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly patronId: string;
    /** The name of the brew that data goes over. */
    readonly brew: string;
  };
  /** A match ended. */
  removed: {
    /** The brewer's own. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly patronId: string;
  };
  /** A brew that is not there, data that could not be carried. */
  error: PubkeeperError;
}

/** What a client lends its brewers. */
export interface BrewerHost {
  brew(name: string): Brew | undefined;
  readonly engine: CryptoEngine;
}
