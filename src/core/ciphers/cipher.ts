import type { Awaitable } from './engine.js';

/** The names of the ciphers, weakest first. */
export const CIPHERS = ['none', 'aes-cbc', 'aes-gcm'] as const;
/** The name of a cipher: plaintext, AES-CBC as deployed peers have it, or sealed (AES-256-GCM). */
export type CipherName = (typeof CIPHERS)[number];

/** The place of a cipher among {@link CIPHERS}; -1 where none is given. One of an application's own encrypts, and nobody here knows whether it does more: it counts as `'aes-cbc'`. */
export const strength = (cipher: CipherName | 'custom' | undefined): number =>
  (CIPHERS as readonly unknown[]).indexOf(cipher === 'custom' ? 'aes-cbc' : cipher);

/** The options of a patron or a brewer; in the place of them, `crypto` alone may be given. */
export const optionsOf = <Options extends { readonly crypto?: unknown }>(given: Options | Options['crypto'] | null): Partial<Options> =>
  (typeof given === 'object' ? (given ?? {}) : { crypto: given }) as Partial<Options>;

/** What a patron does with one brewer's frames, for one session of that brewer. */
export interface Opener {
  /** Which it is, for a patron's `minCipher`. */
  readonly cipher: CipherName | 'custom';
  /** Whether a frame has a length that this cipher can make, and the marks of this session. */
  isWhole(frame: Uint8Array): boolean;
  /**
   * The messages in a frame that `isWhole`: one, or a bundle. Throws or rejects when it cannot be opened, whatever the
   * reason, so that whoever sent it learns nothing.
   */
  open(frame: Uint8Array): Awaitable<Uint8Array | readonly Uint8Array[]>;
  /** As `open`, for frames that came together, where one call for all is cheaper. Undefined for one that is bad. */
  readonly openAll?: ((frames: readonly Uint8Array[]) => Awaitable<readonly (Uint8Array | undefined)[]>) | undefined;
}

/** What a brewer does with its messages, for one session. */
export interface Sealer {
  /** Which it is. */
  readonly cipher: CipherName | 'custom';
  /** What patrons are told (`brewer_config.cipher`), so that they can open. */
  readonly config:
    | {
        /** By what openers know it: 2, `'AES-GCM'`, or an application's own. */
        readonly mode: number | string;
        /** In hex. */
        readonly key: string;
        /** In hex; only sealed sessions have one. */
        readonly epoch?: string;
      }
    | undefined;
  /** A whole brew frame around `message`. What `message` holds when the call is made counts. */
  seal(message: Uint8Array): Awaitable<Uint8Array<ArrayBuffer>>;
  /** A whole brew frame around `count` messages, each with its length (u32, little-endian) before it; missing where frames hold one. */
  readonly sealBundle?: ((bundle: Uint8Array, count: number) => Awaitable<Uint8Array<ArrayBuffer>>) | undefined;
  /** Counts a message that nobody was matched for: whoever had those before it is told of the gap if the match comes back. */
  skip?(): void;
}

/** A cipher of an application for a brewer: makes what seals one session. `identity`: see `frameIdentity`. */
export type MakeSealer = (identity: Uint8Array) => Sealer;
