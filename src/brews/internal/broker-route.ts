import type { BrewHost, PatronPair } from '../../core/index.js';
import { FRAME_HEADER, isFrame } from '../../core/frame.js';
import { utf8 } from '../../core/host.js';
import type { Place } from './broker-way.js';
import type { BrokerLink } from './broker-link.js';
import { type Answered, Joining } from './joining.js';
import type { Answer } from './recent.js';
import { once } from './once.js';

// A brewer's answer to a patron that asks: messages of one byte of flags, then brew frames end to end, which tell their
// lengths themselves. Bit 0: the frames are a last value; bit 1: another message follows; bit 2: sent unasked, to a patron that
// had asked before the brewer knew of the match: the patron takes it even if it has had an answer.

const RETAINED = 1;
const MORE = 2;
const UNASKED = 4;
/**
 * An answer of several frames that is longer than this, in bytes, is split: brokers limit the length of a message, some of them to
 * 64 KiB, and end the connection over a longer one.
 */
export const MAX_PART = 60_000;
const LENGTH_AT = 84;

/** @param most how long a message may be, in bytes */
export function encodeAnswers({ frames, retained }: Answer, unasked = false, most = Infinity): Uint8Array[] {
  const parts: Uint8Array[][] = [[]];
  let size = 0;
  for (const frame of frames) {
    if (size && size + frame.length > Math.min(MAX_PART, most - 1)) {
      parts.push([]);
      size = 0;
    }
    parts.at(-1)!.push(frame);
    size += frame.length;
  }
  return parts.map((part, index) => {
    const bytes = new Uint8Array(part.reduce((sum, { length }) => sum + length, 1));
    bytes[0] = (retained ? RETAINED : 0) | (index < parts.length - 1 ? MORE : 0) | (unasked ? UNASKED : 0);
    let at = 1;
    for (const frame of part) {
      bytes.set(frame, at);
      at += frame.length;
    }
    return bytes;
  });
}

/** Decodes an answer; undefined if the bytes are not one. */
export function decodeAnswer(bytes: Uint8Array): Answered | undefined {
  const frames: Uint8Array[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 1;
  while (at < bytes.length) {
    if (bytes.length - at < FRAME_HEADER) return undefined;
    const end = at + FRAME_HEADER + view.getUint32(at + LENGTH_AT, true);
    const frame = bytes.subarray(at, end);
    if (end > bytes.length || !isFrame(frame)) return undefined;
    frames.push(frame);
    at = end;
  }
  const flags = bytes[0] ?? 0;
  return { frames, retained: (flags & RETAINED) !== 0, more: (flags & MORE) !== 0, unasked: (flags & UNASKED) !== 0 };
}

export interface BrokerRouteOptions {
  readonly link: BrokerLink;
  readonly host: BrewHost;
  readonly place: Place;
  readonly separator: string;
  /** Called when the route's last patron has left. */
  ended(): void;
}

interface Reader {
  readonly patronId: string;
  readonly receive: PatronPair['receive'];
  joining: Joining;
}

/** One brewer that patrons of this client read: they share one subscription, but each asks for itself. */
export class BrokerRoute {
  readonly #options: BrokerRouteOptions;
  /** The patrons, each with the function that ends the subscription to its answers. */
  readonly #readers = new Map<Reader, (() => void) | undefined>();
  #isConfirmed = false;
  /** When the subscription was last asked for, as `performance.now()`. */
  #asked = 0;
  /** How long the broker then took to confirm that, in ms. */
  #took = 0;
  #leave: (() => void) | undefined;

  constructor(options: BrokerRouteOptions) {
    this.#options = options;
  }

  get address(): string {
    return this.#options.place.address;
  }

  join(patronId: string, receive: PatronPair['receive']): () => void {
    const { place } = this.#options;
    const [first] = this.#readers.keys();
    const guarded: PatronPair['receive'] = (frame, retained) => {
      if (this.#readers.has(reader)) receive(frame, retained);
    };
    const reader: Reader = { patronId, receive: guarded, joining: this.#joining(patronId, guarded) };
    // Subscribe to the answers before the frames: once the frames are confirmed, the patron asks, and must hear the answer.
    this.#readers.set(reader, this.#hear(reader));
    if (!first) this.#leave = this.#listen();
    // The broker gives its last value only once per subscription: a later patron gets it from here.
    else if (place.kept && first.joining.last) reader.joining.live(first.joining.last, true);
    if (this.#isConfirmed) this.#begin(reader);
    return once(() => {
      this.#end(reader);
      if (this.#readers.size) return;
      this.stop();
      this.#options.ended();
    });
  }

  /** The server has announced this brewer's pairs again. */
  again(): void {
    if (this.#options.place.join) for (const { joining } of this.#readers.keys()) joining.again();
  }

  stop(): void {
    for (const reader of [...this.#readers.keys()]) this.#end(reader);
    this.#leave?.();
  }

  #end(reader: Reader): void {
    reader.joining.stop();
    this.#readers.get(reader)?.();
    this.#readers.delete(reader);
  }

  #hear(reader: Reader): (() => void) | undefined {
    const { link, host, place, separator } = this.#options;
    if (!place.join) return undefined;
    return link.listen(`${place.address}${separator}to${separator}${reader.patronId}`, {
      message: (payload) => {
        const answer = decodeAnswer(payload);
        if (answer) reader.joining.answer(answer);
        else host.dropped('malformed');
      },
    });
  }

  #listen(): () => void {
    const { link, host, place } = this.#options;
    return link.listen(place.address, {
      opening: () => {
        this.#isConfirmed = false;
        this.#asked = performance.now();
        for (const reader of this.#readers.keys()) {
          // One that still waits for its answer goes on: if it gave up, it would take older frames, which the brewer has for it, for known ones.
          if (!reader.joining.flows) continue;
          reader.joining.stop();
          reader.joining = this.#joining(reader.patronId, reader.receive, reader.joining.last);
        }
      },
      lost: () => {
        this.#isConfirmed = false;
        for (const { joining } of this.#readers.keys()) joining.interrupt();
      },
      confirmed: () => {
        this.#isConfirmed = true;
        this.#took = performance.now() - this.#asked;
        for (const reader of this.#readers.keys()) this.#begin(reader);
      },
      message: (payload, retained) => {
        if (!payload.length) return; // MQTT: the retained message was deleted
        if (!isFrame(payload)) return host.dropped('malformed');
        for (const { joining } of [...this.#readers.keys()]) joining.live(payload, retained);
      },
    });
  }

  #begin({ joining }: Reader): void {
    if (this.#options.place.join) joining.begin(this.#took);
    else joining.flow();
  }

  #joining(patronId: string, deliver: PatronPair['receive'], last?: Uint8Array): Joining {
    const { link, place, separator } = this.#options;
    const say = (what: string): void => link.say(`${place.address}${separator}join`, utf8(what));
    return new Joining({ ask: () => say(patronId), got: () => say(`${patronId}+`), deliver, last });
  }
}
