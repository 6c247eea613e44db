import { bearsIdentity, blankFrame, brewerKey } from '../../core/frame.js';
import { after, cancel, type Timer } from '../../core/host.js';
import { sameBytes } from './small.js';

/** Takes a frame; see `PatronPair.receive`. */
export type Receive = (frame: Uint8Array, retained?: boolean) => void;

/** One brewer that patrons of this client read through a relay. */
interface Route {
  readonly key: number;
  readonly identity: Uint8Array;
  readonly receivers: Set<Receive>;
  /** The last frame that was received or published here, to give to a later patron. */
  last?: Uint8Array;
  /** The last frame from before the connection was lost, until the next frame comes: the relay repeats it to a client that joins again. */
  repeat?: Uint8Array | undefined;
  /** The brewer, if it has published here, and nowhere else since. If it has no pairs here any more, it brews in another client, or soon will. */
  own?: { readonly pairs: number } | undefined;
}

/** A frame that arrived before this client was told of its brewer. */
interface Held {
  readonly frame: Uint8Array;
  readonly retained: boolean | undefined;
  readonly timer: Timer;
  /** The ids of the patrons that were given the frame: one of them that leaves and comes back may have had newer frames. */
  readonly given: string[];
}

/** How long such frames are held, in ms: the notification of their brewer follows soon. And how many bytes of them, counting an overhead for each. */
const HOLD_MS = 1000;
const MAX_HELD = 4 * 1024 * 1024;
const HELD_OVERHEAD = 64 * 1024;

/** Finds the patrons that a relay's frames are for. A relay knows only topics: the brewers of one topic are told apart here. */
export class Routes {
  /** By the first four bytes of the brewer's id; brewers that share them are in one list. */
  readonly #routes = new Map<number, Route[]>();
  /** Routes whose last frame is a view of the message that is being read. */
  readonly #fresh = new Set<Route>();
  readonly #held = new Set<Held>();
  #heldBytes = 0;
  readonly #lost: () => void;

  /** @param lost called for each frame that no patron has taken */
  constructor(lost: () => void) {
    this.#lost = lost;
  }

  /** Adds a patron, and gives it the frames that were held for it, or the last value, which the relay repeats only after a new JOIN. */
  add(identity: Uint8Array, receive: Receive, patronId: string): Route {
    const header = blankFrame(identity, 0);
    let route = this.#find(header);
    if (!route) {
      const key = brewerKey(header);
      route = { key, identity, receivers: new Set() };
      this.#routes.set(key, [...(this.#routes.get(key) ?? []), route]);
    }
    route.receivers.add(receive);
    let { last } = route;
    for (const { frame, retained, given } of this.#held) {
      if (!bearsIdentity(frame, identity) || given.includes(patronId)) continue;
      if (last === frame) last = undefined;
      else if (!last) route.last = frame;
      receive(frame, given.push(patronId) > 1 || retained);
    }
    if (last) receive(last, true);
    return route;
  }

  delete({ key, receivers }: Route, receive: Receive): void {
    receivers.delete(receive);
    if (receivers.size) return;
    const left = this.#routes.get(key)!.filter((other) => other.receivers !== receivers);
    if (left.length) this.#routes.set(key, left);
    else this.#routes.delete(key);
  }

  /** Gives a frame to the patrons of its brewer, or holds it for those that come. `own`: the brewer, if it published the frame here. */
  deliver(frame: Uint8Array, retained: boolean | undefined, own?: Route['own']): void {
    const route = this.#find(frame);
    if (!route) return void (own || this.#hold(frame, retained));
    if (own) route.own = own;
    else {
      // A relay's last value is the frame that came last, once more; or it is older than one published here, which was lost or is in transit.
      // Relays of protocol 1.0 do not mark last values: there, compare only after a lost connection, and go by `own` only while it has pairs.
      const known = retained ? route.last : route.repeat;
      route.repeat = undefined;
      if (retained === false) route.own = undefined;
      else if ((retained ? route.own : route.own?.pairs) || (known && sameBytes(known, frame))) return;
      this.#fresh.add(route);
    }
    route.last = frame;
    for (const receive of route.receivers) receive(frame, retained);
  }

  /**
   * Holds a frame that nobody reads for a moment: if this client has joined the topic already, the frames of a new brewer may arrive
   * before its notification.
   */
  #hold(frame: Uint8Array, retained: boolean | undefined): void {
    // The relay repeats a last value when the topic was left and joined again, or the connection was lost: hold it once.
    for (const held of this.#held) if (retained && sameBytes(held.frame, frame)) return;
    const held: Held = { frame: frame.slice(), retained, given: [], timer: after(HOLD_MS, () => this.#drop(held)) };
    this.#heldBytes += frame.length + HELD_OVERHEAD;
    for (const oldest of this.#held.add(held)) {
      if (this.#heldBytes <= MAX_HELD) break;
      this.#drop(oldest);
    }
  }

  /** The link has ended for good: nobody will take what is held. */
  end(): void {
    for (const held of this.#held) this.#drop(held);
  }

  #drop(held: Held): void {
    cancel(held.timer);
    this.#held.delete(held);
    this.#heldBytes -= held.frame.length + HELD_OVERHEAD;
    if (!held.given.length) this.#lost();
  }

  /** The WebSocket message was read: copies last frames that are less than half of it, and would keep all of it in memory. */
  release({ length }: Uint8Array): void {
    for (const route of this.#fresh) if (route.last!.length < length / 2) route.last = route.last!.slice();
    this.#fresh.clear();
  }

  /** The connection was lost. */
  interrupted(): void {
    for (const routes of this.#routes.values()) for (const route of routes) route.repeat = route.last;
  }

  #find(frame: Uint8Array): Route | undefined {
    return this.#routes.get(brewerKey(frame))?.find(({ identity }) => bearsIdentity(frame, identity));
  }
}
