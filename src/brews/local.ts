import { createHash } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import { isAbsolute } from 'node:path';
import { type Brew, type BrewDetails, type BrewerPair, type BrewHost, type PatronPair, PubkeeperError } from '../core/index.js';
import { asPubkeeperError } from '../core/errors.js';
import { FRAME_HEADER } from '../core/frame.js';
import { show } from '../core/id.js';
import { failover } from './internal/failover.js';
import { type LocalAddress, LocalOutlet } from './internal/local-outlet.js';
import { LocalReader, type LocalReaderOptions } from './internal/local-reader.js';
import { once } from './internal/once.js';
import { checkLastValue, checkName, givenOptions, invalidOption } from './internal/options.js';
import { inUse } from './internal/small.js';
import { defaultDirectory, isThere, makeRoom, prepareDirectory, socketPath } from './internal/socket-directory.js';

/** The options of a {@link LocalBrew}. */
export interface LocalBrewOptions {
  /** The name of the brew: only processes with the same name are matched. Default: `local-` and the host's node id (see {@link localName}). */
  readonly name?: string | undefined;
  /**
   * The directory for socket files, as an absolute path; it is created for this user alone (0700), so patrons of other users cannot read
   * from it. Default: `pubkeeper` in `$XDG_RUNTIME_DIR`, else `pubkeeper-<uid>` in the directory for temporary files.
   */
  readonly directory?: string | undefined;
  /**
   * Default `'unix'`; on Windows `'tcp'`: a port of 127.0.0.1, which every user of this host can connect to. With either, a brewer accepts
   * 256 connections more than it has patrons; it rejects further ones, and reports that (`BREW_FAILED`).
   */
  readonly transport?: 'unix' | 'tcp' | undefined;
  /** The longest payload that a patron accepts, in bytes. Default 1 MiB. */
  readonly maxPayload?: number | undefined;
  /**
   * Whether a patron that comes later first gets the brewer's last frame. Default true. `message.retained` is false for it, because the
   * protocol (section 5) does not mark last values. So a patron that connects again skips a first frame that equals its last one; with
   * `false` it skips nothing.
   */
  readonly lastValue?: boolean | undefined;
}

/** How much a cipher may add to a payload, in bytes. */
const CIPHER_OVERHEAD = 32;
/** For how many pairs that have ended the digest of the last frame is kept. */
const MAX_HEARD = 1024;

/** Carries data between processes of one host (protocol, section 5): each brewer has a socket, and patrons connect to it. Node only. */
export class LocalBrew implements Brew {
  readonly name: string;
  readonly #options: LocalBrewOptions;
  readonly #limit: number;
  /** Whether brewers repeat their last frame to new readers. If not, their details say so: then a frame that equals the last one is a new one. */
  readonly #keeps: boolean;
  readonly #outlets = new Map<string, Promise<LocalOutlet>>();
  /** By brewer id, resolves when an ended brewer does not listen any more: a brewer with the same id will listen at the same path. */
  readonly #ending = new Map<string, Promise<void>>();
  /** For each ended brewer, resolves when what was accepted for it has left. */
  readonly #leftover = new Set<Promise<void>>();
  /** Those of `#outlets` that listen already. */
  readonly #open = new Map<string, LocalOutlet>();
  readonly #readers = new Set<LocalReader>();
  /** Readers of pairs that have ended in this tick. One goes on if its pair begins again in it: frames between two connections would be lost. */
  readonly #leaving = new Map<string, LocalReader>();
  /** The digest of the last frame of each pair that has ended, oldest first: if the pair soon begins again, the brewer repeats that frame. */
  readonly #heard = new Map<string, Buffer>();
  #host: BrewHost | undefined;
  #prepared: Promise<void> | undefined;

  /** @throws {PubkeeperError} `OPTION_INVALID` */
  constructor(given?: LocalBrewOptions | null) {
    const options = givenOptions('LocalBrew', "{ directory: '/run/me' }", given);
    const { name, directory, transport, maxPayload = 1024 * 1024, lastValue = true } = options;
    if (name !== undefined) checkName('LocalBrew', name);
    if (directory !== undefined && (typeof directory !== 'string' || !isAbsolute(directory))) {
      throw invalidOption('LocalBrew', 'directory must be an absolute path', directory);
    }
    if (transport !== undefined && transport !== 'unix' && transport !== 'tcp') {
      throw invalidOption('LocalBrew', "transport must be 'unix' or 'tcp'", transport);
    }
    checkLastValue('LocalBrew', lastValue);
    if (!Number.isInteger(maxPayload) || maxPayload < 1) throw invalidOption('LocalBrew', 'maxPayload must be a number of bytes', maxPayload);
    this.name = name ?? localName();
    this.#options = options;
    this.#keeps = lastValue;
    this.#limit = FRAME_HEADER + CIPHER_OVERHEAD + maxPayload;
  }

  /** @internal */
  readonly failover = failover;

  attach(host: BrewHost): void {
    if (this.#host) throw inUse('LocalBrew');
    this.#host = host;
  }

  /** Starts to listen. When that fails, the brewer is registered without this brew, and the error is reported. */
  async brewerDetails({ brewerId }: Parameters<Brew['brewerDetails']>[0]): Promise<BrewDetails | undefined> {
    let outlet = this.#outlets.get(brewerId);
    if (!outlet) this.#outlets.set(brewerId, (outlet = this.#listen(brewerId)));
    try {
      const listening = await outlet;
      if (this.#outlets.get(brewerId) === outlet) this.#open.set(brewerId, listening);
      return { name: this.name, sock: listening.address, ...(!this.#keeps && { last: false }) };
    } catch (error) {
      if (this.#outlets.get(brewerId) === outlet) this.#outlets.delete(brewerId);
      this.#host!.report(asPubkeeperError(error, 'BREW_FAILED', 'A LocalBrew cannot listen.'));
      return undefined;
    }
  }

  patronDetails(): BrewDetails {
    return { name: this.name };
  }

  startBrewer({ brewerId, patronId, missed, accepting }: BrewerPair): () => void {
    const outlet = this.#open.get(brewerId);
    if (!outlet) {
      throw new PubkeeperError('BREW_FAILED', `The brewer ${brewerId} does not listen for local patrons.`, { brewerId });
    }
    const accepted = outlet.start(patronId, missed);
    if (accepted) accepting?.(accepted);
    return once(() => outlet.stop(patronId));
  }

  startPatron({ details, receive, brewerId, patronId }: PatronPair): () => void {
    const pair = `${brewerId}:${patronId}`;
    const given = { address: readAddress(details.sock), repeats: details.last !== false, receive };
    const reader =
      this.#goOn(pair, given) ??
      new LocalReader({
        ...given,
        host: this.#host!,
        limit: this.#limit,
        heard: this.#heard.get(pair),
        reachable: (up) => this.#host!.state?.(this.name, up, { brewerId, patronId }),
      });
    this.#readers.add(reader);
    return once(() => {
      if (!this.#readers.delete(reader)) return;
      reader.pause();
      this.#leaving.set(pair, reader);
      queueMicrotask(() => this.#end(pair, reader));
    });
  }

  brew(brewerId: string, frame: Uint8Array): void | Promise<void> {
    return this.#open.get(brewerId)?.write(frame);
  }

  endBrewer(brewerId: string): void {
    const outlet = this.#outlets.get(brewerId);
    this.#outlets.delete(brewerId);
    this.#open.delete(brewerId);
    if (!outlet) return;
    // Do not wait until its readers have gone: only the path must be free.
    const ended = outlet.then((listening) => this.#finish(listening), () => undefined).then(() => {
      if (this.#ending.get(brewerId) === ended) this.#ending.delete(brewerId);
    });
    this.#ending.set(brewerId, ended);
  }

  wake(): void {
    for (const reader of this.#readers) reader.wake();
  }

  async close(): Promise<void> {
    for (const brewerId of this.#outlets.keys()) this.endBrewer(brewerId);
    for (const reader of this.#readers) reader.stop();
    this.#readers.clear();
    // Before `#heard` is cleared: otherwise what these readers heard would still be known in the next session.
    for (const [pair, reader] of this.#leaving) this.#end(pair, reader);
    this.#heard.clear();
    await Promise.all(this.#ending.values());
    await Promise.all(this.#leftover);
  }

  #finish(outlet: LocalOutlet): void {
    const finished = outlet.close().then(() => void this.#leftover.delete(finished));
    this.#leftover.add(finished);
  }

  /** The reader that this pair had earlier in this tick, if it can go on. */
  #goOn(pair: string, given: Pick<LocalReaderOptions, 'address' | 'repeats' | 'receive'>): LocalReader | undefined {
    const reader = this.#leaving.get(pair);
    if (!reader?.goOn(given)) {
      if (reader) this.#end(pair, reader);
      return undefined;
    }
    this.#leaving.delete(pair);
    return reader;
  }

  /** Ends a reader, unless it has gone on or ended already. */
  #end(pair: string, reader: LocalReader): void {
    if (this.#leaving.get(pair) !== reader) return;
    this.#leaving.delete(pair);
    const { heard } = reader;
    reader.stop();
    this.#heard.delete(pair);
    if (heard) this.#heard.set(pair, heard);
    if (this.#heard.size > MAX_HEARD) this.#heard.delete(this.#heard.keys().next().value!);
  }

  async #listen(brewerId: string): Promise<LocalOutlet> {
    const { transport = process.platform === 'win32' ? 'tcp' : 'unix' } = this.#options;
    const lastValue = this.#keeps;
    const report = (error: PubkeeperError): void => this.#host!.report(error);
    const former = this.#ending.get(brewerId);
    if (transport === 'tcp') return LocalOutlet.listen(undefined, lastValue, report);
    const { directory = defaultDirectory() } = this.#options;
    // The directory may have been removed, with its login session or by a clean-up of temporary files: then make it again.
    if (this.#prepared && !(await isThere(directory))) this.#prepared = undefined;
    await (this.#prepared ??= prepareDirectory(directory)).catch((error: unknown) => {
      this.#prepared = undefined; // try again next time
      throw error;
    });
    const path = socketPath(directory, brewerId);
    await former;
    await makeRoom(path);
    return LocalOutlet.listen(path, lastValue, report);
  }
}

/**
 * `local-` and a number that identifies this host, the same in all its processes: the MAC address of its first network
 * interface with a universally administered one, else of the first with any, else a number made from the host's name.
 */
export function localName(): string {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, mac }) => !internal && mac !== '00:00:00:00:00:00')
    .map(({ mac }) => BigInt(`0x${mac.replaceAll(':', '')}`));
  // Bit 41 of a MAC says that it was chosen locally.
  const universal = addresses.find((mac) => !(mac & (1n << 41n)));
  return `local-${universal ?? addresses[0] ?? hostNumber()}`;
}

/** 48 bits with the multicast bit, which no interface has (RFC 9562, section 6.10). */
const hostNumber = (): bigint =>
  BigInt(`0x${createHash('sha256').update(hostname()).digest('hex').slice(0, 12)}`) | (1n << 40n);

/** On Windows only a pipe of this host: other absolute paths may lead to another host, to which Windows would give its user's credentials. */
const isOwnPath = (path: string): boolean => (process.platform === 'win32' ? /^\\\\[.?]\\pipe\\[^\\/]+$/.test(path) : isAbsolute(path));

/** Reads an address that comes from the network: only a path or a port of this host may be connected to. */
function readAddress(sock: unknown): LocalAddress {
  if (typeof sock === 'string' && isOwnPath(sock) && !sock.includes('\0') && Buffer.byteLength(sock) <= 107) return sock;
  if (Array.isArray(sock) && sock.length === 2) {
    const [host, port] = sock as unknown[];
    const loopback = typeof host === 'string' && /^(127(\.\d{1,3}){3}|::1|localhost)$/.test(host);
    if (loopback && typeof port === 'number' && Number.isInteger(port) && port > 0 && port < 65536) return [host, port];
  }
  throw new PubkeeperError(
    'BREW_CONFIG_INVALID',
    `A local brewer must name a socket path or a loopback address [host, port], not ${show(JSON.stringify(sock))}.`,
    { sock },
  );
}
