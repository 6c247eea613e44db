import type { Awaitable } from './engine.js';

/** The names of the ciphers, weakest first. */
export const CIPHERS = ['none', 'aes-cbc', 'aes-gcm'] as const;
/** The name of a cipher: plaintext, AES-CBC as deployed peers have it, or sealed (AES-256-GCM). */
export type CipherName = (typeof CIPHERS)[number];

/** The index of a cipher in {@link CIPHERS}; -1 if none is given. A custom cipher is only known to encrypt, so it counts as `'aes-cbc'`. */
export const strength = (cipher: CipherName | 'custom' | undefined): number =>
  (CIPHERS as readonly unknown[]).indexOf(cipher === 'custom' ? 'aes-cbc' : cipher);

/** The options of a patron or brewer, where `crypto` alone may be given instead of an object. */
export const optionsOf = <Options extends { readonly crypto?: unknown }>(given: Options | Options['crypto'] | null): Partial<Options> =>
  (typeof given === 'object' ? (given ?? {}) : { crypto: given }) as Partial<Options>;

/** Opens one brewer's frames for a patron, for one session of that brewer. */
export interface Opener {
  /** The name of the cipher, for a patron's `minCipher`. */
  readonly cipher: CipherName | 'custom';
  /** Whether a frame has a length that this cipher can produce, and belongs to this session. */
  isWhole(frame: Uint8Array): boolean;
  /**
   * The messages in a frame that `isWhole`: one, or a bundle. Throws or rejects when it cannot be opened, whatever the
   * reason, so that whoever sent it learns nothing.
   */
  open(frame: Uint8Array): Awaitable<Uint8Array | readonly Uint8Array[]>;
  /** Like `open`, for frames that came together, if one call for all is cheaper. Undefined in the place of one that cannot be opened. */
  readonly openAll?: ((frames: readonly Uint8Array[]) => Awaitable<readonly (Uint8Array | undefined)[]>) | undefined;
}

/** Encrypts a brewer's messages, for one session. */
export interface Sealer {
  /** The name of the cipher. */
  readonly cipher: CipherName | 'custom';
  /** What patrons are told (`brewer_config.cipher`), so that they can open. */
  readonly config:
    | {
        /** How openers recognise it: 2, `'AES-GCM'`, or a custom mode. */
        readonly mode: number | string;
        /** In hex. */
        readonly key: string;
        /** In hex; only sealed sessions have one. */
        readonly epoch?: string | undefined;
      }
    | undefined;
  /** Returns a whole brew frame around `message`, with what `message` holds when the call is made. */
  seal(message: Uint8Array): Awaitable<Uint8Array<ArrayBuffer>>;
  /** Returns a whole brew frame around `count` messages, each with its length (u32, little-endian) before it. Missing if a frame holds only one. */
  readonly sealBundle?: ((bundle: Uint8Array, count: number) => Awaitable<Uint8Array<ArrayBuffer>>) | undefined;
  /** Counts a message that was brewed while nobody was matched: a patron that had the messages before it is then told of the gap. */
  skip?(): void;
}

/** A custom cipher of a brewer: makes what seals one session. `identity`: see `frameIdentity`. */
export type MakeSealer = (identity: Uint8Array) => Sealer;
