/**
 * `data` as a `Uint8Array` of this realm, without a copy; undefined when it is neither a `Uint8Array` nor an `ArrayBuffer`, or is detached.
 * `instanceof` does not recognise objects of another realm: those of an iframe, or of Node when a test runs in jsdom.
 */
export function bytesOf(data: unknown): Uint8Array | undefined {
  // An object that merely has the prototype holds no bytes.
  if (ArrayBuffer.isView(data) && data instanceof Uint8Array && data.length) return data;
  if (!/^\[object (Uint8Array|ArrayBuffer)]$/.test(({}).toString.call(data))) return;
  const { buffer = data as ArrayBuffer, byteOffset, byteLength } = data as Partial<Uint8Array>;
  try {
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch {
    return; // detached
  }
}
