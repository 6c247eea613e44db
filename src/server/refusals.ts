import type { ErrorCode } from '../core/errors.js';
import { fromUtf8Strict } from '../core/host.js';
import { readId, show } from '../core/id.js';
import { PacketType } from '../core/packet.js';
import type { Packet } from '../core/packet.js';
import { assertTopic, assertTopicPattern } from '../core/topic.js';
import { brewerNotify, errorPacket, faultOf, patronNotify } from './match.js';
import type { Outgoing, RegisteredBrewer, RegisteredPatron, Rights } from './match.js';

// What the matchmaker says when it refuses a registration.

/** A packet that registers something. */
export type Register = Extract<Packet, { type: typeof PacketType.BREWER_REGISTER | typeof PacketType.PATRON_REGISTER }>;

const REGISTERS = [PacketType.BREWER_REGISTER, PacketType.PATRON_REGISTER] as const;

export const isRegister = (packet: Packet): packet is Register =>
  REGISTERS.some((type) => type === packet.type);

/**
 * The registration in a packet that is not valid, with nothing in it but its id; undefined if it registers nothing, or bears no id.
 * So it is answered like every other (protocol, section 2): a deployed client that got no NOTIFY would never be ready.
 */
export function registerIn(bytes: Uint8Array): Register | undefined {
  const type = REGISTERS.find((known) => known === bytes[0] && !bytes[1]);
  if (!type) return undefined;
  let id: string | undefined;
  try {
    const payload = JSON.parse(fromUtf8Strict(bytes.subarray(8))) as Partial<Record<string, unknown>> | null;
    id = readId(payload?.[type === PacketType.BREWER_REGISTER ? 'brewer_id' : 'patron_id']);
  } catch {
    return undefined;
  }
  if (!id) return undefined;
  const rest = { topic: '', brews: [] };
  return type === PacketType.BREWER_REGISTER ? { type, payload: { ...rest, brewer_id: id, brewer_config: {} } } : { type, payload: { ...rest, patron_id: id } };
}

/** Why something may not be registered. */
export interface Objection {
  readonly code: ErrorCode;
  readonly message: string;
}

const forbidden = (topic: string): string =>
  `This token may not write ${show(topic)}: brew another topic, or use a token with the right "write" for this one.`;

/** The message of `REGISTERED_TWICE`. */
export const taken = (what: string, id: string): string =>
  `Another client has registered ${what} ${id}: give every ${what} an id of its own, or end the other client first.`;

/** Why a registration has to be refused; undefined when it can be accepted. `isTaken`: another client has that id. */
export function objectionTo({ type, payload }: Register, rights: Rights, isTaken: boolean): Objection | undefined {
  const { topic } = payload;
  const isBrewer = type === PacketType.BREWER_REGISTER;
  const fault = faultOf(() => (isBrewer ? assertTopic(topic) : assertTopicPattern(topic)));
  if (fault) return fault;
  if (isBrewer && !rights.mayWrite(topic)) return { code: 'FORBIDDEN', message: forbidden(topic) };
  if (!isTaken) return undefined;
  return { code: 'REGISTERED_TWICE', message: isBrewer ? taken('brewer', payload.brewer_id) : taken('patron', payload.patron_id) };
}

/**
 * Refuses a registration: an ERROR with the reason, and the NOTIFY that answers every registration (protocol, section 2), because a deployed client
 * waits for that before it is ready. The ERROR comes first: our client takes whichever comes first for the answer.
 * @param held what the client has registered under that id, which stays as it was
 */
export function refusal<C>(client: C, { type, payload }: Register, { code, message }: Objection, held: RegisteredBrewer<C> | RegisteredPatron<C> | undefined): Outgoing<C>[] {
  if (type === PacketType.BREWER_REGISTER) {
    const { brewer_id } = payload;
    const answer = held && 'topic' in held ? patronNotify(held, [...held.matches.values()], true) : { client, packet: { type: PacketType.PATRON_NOTIFY, payload: { brewer_id, patrons: [] } } };
    return [{ client, packet: errorPacket(code, message, { brewer_id }) }, answer];
  }
  const { patron_id } = payload;
  const answer = held && 'pattern' in held ? brewerNotify(held, [...held.matches.values()]) : { client, packet: { type: PacketType.BREWER_NOTIFY, payload: { patron_id, brewers: [] } } };
  return [{ client, packet: errorPacket(code, message, { patron_id }) }, answer];
}
