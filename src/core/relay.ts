import { PubkeeperError } from './errors.js';

// Packets from a client to the WebSocket relay (protocol, section 4): 40 bytes of header, then what there is to publish.
// The way back has no header: the relay sends bare brew frames.

/** The types of relay packets. */
export const RelayPacketType = { JOIN: 0, LEAVE: 1, PUBLISH: 2 } as const;
export type RelayPacketType = (typeof RelayPacketType)[keyof typeof RelayPacketType];

/** The length of a relay packet's header, in bytes. */
export const RELAY_HEADER = 40;

const HASH_AT = 4;
const LENGTH_AT = 36;

/** A relay packet as read: views into the bytes that came, no copies. */
export interface RelayPacket {
  readonly type: RelayPacketType;
  readonly topicHash: Uint8Array;
  /** For PUBLISH the brew frame; else empty. */
  readonly payload: Uint8Array;
}

const NOTHING = /* @__PURE__ */ new Uint8Array(0);

/** The bytes of a relay packet. `hash`: SHA-256 of the topic; `payload`: for PUBLISH, the whole brew frame. */
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
 * Reads one relay packet.
 * @throws {PubkeeperError} `PACKET_INVALID` when it is truncated, longer than it says or of an unknown type
 */
export function decodeRelayPacket(bytes: Uint8Array): RelayPacket {
  if (bytes.length < RELAY_HEADER) throw invalid(`has ${bytes.length} bytes; its header alone has ${RELAY_HEADER}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = view.getUint16(0, true);
  const length = view.getUint32(LENGTH_AT, true);
  if (type > RelayPacketType.PUBLISH) throw invalid(`has the unknown type ${type}`);
  if (length !== bytes.length - RELAY_HEADER) {
    throw invalid(`announces ${length} payload bytes and bears ${bytes.length - RELAY_HEADER}`);
  }
  return {
    type: type as RelayPacketType,
    topicHash: bytes.subarray(HASH_AT, LENGTH_AT),
    payload: bytes.subarray(RELAY_HEADER),
  };
}

const invalid = (why: string): PubkeeperError =>
  new PubkeeperError('PACKET_INVALID', `The other side broke the relay protocol: a packet ${why}.`);
