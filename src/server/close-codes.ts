/**
 * The codes with which this server closes a WebSocket. "Again" says whether a client may come back by itself.
 *
 * | code | name | connection | when | again |
 * | --- | --- | --- | --- | --- |
 * | 1001 | `GOING_AWAY` | both | the server shuts down | yes, after a pause with jitter |
 * | 1002, 1007, 1008 | (by `ws`) | both | the bytes break the WebSocket protocol itself | yes |
 * | 1009 | `TOO_LONG` (also by `ws`) | both | a message is longer than `maxMessageBytes` | yes, without it |
 * | 4400 | `BAD_PACKET` | control | before authentication: anything but CLIENT_AUTHENTICATE, one of more than 64 KiB, or more before it is answered | no: the client is at fault |
 * | 4401 | `UNAUTHORIZED` | control | the token is not known, or not any more; an ERROR said so before | no; after a revocation once, since a client may have got a new one |
 * | 4403 | `TOKEN_EXPIRED` | control | the token has expired, or other rights were given to it | yes, with a valid token |
 * | 4408 | `AUTH_TIMEOUT` | control | no CLIENT_AUTHENTICATE within `authMs` (5 s), or the authenticator took longer | yes |
 * | 4413 | `SLOW_READER` | both | more bytes wait for this reader than the server keeps for one | yes |
 * | 4500 | `SERVER_FAULT` | control | a fault of the server, or a token whose key it does not know yet; it has logged which | yes |
 *
 * A connection that has been silent for 2.5 heartbeats is cut without a code (its other end sees 1006, if anything).
 */
export const CloseCode = {
  /** The server shuts down. */
  GOING_AWAY: 1001,
  /** A message is longer than `maxMessageBytes`. */
  TOO_LONG: 1009,
  /** Anything but CLIENT_AUTHENTICATE came first, a very long one, or more before it was answered. */
  BAD_PACKET: 4400,
  /** The token is not known, or not any more. */
  UNAUTHORIZED: 4401,
  /** The token has expired, or other rights were given to it. */
  TOKEN_EXPIRED: 4403,
  /** No token came in time, or none that was checked in time. */
  AUTH_TIMEOUT: 4408,
  /** Too much waits for this reader. */
  SLOW_READER: 4413,
  /** A fault of the server. */
  SERVER_FAULT: 4500,
} as const;
/** One of these numbers. */
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** The reason that is sent with `TOO_LONG`: it tells the sender of the message what to do. */
export const TOO_LONG = 'A message is longer than this server accepts (maxMessageBytes): send it in parts.';
