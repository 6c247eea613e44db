import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { type BrewHost, PubkeeperError } from '../../core/index.js';
import { cancel, type Timer, wait } from '../../core/host.js';
import { backoff } from '../../core/reconnect.js';
import { LengthPrefixed } from './length-prefixed.js';
import { type LocalAddress, placeOf } from './local-outlet.js';
import { sameBytes } from './small.js';
import { isOutOfFiles, MORE_FILES } from './socket-directory.js';

/** After this many failures in a row, the pair is reported as down, so that it can go on over another brew. */
const FAILURES = 3;

export interface LocalReaderOptions {
  readonly address: LocalAddress;
  readonly host: BrewHost;
  /** The longest frame, in bytes. */
  readonly limit: number;
  /** The `heard` of the reader that the pair had before this one. */
  readonly heard: Buffer | undefined;
  /** Whether the brewer repeats its last frame to each reader that connects. */
  readonly repeats: boolean;
  receive(frame: Uint8Array): void;
  /** Whether the brewer can be reached; told when that changes. */
  reachable(up: boolean): void;
}

/** The connection of one patron to the socket of one brewer. Reconnects by itself. */
export class LocalReader {
  readonly #options: LocalReaderOptions;
  #receive: LocalReaderOptions['receive'];
  #socket: Socket | undefined;
  #timer: Timer | undefined;
  #attempts = 0;
  #told = false;
  /** When the current connection opened. */
  #since: number | undefined;
  /** The last connection opened and then ended: now only a first frame, not an open connection, shows that the brewer is back. */
  #isSuspect = false;
  #stopped = false;
  #last: Uint8Array | undefined;
  #heard: Buffer | undefined;
  /** Connected again: the brewer may repeat its last value. */
  #returned = false;

  constructor(options: LocalReaderOptions) {
    this.#options = options;
    this.#receive = options.receive;
    if (options.repeats) this.#heard = options.heard;
    this.#dial();
  }

  /**
   * The digest of the last frame, for the pair's next reader: the brewer will repeat that frame. Undefined if the brewer has ended the
   * connection: another brewer may listen there next, and brew an equal frame.
   */
  get heard(): Buffer | undefined {
    if (this.#socket?.readyState !== 'open') return undefined;
    return this.#last ? digest(this.#last) : this.#heard;
  }

  /** Connects at once if it waits to try again. */
  wake(): void {
    if (this.#timer === undefined) return;
    cancel(this.#timer);
    this.#dial();
  }

  /** Delivers nothing more, unless `goOn` is called. */
  pause(): void {
    this.#stopped = true;
  }

  /** Goes on for the same pair when that begins again. Returns false if there is no suitable open connection to go on with. */
  goOn({ address, repeats, receive }: Pick<LocalReaderOptions, 'address' | 'repeats' | 'receive'>): boolean {
    const { address: former, repeats: repeated } = this.#options;
    if (this.#socket?.readyState !== 'open' || placeOf(address) !== placeOf(former) || repeats !== repeated) return false;
    this.#receive = receive;
    this.#stopped = false;
    return true;
  }

  stop(): void {
    this.#stopped = true;
    cancel(this.#timer);
    this.#socket?.destroy();
  }

  #dial(): void {
    this.#timer = undefined;
    const { address, limit } = this.#options;
    const frames = new LengthPrefixed(limit, (frame) => this.#received(frame));
    const socket = typeof address === 'string' ? connect(address) : connect(address[1], address[0]);
    this.#socket = socket;
    let error: PubkeeperError | undefined;
    this.#since = undefined;
    socket.on('connect', () => {
      this.#since = performance.now();
      this.#returned = this.#options.repeats && this.#last !== undefined;
      if (!this.#isSuspect) this.#recovered();
    });
    socket.on('data', (chunk) => {
      try {
        // A plain view: unencrypted data reaches the application as it is, and a Buffer behaves differently from a Uint8Array.
        frames.push(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
        this.#attempts = 0;
        this.#recovered();
      } catch (cause) {
        error = cause as PubkeeperError;
        socket.destroy();
      }
    });
    socket.on('error', (cause) => (error = unreachable(address, cause)));
    socket.on('close', () => this.#ended(error));
  }

  #received(frame: Uint8Array): void {
    if (this.#stopped) return;
    const repeated = (this.#returned && sameBytes(frame, this.#last!)) || this.#heard?.equals(digest(frame));
    this.#returned = false;
    this.#heard = undefined;
    this.#last = frame;
    if (repeated) return;
    this.#receive(frame);
  }

  #recovered(): void {
    if (this.#told) this.#options.reachable(true);
    this.#told = false;
  }

  #ended(error: PubkeeperError | undefined): void {
    if (this.#stopped) return;
    const { address, host, reachable } = this.#options;
    this.#isSuspect = this.#since !== undefined;
    if (performance.now() - (this.#since ?? Infinity) >= host.reconnect.stableMs) this.#attempts = 0;
    const waitMs = backoff(this.#attempts++, host.reconnect);
    if (!this.#told && (this.#attempts >= FAILURES || error?.code === 'FRAME_INVALID')) {
      this.#told = true;
      host.report(error ?? hungUp(address));
      reachable(false);
    }
    this.#timer = wait(waitMs, () => this.#dial());
  }
}

const digest = (frame: Uint8Array): Buffer => createHash('sha256').update(frame).digest();

const hungUp = (address: LocalAddress): PubkeeperError =>
  new PubkeeperError(
    'CONNECTION_LOST',
    `Whoever listens at ${placeOf(address)} ends each connection: check that it is the local brewer still, and that not too many connect to it.`,
    { address },
  );

function unreachable(address: LocalAddress, cause: NodeJS.ErrnoException): PubkeeperError {
  const hint =
    cause.code === 'EACCES'
      ? 'it belongs to another user'
      : isOutOfFiles(cause)
        ? `${cause.code!}: ${MORE_FILES}`
        : `${cause.code ?? cause.message}: the brewer is gone, or its file system is not this one's`;
  return new PubkeeperError('CONNECT_FAILED', `Cannot read the local brewer at ${placeOf(address)} (${hint}).`, { address }, cause);
}
