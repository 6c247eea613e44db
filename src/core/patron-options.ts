import type { Brew } from './brew.js';
import { type CipherName, CIPHERS, type Opener, optionsOf } from './ciphers/cipher.js';
import type { CryptoEngine } from './ciphers/engine.js';
import type { Drop } from './drops.js';
import { PubkeeperError } from './errors.js';
import { newId, parseId, show } from './id.js';
import type { Message } from './message.js';
import type { BrewerConfig } from './packet.js';

/** What a patron calls for each message. What it returns is awaited only to catch a rejection. */
export type PatronCallback = (data: Uint8Array<ArrayBuffer>, message: Message) => unknown;

/** The options of a {@link Patron}. */
export interface PatronOptions {
  /**
   * `true` (the default): encrypted and plaintext brewers are both read. `false`: encrypted data is not accepted.
   * `'required'`: plaintext is not accepted. What is not accepted is dropped and counted.
   */
  readonly crypto?: boolean | 'required' | undefined;
  /**
   * The weakest cipher that is accepted; what is below is dropped and counted as `too-weak`. A `minCipher` that is given
   * holds for all brewers: `'aes-cbc'` refuses plaintext, `'aes-gcm'` AES-CBC as well, `'none'` nothing. The default is
   * `'aes-cbc'` for brewers that encrypt, and leaves it to `crypto` whether plaintext ones are read beside them. Where
   * `crypto` and `minCipher` differ the stricter one holds. An application's own cipher counts as `'aes-cbc'`.
   */
  readonly minCipher?: CipherName | undefined;
  /** A UUID to use instead of a generated one, with or without dashes. */
  readonly patronId?: string | undefined;
  /** What opens the frames of a brewer with this configuration; undefined for those that the patron can open itself. */
  readonly opener?: ((config: BrewerConfig) => Opener | undefined) | undefined;
}

/** What a patron emits: `patron.on(name, listener)`. */
export interface PatronEvents {
  /** A brewer was matched; its data may come from now on. */
  added: {
    /** The brewer's literal topic. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly brewerId: string;
    /** The name of the brew that its data comes over. */
    readonly brew: string;
  };
  /** A match ended. */
  removed: {
    /** The brewer's literal topic. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly brewerId: string;
  };
  /** Data was not passed on: one event per reason and burst. */
  dropped: Drop;
  /** Messages of a sealed brewer are missing, or one that was reported missing came late. */
  gap: {
    /** The brewer's literal topic. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly brewerId: string;
    /** How many messages; -1 for one that came late. */
    readonly missing: number;
  };
  /** An exception in the callback, a brewer that cannot be read, a brew that is not there. */
  error: PubkeeperError;
}

/** What a client lends its patrons. */
export interface PatronHost {
  brew(name: string): Brew | undefined;
  readonly engine: CryptoEngine;
}

/**
 * Checks what a patron was given, and makes up its id.
 * @throws {PubkeeperError} `ID_INVALID` or `OPTION_INVALID`
 */
export function readPatronOptions(
  options: PatronOptions | PatronOptions['crypto'] | null,
  id: string | undefined,
  callback: unknown,
): Pick<PatronOptions, 'minCipher' | 'opener'> & { readonly crypto: boolean | 'required'; readonly patronId: string } {
  const { crypto = true, minCipher, patronId = id, opener } = optionsOf<PatronOptions>(options);
  if (callback != null && typeof callback !== 'function') {
    throw new PubkeeperError('OPTION_INVALID', `callback must be a function, not ${show(callback)}.`);
  }
  if (![true, false, 'required'].includes(crypto)) {
    throw new PubkeeperError('OPTION_INVALID', `crypto must be true, false or 'required', not ${show(crypto)}.`);
  }
  // The names are written out as for brewers: gzip has them there already.
  if (minCipher != null && !CIPHERS.includes(minCipher)) {
    throw new PubkeeperError('OPTION_INVALID', `minCipher must be 'aes-gcm', 'aes-cbc' or 'none', not ${show(minCipher)}.`);
  }
  if (minCipher && minCipher !== 'none' && !crypto) {
    throw new PubkeeperError('OPTION_INVALID', `crypto: false and minCipher: '${minCipher}' accept nothing: leave one out.`);
  }
  return { crypto, minCipher, opener, patronId: patronId == null ? newId() : parseId(patronId) } as ReturnType<typeof readPatronOptions>;
}
