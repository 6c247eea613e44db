import type { BrewHost, PatronPair } from '../../core/index.js';
import { FRAME_HEADER, isFrame } from '../../core/frame.js';
import { utf8 } from '../../core/host.js';
import type { Place } from './broker-brew.js';
import type { BrokerLink } from './broker-link.js';
import { Joining } from './joining.js';
import type { Answer } from './recent.js';
import { once } from './once.js';
import { sameBytes } from './small.js';

// A brewer's answer to a patron that asks: messages of one byte of flags, then brew frames end to end, which tell their
// lengths themselves. Bit 0: they are a last value; bit 1: another message follows.

const RETAINED = 1;
const MORE = 2;
/** An answer is split when it grows longer, in bytes: brokers limit messages, often at 1 MiB. */
const MAX_PART = 512 * 1024;
const LENGTH_AT = 84;

export function encodeAnswers({ frames, retained }: Answer): Uint8Array[] {
  const parts: Uint8Array[][] = [[]];
  let size = 0;
  for (const frame of frames) {
    if (size + frame.length > MAX_PART && size) {
      parts.push([]);
      size = 0;
    }
    parts.at(-1)!.push(frame);
    size += frame.length;
  }
  return parts.map((part, index) => {
    const bytes = new Uint8Array(part.reduce((sum, { length }) => sum + length, 1));
    bytes[0] = (retained ? RETAINED : 0) | (index < parts.length - 1 ? MORE : 0);
    let at = 1;
    for (const frame of part) {
      bytes.set(frame, at);
      at += frame.length;
    }
    return bytes;
  });
}

/** The frames of an answer; undefined when it is none. */
export function decodeAnswer(bytes: Uint8Array): { frames: Uint8Array[]; retained: boolean; more: boolean } | undefined {
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
  return { frames, retained: (flags & RETAINED) !== 0, more: (flags & MORE) !== 0 };
}

export interface BrokerRouteOptions {
  readonly link: BrokerLink;
  readonly host: BrewHost;
  readonly place: Place;
  readonly separator: string;
  /** Its last patron has left. */
  ended(): void;
}

/** One brewer as the patrons of this client read it: one subscription, however many they are. */
export class BrokerRoute {
  readonly #options: BrokerRouteOptions;
  readonly #receivers = new Map<object, { readonly patronId: string; readonly receive: PatronPair['receive'] }>();
  readonly #undo: (() => void)[] = [];
  #joining: Joining | undefined;
  #last: Uint8Array | undefined;

  constructor(options: BrokerRouteOptions) {
    this.#options = options;
  }

  join(patronId: string, receive: PatronPair['receive']): () => void {
    const key = {};
    this.#receivers.set(key, { patronId, receive });
    if (this.#receivers.size === 1) this.#listen(patronId);
    else {
      // The answer goes to the first one; this tells the brewer that another has come, and reads what the first does.
      this.#options.link.say(this.#joinAddress, utf8(`${patronId}+`));
      if (this.#last) receive(this.#last, true);
    }
    return once(() => {
      this.#receivers.delete(key);
      if (this.#receivers.size) return;
      this.stop();
      this.#options.ended();
    });
  }

  stop(): void {
    this.#joining?.stop();
    for (const run of this.#undo.splice(0)) run();
  }

  #listen(patronId: string): void {
    const { link, place, separator, host } = this.#options;
    if (place.join) {
      const answers = link.listen(`${place.address}${separator}to${separator}${patronId}`, {
        message: (payload) => {
          const answer = decodeAnswer(payload);
          if (!answer) return host.dropped('malformed');
          this.#joining?.answer(answer.frames, answer.retained, answer.more);
        },
      });
      this.#undo.push(answers);
    }
    const frames = link.listen(place.address, {
      opening: () => {
        if (place.join) this.#join(patronId);
      },
      confirmed: () => this.#joining?.begin(),
      message: (payload, retained) => {
        if (!payload.length) return; // MQTT: a retained message was taken back
        if (this.#joining) this.#joining.live(payload, retained);
        else if (!retained || !this.#last || !sameBytes(this.#last, payload)) this.#deliver(payload, retained);
      },
    });
    this.#undo.push(frames);
  }

  /** @param asker to whom the answer goes, whether or not that patron is still here */
  #join(asker: string): void {
    this.#joining?.stop();
    const joining = new Joining({
      ask: () => this.#ask(asker),
      got: () => {
        const ids = [...this.#receivers.values()].map(({ patronId }) => patronId);
        for (const id of ids) this.#options.link.say(this.#joinAddress, utf8(`${id}+`));
      },
      deliver: (frame, retained) => this.#deliver(frame, retained),
      done: () => {
        if (this.#joining === joining) this.#joining = undefined;
      },
      last: this.#last,
    });
    this.#joining = joining;
  }

  #ask(patronId: string): void {
    const { link, place } = this.#options;
    if (place.join) link.say(this.#joinAddress, utf8(patronId));
  }

  get #joinAddress(): string {
    const { place, separator } = this.#options;
    return `${place.address}${separator}join`;
  }

  #deliver(frame: Uint8Array, retained: boolean): void {
    if (!isFrame(frame)) return this.#options.host.dropped('malformed');
    this.#last = frame;
    for (const { receive } of [...this.#receivers.values()]) receive(frame, retained);
  }
}
