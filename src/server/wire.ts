import { PubkeeperError } from '../core/errors.js';
import { utf8 } from '../core/host.js';
import { PING, PacketType, encodePacket, packetName } from '../core/packet.js';
import type { Packet, PacketVersion, UnknownPacket } from '../core/packet.js';
import { errorPacket } from './match.js';
import type { ErrorSubject } from './match.js';

/** The answer to a ping. */
export const pong = (version: PacketVersion): Uint8Array => encodePacket({ type: PING, payload: {} }, version);

/** What a packet is called in a sentence. */
export const nameOf = (packet: Packet | UnknownPacket): string =>
  packetName(packet.type === 'unknown' ? packet.number : packet.type);

/**
 * The bytes of a packet for a connection of this version: one message each. Protocol 1.0 has no room for more than
 * 65,535 bytes: a longer NOTIFY is split into several, the answer first and the rest as if they had matched later; what
 * cannot be split is replaced by an ERROR that says so.
 */
export function encodeMessages(packet: Packet, version: PacketVersion): Uint8Array[] {
  try {
    return [encodePacket(packet, version)];
  } catch (error) {
    if (!(error instanceof PubkeeperError) || error.code !== 'PACKET_TOO_LONG') throw error;
    return split(packet).map((part) => encodePacket(part, version));
  }
}

const ROOM = 0xffff;

function split(packet: Packet): Packet[] {
  switch (packet.type) {
    case PacketType.BREWER_NOTIFY: {
      const { patron_id, brewers } = packet.payload;
      const { lists, tooLong } = portion(brewers, ROOM - size({ patron_id, brewers: [] }));
      return [
        ...lists.map((list): Packet => ({ type: packet.type, payload: { patron_id, brewers: list } })),
        ...tooLong.map(({ brewer_id }) => noRoom(packet, { patron_id, brewer_id })),
      ];
    }
    case PacketType.PATRON_NOTIFY: {
      const { brewer_id, patrons } = packet.payload;
      const { lists, tooLong } = portion(patrons, ROOM - size({ brewer_id, patrons: [] }));
      return [
        ...lists.map((list): Packet => ({ type: packet.type, payload: { brewer_id, patrons: list } })),
        ...tooLong.map(({ patron_id }) => noRoom(packet, { patron_id, brewer_id })),
      ];
    }
    default:
      return [noRoom(packet, {})];
  }
}

/** Splits `items` into lists of at most `room` bytes, in order; at least one list, because the client waits for an answer even when nothing fits. */
function portion<T>(items: readonly T[], room: number): { lists: T[][]; tooLong: T[] } {
  const lists: T[][] = [[]];
  const tooLong: T[] = [];
  let left = room;
  for (const item of items) {
    const needed = size(item) + 1; // and a comma
    if (needed > room) {
      tooLong.push(item);
      continue;
    }
    if (needed > left) {
      lists.push([]);
      left = room;
    }
    lists[lists.length - 1]!.push(item);
    left -= needed;
  }
  return { lists, tooLong };
}

const noRoom = ({ type }: Packet, subject: ErrorSubject): Packet =>
  errorPacket(
    'PACKET_TOO_LONG',
    `A ${packetName(type)} for you is too long for control protocol 1.0 (65,535 bytes): connect with pubkeeper-1.1.`,
    subject,
  );

const size = (value: unknown): number => utf8(JSON.stringify(value)).length;
