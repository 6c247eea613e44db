import { bearsIdentity, brewerKey, FRAME_HEADER } from '../../core/frame.js';
import { sameBytes } from './small.js';

/** Takes a frame; see `PatronPair.receive`. */
export type Receive = (frame: Uint8Array, retained?: boolean) => void;

/** One brewer that patrons of this client read through a relay. */
interface Route {
  readonly key: number;
  readonly identity: Uint8Array;
  readonly receivers: Set<Receive>;
  /** The last frame that came or was published here, to give to a later patron. */
  last?: Uint8Array;
  /** That of before the connection was lost, until the next frame comes: the relay repeats it to who joins again. */
  repeat?: Uint8Array | undefined;
  /** Whether its brewer has published here. */
  own?: boolean;
}

/** Which patrons the frames of a relay are for. A relay knows topics only: the brewers of one are told apart here. */
export class Routes {
  /** By the first four bytes of the brewer's id; ids that share them stand in one list. */
  readonly #routes = new Map<number, Route[]>();
  /** Routes whose last frame is a view of the message that is being read. */
  readonly #fresh = new Set<Route>();

  add(identity: Uint8Array, receive: Receive): Route {
    const frame = new Uint8Array(FRAME_HEADER);
    frame.set(identity, 2);
    let route = this.#find(frame);
    if (!route) {
      const key = brewerKey(frame);
      route = { key, identity, receivers: new Set() };
      this.#routes.set(key, [...(this.#routes.get(key) ?? []), route]);
    }
    route.receivers.add(receive);
    return route;
  }

  /** False when it was not there any more. */
  delete(route: Route, receive: Receive): boolean {
    if (!route.receivers.delete(receive)) return false;
    if (!route.receivers.size) {
      const { key } = route;
      const left = this.#routes.get(key)!.filter((other) => other !== route);
      if (left.length) this.#routes.set(key, left);
      else this.#routes.delete(key);
    }
    return true;
  }

  /** Gives a frame to the patrons of its brewer. `isOwn`: it was published here. False when nobody reads that brewer. */
  deliver(frame: Uint8Array, retained: boolean | undefined, isOwn?: boolean): boolean {
    const route = this.#find(frame);
    if (!route) return false;
    const { repeat } = route;
    if (isOwn) route.own = isOwn;
    else {
      route.repeat = undefined;
      // Relays of protocol 1.0 do not say whether it is one that they kept. What is kept of a brewer that has published here
      // is older than that, since it was on its way.
      if (retained !== false && (route.own || (repeat && sameBytes(repeat, frame)))) return true;
      this.#fresh.add(route);
    }
    route.last = frame;
    for (const receive of route.receivers) receive(frame, retained);
    return true;
  }

  /** The message `bytes` was read: a last frame must not keep the whole of it alive. */
  release({ length }: Uint8Array): void {
    for (const route of this.#fresh) if (route.last && route.last.length < length / 2) route.last = route.last.slice();
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
