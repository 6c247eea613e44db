import type { Brew } from './brew.js';
import { Bundle } from './bundle.js';
import type { Sealer } from './ciphers/cipher.js';
import type { Awaitable } from './ciphers/engine.js';
import { cork } from './cork.js';
import { type Deferred, deferred } from './deferred.js';
import { bufferFull, PubkeeperError } from './errors.js';
import { OrderedQueue } from './order.js';

type Frame = Uint8Array<ArrayBuffer>;

/** How many bytes may wait to be encrypted: WebCrypto itself has no limit. */
const MAX_SEALING = 16 * 1024 * 1024;

const DONE = /* @__PURE__ */ Promise.resolve();

/**
 * Seals the messages of one session of a brewer and hands them to its brews in order. If the cipher has bundles, the messages of
 * one tick share a frame.
 */
export class Outlet {
  readonly sealer: Sealer;
  /**
   * The brews of the patrons that were matched in this session, each once. Messages that are still under way when the session ends are for
   * these patrons, since nobody else has its key. The list is replaced and never changed, so that iterating over it is safe.
   */
  brews: readonly Brew[] = [];
  readonly #carry: (frame: Frame) => void | Promise<void>;
  readonly #failed: (error: unknown) => void;
  readonly #bundle = new Bundle();
  readonly #touch = cork(() => this.#leave());
  readonly #queue = new OrderedQueue();
  /** Frames that have not been accepted yet. */
  readonly #waiting = new Set<Promise<void>>();
  /** Whether a frame is being handed to the brews. A brew may deliver it within the call, to a callback that brews in turn. */
  #handing = false;
  /** Settles when the bundle that is being filled has been accepted. */
  #boarding: Deferred | undefined;

  /**
   * @param carry hands a frame to the brews; returns undefined when they accepted it at once
   * @param failed called with each error. So the promises that `send` returns never cause an unhandled rejection
   */
  constructor(sealer: Sealer, carry: (frame: Frame) => void | Promise<void>, failed: (error: unknown) => void) {
    this.sealer = sealer;
    this.#carry = carry;
    this.#failed = failed;
  }

  /** Sends a message; resolves when it was accepted. */
  send(message: Uint8Array): Promise<void> {
    if (this.#queue.size > MAX_SEALING) {
      this.sealer.skip?.();
      return this.#handled(Promise.reject(bufferFull('encryption', { limit: MAX_SEALING })));
    }
    if (!this.sealer.sealBundle) return this.#handled(this.#pass(() => this.sealer.seal(message), message.length));
    if (this.#bundle.hasRoomFor(message, this.brews)) this.#bundle.add(message);
    else this.#leave(message);
    this.#touch();
    // While nothing waits, the message counts as accepted: it leaves at the end of the tick.
    if (!this.#waiting.size) return DONE;
    if (!this.#boarding) void this.#handled((this.#boarding = deferred()).promise);
    return this.#boarding!.promise;
  }

  /** Sends the gathered messages now. Resolves when all frames have been accepted; undefined if they have been already. */
  flush(): Promise<void> | undefined {
    this.#leave();
    if (!this.#waiting.size) return;
    return Promise.allSettled(this.#waiting).then(() => undefined);
  }

  /** Sends the gathered messages now. Resolves when all have been handed to the brews; undefined if they have been already. */
  leave(): Promise<void> | undefined {
    this.#leave();
    if (this.#queue.length) return new Promise((resolve) => this.#queue.push(undefined, 0, resolve, () => resolve()));
  }

  /** Seals the bundle and sends it. `next`: a message that did not fit. It is added before the frame is delivered, since a callback may brew. */
  #leave(next?: Uint8Array): void {
    const boarding = this.#boarding;
    const { count } = this.#bundle;
    this.#boarding = undefined;
    if (!count) return boarding?.resolve();
    const plaintext = this.#bundle.take();
    const accepted = this.#pass(() => {
      try {
        return count > 1 ? this.sealer.sealBundle!(plaintext, count) : this.sealer.seal(plaintext);
      } finally {
        if (next) this.#bundle.add(next);
      }
    }, plaintext.length);
    if (boarding) boarding.resolve(accepted);
    else void this.#handled(accepted);
  }

  /** Seals a message and hands it on after those sealed before. Returns undefined when it was accepted at once. */
  #pass(seal: () => Awaitable<Frame>, size: number): void | Promise<void> {
    let frame: Awaitable<Frame>;
    try {
      frame = seal();
    } catch (error) {
      frame = Promise.reject(error);
    }
    let accepted: void | Promise<void>;
    if (frame instanceof Uint8Array && !this.#handing && !this.#queue.length) accepted = this.#hand(frame);
    else {
      accepted = new Promise((resolve, reject) =>
        this.#queue.push(
          Promise.resolve(frame),
          size,
          (sealed) => resolve(this.#hand(sealed)),
          (cause) => reject(new PubkeeperError('BREW_FAILED', 'A message cannot be encrypted.', {}, cause)),
        ),
      );
    }
    if (!accepted) return;
    const waiting = accepted;
    this.#waiting.add(waiting);
    const done = (): void => void this.#waiting.delete(waiting);
    waiting.then(done, done);
    return waiting;
  }

  #hand(frame: Frame): void | Promise<void> {
    this.#handing = true;
    try {
      return this.#carry(frame);
    } finally {
      this.#handing = false;
    }
  }

  #handled(accepted: void | Promise<void>): Promise<void> {
    if (!accepted) return DONE;
    accepted.catch(this.#failed);
    return accepted;
  }
}
