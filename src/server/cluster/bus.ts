/** A way to the other servers: messages under subjects, as core NATS has them. What is sent while it is down is lost. */
export interface Bus {
  readonly isUp: boolean;
  /** How long a message may be, in bytes. */
  readonly maxMessage: number;
  /** Whether so many bytes more may wait to be sent: none while it is down. */
  fits(length: number): boolean;
  /** `answerTo`: the subject under which it is said that nobody has subscribed to this one, if that is so. */
  publish(subject: string, message: Uint8Array, answerTo?: string): void;
  /** Returns what ends it. Comes back by itself after an interruption. */
  subscribe(subject: string, receive: Receive): () => void;
}

/** `isNobody`: it is not a message, but the word that one of ours has reached nobody. */
export type Receive = (subject: string, message: Uint8Array, isNobody: boolean) => void;

/** A bus that is there later. */
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
