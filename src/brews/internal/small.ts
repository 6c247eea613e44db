import { PubkeeperError } from '../../core/index.js';

// Small things that every brew needs.

/** What `attach` throws when the brew belongs to a client already. */
export const inUse = (kind: string): PubkeeperError =>
  new PubkeeperError('BREW_IN_USE', `This ${kind} belongs to another client: make one for each client.`);

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, index) => byte === b[index]);

/** One promise for both acceptances, or nothing if there is nothing to wait for. */
export function both(one: void | Promise<void>, other: void | Promise<void>): void | Promise<void> {
  if (!one || !other) return one ?? other;
  return Promise.all([one, other]).then(() => undefined);
}
