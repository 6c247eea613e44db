import type { WebSocketConstructor, WebSocketLike } from '../src/core/connection.js';

// WebSockets within this process. Real sockets are tested elsewhere; this pair does what they cannot: every
// message arrives when the test says so, so that random interleavings can be replayed, a close can stay unanswered, and
// fake timers affect both ends.

/** The server's end of a socket. */
export class PairSocket implements WebSocketLike {
  binaryType = 'blob';
  protocol = '';
  readyState = 0;
  bufferedAmount = 0;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  /** What the client has sent, in order. */
  readonly sent: Uint8Array[] = [];
  /** The code with which the client began to close. */
  closedBy: number | undefined;

  constructor(
    readonly url: string,
    readonly offered: readonly string[],
    readonly network: Network,
  ) {}

  send(data: Uint8Array<ArrayBuffer>): void {
    if (this.readyState === 0) throw new Error('InvalidStateError');
    if (this.readyState !== 1) return;
    const copy = data.slice();
    this.sent.push(copy);
    this.network.received(this, copy);
  }

  close(code?: number): void {
    if (this.readyState > 1) return;
    this.readyState = 2;
    this.closedBy = code ?? 1005;
    if (this.network.answersClose) queueMicrotask(() => this.end(code ?? 1005));
  }

  /** Opens the socket. */
  open(protocol = this.offered[0]!): void {
    this.protocol = protocol;
    this.readyState = 1;
    this.onopen?.({} as never);
  }

  /** Delivers a message to the client. */
  deliver(data: Uint8Array | string): void {
    if (this.readyState !== 1) return;
    const message = typeof data === 'string' ? data : Uint8Array.from(data).buffer;
    this.onmessage?.({ data: message } as never);
  }

  /** Ends the socket, as a server or a broken cable does. */
  end(code = 1006, reason = ''): void {
    if (this.readyState === 3) return;
    const failed = this.readyState === 0;
    this.readyState = 3;
    if (failed) this.onerror?.({ message: 'refused' } as never);
    this.onclose?.({ code, reason } as never);
  }
}

/** All sockets of a test, with control over them. */
export class Network {
  readonly sockets: PairSocket[] = [];
  /** Whether a close is answered. */
  answersClose = true;
  /** Called for each new socket, before it opens. */
  onSocket: (socket: PairSocket) => void = () => undefined;
  /** Called with each message of a client. */
  received: (socket: PairSocket, data: Uint8Array) => void = () => undefined;

  readonly WebSocket: WebSocketConstructor;

  constructor() {
    const network = this; // eslint-disable-line @typescript-eslint/no-this-alias
    this.WebSocket = class extends PairSocket {
      constructor(url: string, protocols: string | string[] = []) {
        super(url, [protocols].flat(), network);
        network.sockets.push(this);
        network.onSocket(this);
      }
    };
  }

  /** The newest socket. */
  get last(): PairSocket {
    return this.sockets.at(-1)!;
  }
}
