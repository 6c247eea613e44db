import { PubkeeperError } from './errors.js';

/**
 * The part of the WHATWG `WebSocket` that is used here. The browser's, Node's, and that of `ws` fit; so does anything
 * that an application passes as the option `WebSocket`.
 */
export interface WebSocketLike {
  /** Set to `'arraybuffer'` at once, so that messages arrive as `ArrayBuffer`s. */
  binaryType: string;
  /** The subprotocol that the server has picked; empty for none. */
  readonly protocol: string;
  /** 0 connecting, 1 open, 2 closing, 3 closed. */
  readonly readyState: number;
  /** How many bytes given to `send` have not left this process yet. */
  readonly bufferedAmount: number;
  /** Called when it is open. */
  onopen: ((event: never) => void) | null;
  /** Called with `{ data }` for each message. */
  onmessage: ((event: never) => void) | null;
  /** Called when something is wrong; with a `message`, if it says more. */
  onerror: ((event: never) => void) | null;
  /** Called once, with `{ code, reason }`, when it is over. */
  onclose: ((event: never) => void) | null;
  /** Sends a binary message. */
  send(data: Uint8Array<ArrayBuffer>): void;
  /** Closes it, with 1000 or a code from 3000 to 4999. */
  close(code?: number, reason?: string): void;
}

/** A constructor of {@link WebSocketLike}. */
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike;

/** Whether the other side closed the connection because of what it received, such as a message that is too long (RFC 6455, section 7.4). */
export const isRefusal = (code: number): boolean => code > 1001 && code !== 1005 && code !== 1006;

export const lost = (url: string, code: number, reason: string): PubkeeperError =>
  new PubkeeperError('CONNECTION_LOST', `${url} closed the connection (${code}${reason && `: ${reason}`}).`, {
    url,
    code,
    reason,
  });

export function unreachable(url: string, protocols: readonly string[], problem: unknown): PubkeeperError {
  // An implementation that checks the subprotocol itself, as `ws` does, says so only in its message.
  if (/subprotocol/i.test(String(problem))) return wrongProtocol(url, protocols, '');
  const why = problem ? ` (${String(problem)})` : '';
  return new PubkeeperError('CONNECT_FAILED', `Cannot connect to ${url}${why}: check that a Pubkeeper server runs there.`, { url });
}

export const wrongProtocol = (url: string, offered: readonly string[], chosen: string): PubkeeperError =>
  new PubkeeperError(
    'SUBPROTOCOL_REFUSED',
    `${url} speaks none of ${offered.join(', ')}${chosen && ` but ${chosen}`}: it is no Pubkeeper server of a known version.`,
    { url, offered, chosen },
  );

export const blocked = (url: string, cause?: unknown): PubkeeperError =>
  new PubkeeperError(
    'CONNECT_BLOCKED',
    `${url} may not be opened from here: an https page reaches wss:// only, and a page's policy must allow it.`,
    { url },
    cause,
  );
