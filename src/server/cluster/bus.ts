/** Carries messages to the other servers, under subjects, as core NATS does. What is sent while it is down is lost. */
export interface Bus {
  readonly isUp: boolean;
  /** How long a message may be, in bytes. */
  readonly maxMessage: number;
  /** Whether `length` more bytes may wait to be sent: never while it is down. */
  fits(length: number): boolean;
  /** `answerTo`: the subject under which NATS reports it if nobody has subscribed to this one. */
  publish(subject: string, message: Uint8Array, answerTo?: string): void;
  /** Subscribes, also across interruptions; returns a function that unsubscribes. */
  subscribe(subject: string, receive: Receive): () => void;
}

/** `isNobody`: this is not a message, but the report that a message of this server has reached nobody. */
export type Receive = (subject: string, message: Uint8Array, isNobody: boolean) => void;

/** A stand-in for a bus that is made later: each call looks it up. */
export const busOf = (bus: () => Bus): Bus => ({
  get isUp() {
    return bus().isUp;
  },
  get maxMessage() {
    return bus().maxMessage;
  },
  fits: (length) => bus().fits(length),
  publish: (subject, message, answerTo) => bus().publish(subject, message, answerTo),
  subscribe: (subject, receive) => bus().subscribe(subject, receive),
});
