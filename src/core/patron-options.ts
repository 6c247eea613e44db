import type { Brew } from './brew.js';
import { type CipherName, CIPHERS, type Opener, optionsOf } from './ciphers/cipher.js';
import type { CryptoEngine } from './ciphers/engine.js';
import type { Drop } from './drops.js';
import { optionInvalid, type PubkeeperError } from './errors.js';
import { newId, parseId, show } from './id.js';
import type { Message } from './message.js';
import type { BrewerConfig } from './packet.js';

/** Called with each message. A promise that it returns is not awaited; its rejection is an `error` event. */
export type PatronCallback = (data: Uint8Array<ArrayBuffer>, message: Message) => unknown;

/** The options of a {@link Patron}. */
export interface PatronOptions {
  /**
   * `true` (the default): encrypted and plaintext brewers are both read. `false`: encrypted data is not accepted.
   * `'required'`: plaintext is not accepted. Data that is not accepted is dropped and counted.
   */
  readonly crypto?: boolean | 'required' | undefined;
  /**
   * The weakest cipher that is accepted. Weaker data is dropped and counted as `too-weak`. If given, `minCipher` applies to all
   * brewers: `'aes-cbc'` refuses plaintext, `'aes-gcm'` refuses AES-CBC as well, `'none'` refuses nothing. If not given, brewers
   * that encrypt need at least `'aes-cbc'`, and `crypto` decides whether plaintext ones are read too. If `crypto` and `minCipher`
   * differ, the stricter one applies. A custom cipher counts as `'aes-cbc'`.
   */
  readonly minCipher?: CipherName | undefined;
  /** A UUID to use instead of a generated one, with or without dashes. */
  readonly patronId?: string | undefined;
  /** For custom ciphers: returns what opens the frames of a brewer with this configuration; undefined for the built-in ciphers. */
  readonly opener?: ((config: BrewerConfig) => Opener | undefined) | undefined;
}

/** What a patron emits: `patron.on(name, listener)`. */
export interface PatronEvents {
  /** A brewer was matched: its data may arrive from now on. */
  added: {
    /** The brewer's literal topic. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly brewerId: string;
    /** The name of the brew that carries its data. */
    readonly brew: string;
  };
  /** A match ended. */
  removed: {
    /** The brewer's literal topic. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly brewerId: string;
  };
  /** Data was not delivered: one event per reason and burst. */
  dropped: Drop;
  /** Messages of a sealed brewer are missing, or one that was reported missing has arrived late. */
  gap: {
    /** The brewer's literal topic. */
    readonly topic: string;
    /** 32 hex digits. */
    readonly brewerId: string;
    /** How many messages are missing; -1 for one that has arrived late. */
    readonly missing: number;
  };
  /** The callback threw, a brewer cannot be read, or the client lacks the brew of a match. */
  error: PubkeeperError;
}

/** What a client lends its patrons. */
export interface PatronHost {
  brew(name: string): Brew | undefined;
  readonly engine: CryptoEngine;
}

/**
 * Checks the options of a patron, and generates its id if none was given.
 * @throws {PubkeeperError} `ID_INVALID` or `OPTION_INVALID`
 */
export function readPatronOptions(
  options: PatronOptions | PatronOptions['crypto'] | null,
  id: string | undefined,
  callback: unknown,
): Pick<PatronOptions, 'minCipher' | 'opener'> & { readonly crypto: boolean | 'required'; readonly patronId: string } {
  const { crypto = true, minCipher, patronId = id, opener } = optionsOf<PatronOptions>(options);
  if (callback != null && typeof callback !== 'function') {
    throw optionInvalid(`callback must be a function, not ${show(callback)}.`);
  }
  if (![true, false, 'required'].includes(crypto)) {
    throw optionInvalid(`crypto must be true, false or 'required', not ${show(crypto)}.`);
  }
  // Written in the same words as for brewers, which gzip compresses better.
  if (minCipher != null && !CIPHERS.includes(minCipher)) {
    throw optionInvalid(`minCipher must be 'aes-gcm', 'aes-cbc' or 'none', not ${show(minCipher)}.`);
  }
  if (minCipher && minCipher !== 'none' && !crypto) {
    throw optionInvalid(`crypto: false and minCipher: '${minCipher}' accept nothing: leave one out.`);
  }
  return { crypto, minCipher, opener, patronId: patronId == null ? newId() : parseId(patronId) } as ReturnType<typeof readPatronOptions>;
}
