/**
 * `data` as bytes of this realm, without copying them; undefined when it is neither a `Uint8Array` nor an `ArrayBuffer`, or was transferred
 * away. Those of another realm are no instances of ours: of a frame in a page, of Node where a test runs in jsdom.
 */
export function bytesOf(data: unknown): Uint8Array | undefined {
  // What only has the prototype has no bytes.
  if (ArrayBuffer.isView(data) && data instanceof Uint8Array && data.length) return data;
  if (!/^\[object (Uint8Array|ArrayBuffer)]$/.test(({}).toString.call(data))) return;
  const { buffer = data as ArrayBuffer, byteOffset, byteLength } = data as Partial<Uint8Array>;
  try {
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch {
    return; // it has no bytes any more
  }
}
