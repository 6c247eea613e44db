import { networkInterfaces } from 'node:os';
import { INSECURE_NAME } from './engines.js';

/** The origin of a plain-http page: the host name in its URL, and the address behind this name. */
export interface InsecureOrigin {
  readonly name: string;
  readonly address: string;
}

/** A name that the browsers are told to resolve to this machine: works with and without a network. */
export const byName: InsecureOrigin = { name: INSECURE_NAME, address: '127.0.0.1' };

/** This machine's own address in its network: what people type on a LAN. Undefined without a network. */
export const byAddress: InsecureOrigin | undefined = Object.values(networkInterfaces())
  .flat()
  .filter((entry) => entry?.family === 'IPv4' && !entry.internal)
  .map((entry) => ({ name: entry!.address, address: entry!.address }))[0];
