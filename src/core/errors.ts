/**
 * Every code that a {@link PubkeeperError} can have. Codes are stable: compare codes, never messages.
 */
export type ErrorCode =
  /** a malformed topic, or a pattern where a topic belongs */
  | 'TOPIC_INVALID'
  /** a malformed topic pattern */
  | 'PATTERN_INVALID'
  /** not a UUID */
  | 'ID_INVALID'
  /** a brewer announces a key (or an epoch) of a wrong length, or one that is not in hex */
  | 'KEY_INVALID'
  /** a brewer announces a mode that this version cannot read */
  | 'CIPHER_UNKNOWN'
  /** a `brew` method got data that it cannot send; or a message is not JSON */
  | 'DATA_INVALID'
  /** an option or an argument that makes no sense */
  | 'OPTION_INVALID'
  /** not a control or relay packet */
  | 'PACKET_INVALID'
  /** more than control protocol 1.0 can carry */
  | 'PACKET_TOO_LONG'
  /** not a brew frame */
  | 'FRAME_INVALID'
  /** a pair was matched over a brew that this client does not have */
  | 'BREW_UNKNOWN'
  /** two brews of a client have one name */
  | 'BREW_DUPLICATE'
  /** a brew belongs to another client */
  | 'BREW_IN_USE'
  /** the details of a brew make no sense */
  | 'BREW_CONFIG_INVALID'
  /** a brew needs a package that is not installed: the message says which */
  | 'BREW_DEPENDENCY'
  /** a brew failed */
  | 'BREW_FAILED'
  /** more is brewed than the network takes */
  | 'BUFFER_FULL'
  /** a patron's callback threw, or its promise rejected */
  | 'CALLBACK_FAILED'
  /** a patron or brewer, or its id, is registered already */
  | 'REGISTERED_TWICE'
  /** the page may not connect there: `ws:` from `https:`, or by its content security policy */
  | 'CONNECT_BLOCKED'
  /** nobody answers, or the server that answers does not speak the protocol */
  | 'CONNECT_FAILED'
  /** an open connection ended */
  | 'CONNECTION_LOST'
  /** this side closed the connection */
  | 'CONNECTION_CLOSED'
  /** the server that answers offers no subprotocol of a Pubkeeper server */
  | 'SUBPROTOCOL_REFUSED'
  /** the token is refused, or a broker refuses the name and password that its brew was given */
  | 'UNAUTHORIZED'
  /** the token lacks the right for this topic, or a broker does not grant it to its brew */
  | 'FORBIDDEN'
  /** a limit of the server was exceeded */
  | 'LIMIT_EXCEEDED'
  /** the server broke the protocol */
  | 'PROTOCOL_ERROR'
  /** the server sent an ERROR packet that has no code of this list */
  | 'SERVER_ERROR'
  /** the port of the server is in use */
  | 'PORT_IN_USE'
  /** a server of a cluster needs packages that are not installed: the message says which */
  | 'CLUSTER_DEPENDENCY'
  /** a server of a cluster cannot open the registry */
  | 'CLUSTER_FAILED'
  /** something took longer than its timeout */
  | 'TIMEOUT'
  /** the `token` function threw, or did not return a text */
  | 'TOKEN_FAILED'
  /** a signal was aborted */
  | 'ABORTED';

/**
 * The only error class of this SDK. `code` is stable. `message` is a sentence that says what to do. `details` holds the
 * values that the sentence is about (never a token or a key), and `cause` the error that caused it, if there is one.
 */
export class PubkeeperError extends Error {
  /** What went wrong: one of a fixed list. */
  readonly code: ErrorCode;
  /** What the message is about, for programs; its keys depend on the code. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }

  /** `'PubkeeperError'`. A getter, since an assignment would throw where a page has frozen `Error.prototype`. */
  override get name(): string {
    return 'PubkeeperError';
  }
}

/** The error of an option, or of an argument, that makes no sense. */
export const optionInvalid = (message: string): PubkeeperError => new PubkeeperError('OPTION_INVALID', message);

/** The error of a `brew()` that is refused because too much is waiting already. */
export const bufferFull = (where: string, details: Readonly<Record<string, unknown>>): PubkeeperError =>
  new PubkeeperError('BUFFER_FULL', `More is brewed than ${where} takes: wait for the promises of brew(), or brew less.`, details);

/** Any thrown value as a {@link PubkeeperError}: unchanged if it is one, otherwise as the `cause` of a new one with this `code`. */
export const asPubkeeperError = (error: unknown, code: ErrorCode, message: string): PubkeeperError =>
  (error as Partial<PubkeeperError> | undefined)?.name === 'PubkeeperError' ? (error as PubkeeperError) : new PubkeeperError(code, message, {}, error);

/**
 * Calls `run`; what it throws, or rejects with, goes to `failed` and stops nothing else. For functions of an application: one that should return
 * nothing may be async.
 */
export async function guard(run: () => unknown, failed: (error: unknown) => void): Promise<void> {
  try {
    await run();
  } catch (error) {
    failed(error);
  }
}
