import type { ErrorCode } from '../core/errors.js';
import { show } from '../core/id.js';
import { errorPacket } from './match.js';
import type { ErrorSubject, Outgoing } from './match.js';

// What the matchmaker says when it refuses a registration.

export const forbidden = (topic: string): string =>
  `This token may not write ${show(topic)}: brew another topic, or use a token with the right "write" for this one.`;

export const taken = (what: string, id: string): string =>
  `Another client has registered ${what} ${id}: give every ${what} an id of its own, or end the other client first.`;

export const refusal = <C>(client: C, code: ErrorCode, message: string, subject: ErrorSubject): Outgoing<C>[] => [
  { client, packet: errorPacket(code, message, subject) },
];
