export { bytes } from '../helpers.js';

/** A message as the store keeps it. */
export const entry = (data: Uint8Array, length = data.length) => ({
  at: 0,
  data,
  length,
  frame: undefined,
  frameLength: 0,
  cipher: 'AES-GCM',
  brewerId: 'b',
  sequence: 0,
  retained: false,
});
