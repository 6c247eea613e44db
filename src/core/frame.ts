import { join } from './ciphers/engine.js';
import { PubkeeperError } from './errors.js';
import { utf8 } from './host.js';
import { fromHex } from './id.js';
import { sha256 } from './sha256.js';

// The brew frame (protocol, section 3): 88 bytes of header, then the payload. In sealed mode (design, "Sealed mode")
// spare bytes of the header bear the epoch and the sequence; readers of the deployed kind ignore them.

/** The length of a brew frame's header, in bytes (protocol, section 3). */
export const FRAME_HEADER = 88;

const HASH_AT = 2;
const ID_AT = 34;
const SEALED_AT = 50;
const FLAGS_AT = 51;
const EPOCH_AT = 54;
const SEQUENCE_AT = 62;
const LENGTH_AT = 84;

/** SHA-256 of a literal topic: its name in brew frames and on the relay (protocol, sections 3 and 4). 32 bytes. */
export const topicHash = (topic: string): Uint8Array<ArrayBuffer> => sha256(utf8(topic));

/** The fields of a sealed frame's header, in bytes 50 to 69. */
export interface Seal {
  /** Bit 0 of the flags: the payload is a bundle of several messages. */
  readonly bundle: boolean;
  /** 8 bytes in the order of the hex digits that the brewer's configuration announces: not a little-endian number, though the design says u64. */
  readonly epoch: Uint8Array;
  /** The sequence of the first message; an integer below 2^53. */
  readonly sequence: number;
}

/**
 * The two things that are the same in every frame of a brewer: the topic's hash (32 bytes) and the brewer's id (16), end to end.
 * @throws {PubkeeperError} `FRAME_INVALID` when one of them has another length
 */
export function frameIdentity(hash: Uint8Array, brewerId: Uint8Array): Uint8Array<ArrayBuffer> {
  if (hash.length !== 32 || brewerId.length !== 16) {
    throw new PubkeeperError('FRAME_INVALID', 'A brew frame needs a topic hash of 32 bytes and a brewer id of 16.');
  }
  return join(hash, brewerId);
}

/** As {@link frameIdentity}, for an id of 32 hex digits. */
export const identityOf = (topic: string, brewerId: string): Uint8Array<ArrayBuffer> => join(topicHash(topic), fromHex(brewerId)!);

/** A frame with its header filled in, and room for a payload of `length` bytes. */
export function blankFrame(identity: Uint8Array, length: number, seal?: Seal): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(FRAME_HEADER + length);
  frame[0] = 1;
  frame.set(identity, HASH_AT);
  const view = new DataView(frame.buffer);
  view.setUint32(LENGTH_AT, length, true);
  if (seal) {
    frame[SEALED_AT] = 1;
    if (seal.bundle) frame[FLAGS_AT] = 1;
    frame.set(seal.epoch, EPOCH_AT);
    view.setUint32(SEQUENCE_AT, seal.sequence >>> 0, true);
    view.setUint32(SEQUENCE_AT + 4, seal.sequence / 0x100000000, true);
  }
  return frame;
}

/**
 * A whole brew frame (protocol, section 3): header and payload in one piece.
 * @param identity see {@link frameIdentity}
 */
export function encodeFrame(identity: Uint8Array, payload: Uint8Array, seal?: Seal): Uint8Array<ArrayBuffer> {
  const frame = blankFrame(identity, payload.length, seal);
  frame.set(payload, FRAME_HEADER);
  return frame;
}

/** A brew frame as read: views into the bytes that came, no copies. */
export interface Frame {
  /** SHA-256 of the literal topic: 32 bytes. */
  readonly topicHash: Uint8Array;
  /** 16 bytes. */
  readonly brewerId: Uint8Array;
  /** What follows the header: ciphertext or plaintext. */
  readonly payload: Uint8Array;
  /** The 88 bytes of the header: what a sealed payload is authenticated with. */
  readonly header: Uint8Array;
  /** What a sealed frame says in spare bytes of the header; undefined where it is not sealed. */
  readonly seal: Seal | undefined;
}

/** Whether `bytes` can be a brew frame: version 1, with a length field that is true. */
export function isFrame(bytes: Uint8Array): boolean {
  // Nothing shorter than a header passes: no length is below zero.
  return bytes[0] === 1 && readUint32(bytes, LENGTH_AT) === bytes.length - FRAME_HEADER;
}

/** Whether `frame` bears this identity (see {@link frameIdentity}). */
export function bearsIdentity(frame: Uint8Array, identity: Uint8Array): boolean {
  // Compare the id first: it differs even when brewers share a topic.
  for (let i = 47; i >= 0; i--) if (frame[HASH_AT + i] !== identity[i]) return false;
  return true;
}

/** The first four bytes of the brewer's id as a number: a cheap key for tables of brewers. */
export const brewerKey = (frame: Uint8Array): number => readUint32(frame, ID_AT);

// Separate functions for the fields that every message needs: an object with views costs as much as decrypting a short message.

/** The `sequence` of a frame that `isFrame` (see {@link Seal}), or undefined where the frame is not sealed. */
export const sequenceOf = (frame: Uint8Array): number | undefined =>
  frame[SEALED_AT] === 1 ? readUint32(frame, SEQUENCE_AT) + readUint32(frame, SEQUENCE_AT + 4) * 0x100000000 : undefined;

/** Whether a sealed frame holds a bundle. */
export const isBundle = (frame: Uint8Array): boolean => (frame[FLAGS_AT]! & 1) === 1;

/** Whether a sealed frame is of this epoch. */
export const bearsEpoch = (frame: Uint8Array, epoch: Uint8Array): boolean =>
  epoch.every((byte, index) => byte === frame[EPOCH_AT + index]);

/** Sealed fields of a frame that `isFrame`, or undefined where the frame is not sealed. */
export function readSeal(frame: Uint8Array): Seal | undefined {
  const sequence = sequenceOf(frame);
  if (sequence === undefined) return;
  return { bundle: isBundle(frame), epoch: frame.subarray(EPOCH_AT, EPOCH_AT + 8), sequence };
}

/**
 * Reads a brew frame (protocol, section 3).
 * @throws {PubkeeperError} `FRAME_INVALID` when it is too short, of another version, or its length field lies
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (!isFrame(bytes)) {
    throw new PubkeeperError(
      'FRAME_INVALID',
      `These ${bytes.length} bytes are no brew frame: version 1 and a true length are wanted after a header of 88 bytes.`,
    );
  }
  return {
    topicHash: bytes.subarray(HASH_AT, ID_AT),
    brewerId: bytes.subarray(ID_AT, SEALED_AT),
    payload: bytes.subarray(FRAME_HEADER),
    header: bytes.subarray(0, FRAME_HEADER),
    seal: readSeal(bytes),
  };
}

const readUint32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
