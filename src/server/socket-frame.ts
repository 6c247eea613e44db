// The WebSocket framing of what the relay sends (RFC 6455, section 5.2), done once for all the sockets that get it. What
// a server sends is not masked, so the bytes are the same for everybody.

/** The length of the header of a message with `length` bytes. */
export const headerLength = (length: number): number => (length < 126 ? 2 : length < 0x10000 ? 4 : 10);

/** Writes the header of a whole binary message at `at`; returns where the message begins. */
export function writeHeader(bytes: Buffer, at: number, length: number): number {
  bytes[at] = 0x82;
  if (length < 126) {
    bytes[at + 1] = length;
    return at + 2;
  }
  if (length < 0x10000) {
    bytes[at + 1] = 126;
    bytes.writeUInt16BE(length, at + 2);
    return at + 4;
  }
  bytes[at + 1] = 127;
  bytes.writeUInt32BE(Math.floor(length / 0x100000000), at + 2);
  bytes.writeUInt32BE(length >>> 0, at + 6);
  return at + 10;
}
