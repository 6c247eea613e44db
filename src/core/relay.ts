import { viewOf } from './ciphers/engine.js';
import { PubkeeperError } from './errors.js';

// Packets from a client to the WebSocket relay (protocol, section 4): 40 bytes of header, then what there is to publish.
// In relay protocol 1.0 a message is one packet, and the relay sends bare brew frames back. In relay protocol 2 (design,
// "Relay protocol 2") a message is one or more packets, and one or more records on the way back.

/** The subprotocol of relay protocol 1.0. */
export const RELAY_1 = 'pubkeeper-1.0.0';
/** The subprotocol of relay protocol 2; offered first. */
export const RELAY_2 = 'pubkeeper-relay-2';
/** Packets and records are gathered into messages of up to this many bytes. */
export const RELAY_BATCH = 64 * 1024;

/**
 * The types of relay packets (protocol, section 4). Only relays of this project know PING, and only in protocol 2: they answer with a record
 * of the same number, at once and from then on at each heartbeat.
 */
export const RelayPacketType = {
  /** Asks for the frames of a topic; the payload may be a ticket. */
  JOIN: 0,
  /** Unsubscribes. */
  LEAVE: 1,
  /** Bears a brew frame. */
  PUBLISH: 2,
  /** Bears the ticket by which its sender publishes; for relays of this project. */
  GRANT: 4,
  /** Asks for a sign of life. */
  PING: 60,
} as const;
/** The number of a type of relay packets. */
export type RelayPacketType = (typeof RelayPacketType)[keyof typeof RelayPacketType];

const TYPES: readonly number[] = /* @__PURE__ */ Object.values(RelayPacketType);

/** The length of a relay packet's header, in bytes. */
export const RELAY_HEADER = 40;

const HASH_AT = 4;
const LENGTH_AT = 36;

/** A relay packet as read: views into the bytes that came, no copies. */
export interface RelayPacket {
  /** Its number. */
  readonly type: RelayPacketType;
  /** SHA-256 of the literal topic: 32 bytes. */
  readonly topicHash: Uint8Array;
  /** For PUBLISH the brew frame, for GRANT a ticket, for JOIN a ticket or nothing; else empty. */
  readonly payload: Uint8Array;
}

/** No bytes: a payload, or the hash of no topic. */
export const NOTHING = /* @__PURE__ */ new Uint8Array(0);

/** The bytes of a relay packet (protocol, section 4). `hash`: SHA-256 of the topic; `payload`: for PUBLISH, the whole brew frame. */
export function encodeRelayPacket(
  type: RelayPacketType,
  hash: Uint8Array,
  payload: Uint8Array = NOTHING,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(RELAY_HEADER + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type, true);
  bytes.set(hash, HASH_AT);
  view.setUint32(LENGTH_AT, payload.length, true);
  bytes.set(payload, RELAY_HEADER);
  return bytes;
}

/**
 * Reads one relay packet (protocol, section 4).
 * @throws {PubkeeperError} `PACKET_INVALID` when it is truncated, longer than it says or of an unknown type
 */
export function decodeRelayPacket(bytes: Uint8Array): RelayPacket {
  const [packet, next] = readRelayPacket(bytes, 0);
  if (next !== bytes.length) throw invalid(`announces ${packet.payload.length} payload bytes and bears more`);
  return packet;
}

/**
 * Reads the relay packet at `at`; returns it with where the next one begins.
 * @throws {PubkeeperError} `PACKET_INVALID` when it is truncated or of an unknown type
 */
export function readRelayPacket(bytes: Uint8Array, at: number): [packet: RelayPacket, next: number] {
  const read = tryRelayPacket(bytes, at);
  if (typeof read === 'string') throw invalid(read);
  return read;
}

/** Like {@link readRelayPacket}, but returns the error: throwing takes twenty times as long as the rest of the work for a malformed packet. */
export function tryRelayPacket(bytes: Uint8Array, at: number): [packet: RelayPacket, next: number] | string {
  const left = bytes.length - at;
  if (left < RELAY_HEADER) return `has ${left} bytes; its header alone has ${RELAY_HEADER}`;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, RELAY_HEADER);
  const type = view.getUint16(0, true);
  const length = view.getUint32(LENGTH_AT, true);
  if (!TYPES.includes(type)) return `has the unknown type ${type}`;
  if (length > left - RELAY_HEADER) return `announces ${length} payload bytes and bears ${left - RELAY_HEADER}`;
  const next = at + RELAY_HEADER + length;
  return [
    {
      type: type as RelayPacketType,
      topicHash: bytes.subarray(at + HASH_AT, at + LENGTH_AT),
      payload: bytes.subarray(at + RELAY_HEADER, next),
    },
    next,
  ];
}

/** The length of the header of a record, in bytes. */
export const RECORD_HEADER = 8;

const LIVE = 2;
const RETAINED = 5;

/** Writes the header of a record into `view` at `at`. `length`: of the brew frame that follows. */
export function writeRecordHeader(view: DataView, at: number, length: number, retained: boolean): void {
  view.setUint32(at, retained ? RETAINED : LIVE, true);
  view.setUint32(at + 4, length, true);
}

/**
 * Calls `each` with the brew frame of every record in a message from the relay. Records of other types are skipped.
 * False when the message ends in something that is no record; what came before it was handed over.
 */
export function readRecords(bytes: Uint8Array, each: (frame: Uint8Array, retained: boolean) => void): boolean {
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; ) {
    const start = at + RECORD_HEADER;
    if (start > bytes.length) return false;
    const type = view.getUint16(at, true);
    at = start + view.getUint32(at + 4, true);
    if (at > bytes.length) return false;
    if (type === LIVE || type === RETAINED) each(bytes.subarray(start, at), type === RETAINED);
  }
  return true;
}

const invalid = (why: string): PubkeeperError =>
  new PubkeeperError('PACKET_INVALID', `The other side broke the relay protocol: a packet ${why}.`);
