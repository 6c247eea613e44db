// Listens between transport and decryption, so that the page can show the encrypted frame beside the message.

/** The length of a brew frame's header, and the offsets of fields in it (protocol, section 3; sealed mode uses spare bytes). */
const HEADER = 88;
const SEALED_AT = 50;
const FLAGS_AT = 51;
const EPOCH_AT = 54;
const SEQUENCE_AT = 62;
/** How many frames of one brewer may wait for their message. Frames that are dropped before decryption are never asked for. */
const WAITING = 256;
/** How many bytes may wait in all: anybody who reaches the relay may send large frames that cannot be decrypted. */
const BYTES = 16 * 1024 * 1024;

/** @typedef {{ frame: Uint8Array, sequence: number | undefined }} Tapped */

/** A WebSocketBrew that remembers the frames whose messages have not been delivered yet. */
export class TapBrew extends Pubkeeper.WebSocketBrew {
  /** @type {Map<string, Tapped[]>} */
  #waiting = new Map();
  #bytes = 0;

  /** @override @param {import('pubkeeper').PatronPair} pair */
  startPatron(pair) {
    const stop = super.startPatron({
      ...pair,
      receive: (frame, retained) => {
        this.#push(pair.brewerId, frame);
        pair.receive(frame, retained);
      },
    });
    return () => {
      const waiting = this.#waiting.get(pair.brewerId);
      if (waiting) this.#forget(waiting, waiting.length);
      this.#waiting.delete(pair.brewerId);
      stop();
    };
  }

  /**
   * Finds the frame that carried a message. Messages of one brewer come in the order of their frames; numbered messages are found by
   * number, others by length.
   * @param {import('pubkeeper').Message} message
   * @returns {{ frame: Uint8Array | undefined, cipher: string }}
   */
  take(message) {
    const waiting = this.#waiting.get(message.brewerId) ?? [];
    const at = waiting.findLastIndex(({ frame, sequence }) => bears(message, frame, sequence));
    const exact = message.sequence === undefined ? waiting.findIndex(({ frame, sequence }) => bears(message, frame, sequence)) : at;
    const found = waiting[exact];
    // The frames before it were dropped. A bundle holds several messages, and stays for the next one.
    if (exact > 0) this.#forget(waiting, exact);
    if (message.sequence === undefined && found) this.#forget(waiting, 1);
    return { frame: found?.frame, cipher: found ? cipherOf(message, found.frame) : 'unknown' };
  }

  /** @param {string} brewerId @param {Uint8Array} frame */
  #push(brewerId, frame) {
    let waiting = this.#waiting.get(brewerId);
    if (!waiting) this.#waiting.set(brewerId, (waiting = []));
    waiting.push({ frame, sequence: sequenceOf(frame) });
    this.#bytes += frame.length;
    if (waiting.length > WAITING) this.#forget(waiting, 1);
    // Forget frames of the same brewer first, so that one brewer does not push out the frames of others.
    while (this.#bytes > BYTES && waiting.length > 1) this.#forget(waiting, 1);
    for (const other of this.#waiting.values()) {
      if (this.#bytes <= BYTES) return;
      if (other !== waiting) this.#forget(other, other.length);
    }
  }

  /** Forgets the frames that came first. @param {Tapped[]} waiting @param {number} count */
  #forget(waiting, count) {
    for (const { frame } of waiting.splice(0, count)) this.#bytes -= frame.length;
  }
}

/** @param {import('pubkeeper').Message} message @param {Uint8Array} frame @param {number | undefined} sequence */
function bears(message, frame, sequence) {
  if (message.sequence !== undefined) return sequence !== undefined && sequence <= message.sequence;
  if (sequence !== undefined) return false;
  const length = frame.length - HEADER;
  // Plaintext as it is, or AES-CBC: an IV, and padding of 1 to 16 bytes.
  return length === message.data.length || length === 32 + (message.data.length & ~15);
}

/** @param {import('pubkeeper').Message} message @param {Uint8Array} frame */
function cipherOf(message, frame) {
  if (frame[SEALED_AT] === 1) return 'AES-GCM';
  return frame.length - HEADER === message.data.length ? 'plaintext' : 'AES-CBC';
}

/** @param {Uint8Array} frame */
function sequenceOf(frame) {
  if (frame.length < HEADER || frame[SEALED_AT] !== 1) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  return view.getUint32(SEQUENCE_AT, true) + view.getUint32(SEQUENCE_AT + 4, true) * 2 ** 32;
}

/** The parts of a frame, for showing. @param {Uint8Array} frame */
export function frameParts(frame) {
  const hex = (/** @type {number} */ from, /** @type {number} */ to) =>
    Array.from(frame.subarray(from, to), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return {
    topicHash: hex(2, 34),
    brewerId: hex(34, 50),
    epoch: frame[SEALED_AT] === 1 ? hex(EPOCH_AT, EPOCH_AT + 8) : undefined,
    sequence: sequenceOf(frame),
    /** Whether the frame holds several messages, which were sealed together because they waited together. */
    bundle: frame[SEALED_AT] === 1 && ((frame[FLAGS_AT] ?? 0) & 1) === 1,
    payload: frame.subarray(HEADER),
  };
}
