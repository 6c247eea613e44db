import { RECORD_HEADER, RELAY_BATCH, RelayPacketType, writeRecordHeader } from '../core/relay.js';
import { headerLength, writeHeader } from './socket-frame.js';

/** A topic's hash as a key for maps: 32 latin1 characters. Cheaper to make than hex, and half as long. */
export const hashKey = (hash: Uint8Array): string =>
  Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString('latin1');

/** What a connection speaks: relay protocol 1.0, or 2 (design, "Relay protocol 2"). */
export type RelayVersion = 1 | 2;

/**
 * The bytes that carry `frames` to a connection, WebSocket framing included. In protocol 1.0 each frame is a message; in
 * protocol 2 a message holds as many records as fit into 64 KiB.
 */
export const format = (frames: readonly Uint8Array[], version: RelayVersion, retained: boolean): Buffer =>
  version === 1 ? eachByItself(frames) : inBatches(frames, retained);

/** A sign of life (protocol 2): a record without a frame, which clients skip. */
export const BEAT = message(Buffer.of(RelayPacketType.PING, 0, 0, 0, 0, 0, 0, 0));

function message(payload: Buffer): Buffer {
  const bytes = Buffer.alloc(headerLength(payload.length) + payload.length);
  payload.copy(bytes, writeHeader(bytes, 0, payload.length));
  return bytes;
}

function eachByItself(frames: readonly Uint8Array[]): Buffer {
  let size = 0;
  for (const { length } of frames) size += headerLength(length) + length;
  const bytes = Buffer.allocUnsafe(size);
  let at = 0;
  for (const frame of frames) {
    at = writeHeader(bytes, at, frame.length);
    bytes.set(frame, at);
    at += frame.length;
  }
  return bytes;
}

function inBatches(frames: readonly Uint8Array[], retained: boolean): Buffer {
  // Where each message ends, and how long it is.
  const batches: { readonly end: number; readonly length: number }[] = [];
  let length = 0;
  let size = 0;
  frames.forEach((frame, index) => {
    const record = RECORD_HEADER + frame.length;
    if (length && length + record > RELAY_BATCH) {
      batches.push({ end: index, length });
      size += headerLength(length) + length;
      length = 0;
    }
    length += record;
  });
  batches.push({ end: frames.length, length });
  size += headerLength(length) + length;

  const bytes = Buffer.allocUnsafe(size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  let index = 0;
  for (const batch of batches) {
    at = writeHeader(bytes, at, batch.length);
    for (; index < batch.end; index++) {
      const frame = frames[index]!;
      writeRecordHeader(view, at, frame.length, retained);
      bytes.set(frame, at + RECORD_HEADER);
      at += RECORD_HEADER + frame.length;
    }
  }
  return bytes;
}
