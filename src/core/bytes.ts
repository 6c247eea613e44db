/**
 * The bytes of a buffer, or of what has a `buffer` as views do, as a `Uint8Array` of this realm, without a copy; undefined for anything else,
 * and when it is detached. `instanceof` does not recognise objects of another realm: those of an iframe, or of Node when a test runs in jsdom.
 */
export function bytesOf(data: unknown): Uint8Array | undefined {
  try {
    // The length of an object that merely has the prototype cannot be read, and 0 may mean detached.
    if (data instanceof Uint8Array && data.length) return data;
    const { buffer = data as ArrayBuffer, byteOffset, byteLength } = data as Partial<ArrayBufferView<ArrayBuffer>>;
    // A DataView is made of buffers only, where a Uint8Array is made of anything; neither of a detached one.
    return new Uint8Array(new DataView(buffer).buffer, byteOffset, byteLength);
  } catch {
    return;
  }
}
