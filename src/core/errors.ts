/**
 * Every code a {@link PubkeeperError} can bear. Codes are stable: switch on them, never on messages.
 */
export type ErrorCode =
  | 'TOPIC_INVALID'
  | 'PATTERN_INVALID'
  | 'ID_INVALID'
  | 'KEY_INVALID'
  | 'CIPHER_UNKNOWN'
  | 'DECRYPT_FAILED'
  | 'DATA_INVALID'
  | 'OPTION_INVALID'
  | 'PACKET_INVALID'
  | 'PACKET_TOO_LONG'
  | 'FRAME_INVALID'
  | 'BREW_UNKNOWN'
  | 'BREW_DUPLICATE'
  | 'BREW_IN_USE'
  | 'BREW_CONFIG_INVALID'
  | 'BREW_DEPENDENCY'
  | 'BREW_FAILED'
  | 'BUFFER_FULL'
  | 'CALLBACK_FAILED'
  | 'REGISTERED_TWICE'
  | 'CONNECT_BLOCKED'
  | 'CONNECT_FAILED'
  | 'CONNECTION_LOST'
  | 'CONNECTION_CLOSED'
  | 'SUBPROTOCOL_REFUSED'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'LIMIT_EXCEEDED'
  | 'PROTOCOL_ERROR'
  | 'SERVER_ERROR'
  | 'PORT_IN_USE'
  | 'CLUSTER_DEPENDENCY'
  | 'CLUSTER_FAILED'
  | 'TIMEOUT'
  | 'TOKEN_FAILED'
  | 'ABORTED';

/**
 * The only error class of this SDK. `code` is stable, `message` is a sentence that says what to do, `details` holds the
 * values the sentence is about (never a token or a key), `cause` what was caught underneath.
 */
export class PubkeeperError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'PubkeeperError';
    this.code = code;
    this.details = details;
  }
}

/** What was thrown, as a {@link PubkeeperError}: as it is when it is one already, else wrapped under `code`. */
export const asPubkeeperError = (error: unknown, code: ErrorCode, message: string): PubkeeperError =>
  error instanceof PubkeeperError ? error : new PubkeeperError(code, message, {}, error);
