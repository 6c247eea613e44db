import { isIPv6 } from 'node:net';
import { isLoopback } from './upgrade.js';

/** For loopback the default limit does not hold: see `Limits.connectionsPerAddress`. */
const DEFAULT_LIMIT = 256;

/** How many connections there are from each address. */
export class AddressBook {
  readonly #limit: number | undefined;
  readonly #counts = new Map<string, number>();
  /** The addresses of which `isNews` has told. */
  readonly #told = new Set<string>();

  constructor(limit: number | undefined) {
    this.#limit = limit;
  }

  /** Counts a connection; returns a function that takes it off the count, to be called once. */
  enter(address: string): () => void {
    const key = keyOf(address);
    this.#counts.set(key, this.count(address) + 1);
    return () => {
      const left = this.#counts.get(key)! - 1;
      if (left <= this.limit(address) / 2) this.#told.delete(key);
      if (left) this.#counts.set(key, left);
      else this.#counts.delete(key);
    };
  }

  count(address: string): number {
    return this.#counts.get(keyOf(address)) ?? 0;
  }

  /** Whether an address with too many connections is told of for the first time since it had half as many as it may. */
  isNews(address: string): boolean {
    const { size } = this.#told;
    return this.#told.add(keyOf(address)).size > size;
  }

  /** How many connections an address may have. */
  limit(address: string): number {
    return this.#limit ?? (isLoopback(keyOf(address)) ? Infinity : DEFAULT_LIMIT);
  }
}

/** The key under which connections are counted together: an IPv4 address, also if written as IPv6, or an IPv6 /64, which one subscriber has. */
function keyOf(address: string): string {
  const plain = address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '').replace(/%.*$/, '');
  if (!isIPv6(plain) || plain === '::1') return plain;
  const [head = '', tail] = plain.split('::');
  const front = head ? head.split(':') : [];
  const back = tail ? tail.split(':') : [];
  const gap = tail === undefined ? 0 : 8 - front.length - back.length;
  return [...front, ...Array<string>(gap).fill('0'), ...back].slice(0, 4).join(':');
}
