import type { Brew } from './brew.js';
import { Bundle } from './bundle.js';
import type { Sealer } from './ciphers/cipher.js';
import type { Awaitable } from './ciphers/engine.js';
import { cork } from './cork.js';
import { type Deferred, deferred } from './deferred.js';
import { bufferFull, PubkeeperError } from './errors.js';
import { OrderedQueue } from './order.js';

type Frame = Uint8Array<ArrayBuffer>;

/** How many bytes may wait for WebCrypto, which takes all that it is given. */
const MAX_SEALING = 16 * 1024 * 1024;

const DONE = /* @__PURE__ */ Promise.resolve();

/**
 * The way of one session's messages from a brewer to its brews: sealed, in order, and those of one tick in one frame
 * where the cipher has bundles.
 */
export class Outlet {
  readonly sealer: Sealer;
  /**
   * The brews of those who were matched in this session, each once, however many patrons read over it: what is still under way when it ends is
   * for them, since nobody else has its key. Replaced, never changed, so that it can be walked safely.
   */
  brews: readonly Brew[] = [];
  readonly #carry: (frame: Frame) => void | Promise<void>;
  readonly #failed: (error: unknown) => void;
  readonly #bundle = new Bundle();
  readonly #touch = cork(() => this.#leave());
  readonly #queue = new OrderedQueue();
  /** Frames that wait to be accepted. */
  readonly #waiting = new Set<Promise<void>>();
  /** A frame is being handed to the brews. Some of them deliver it within that call, to a callback that may brew. */
  #handing = false;
  /** What those wait for whose message is in the bundle. */
  #boarding: Deferred | undefined;

  /**
   * @param carry hands a frame to the brews; returns nothing when they took it at once
   * @param failed told of what could not be sent; the promises that are given never reject unhandled
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
    if (this.#bundle.hasRoomFor(message)) this.#bundle.add(message);
    else this.#leave(message);
    this.#touch();
    // As long as nothing is in the way the bytes are accepted already: they leave at the end of the tick.
    if (!this.#waiting.size) return DONE;
    if (!this.#boarding) void this.#handled((this.#boarding = deferred()).promise);
    return this.#boarding!.promise;
  }

  /** Sends what was gathered now; resolves when all that was sent is accepted. Nothing when that is so already. */
  flush(): Promise<void> | undefined {
    this.#leave();
    if (!this.#waiting.size) return;
    return Promise.allSettled(this.#waiting).then(() => undefined);
  }

  /** Sends what was gathered now; resolves when the brews have been given all. Nothing when that is so already. */
  leave(): Promise<void> | undefined {
    this.#leave();
    if (this.#queue.length) return new Promise((resolve) => this.#queue.push(undefined, 0, resolve, () => resolve()));
  }

  /** `next`: what there is no room for. It is in line before anybody hears what leaves, and brews something. */
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

  /** Seals, and carries behind what was sealed before; nothing is returned when it was accepted at once. */
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
