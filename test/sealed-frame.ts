import { createCipheriv } from 'node:crypto';
import { sha256 } from './helpers.js';

// Sealed frames that are made from the design ("Sealed mode") with node:crypto, and not by the code under test.

export interface SealedFrame {
  topic: string;
  /** 32 hex digits. */
  brewerId: string;
  key: Uint8Array;
  /** 16 hex digits. */
  epoch: string;
  sequence?: number | bigint;
  /** Bit 0: bundle. */
  flags?: number;
  /** The flag at byte 50. */
  sealed?: number;
}

export function sealedFrame(plaintext: Uint8Array, options: SealedFrame): Uint8Array<ArrayBuffer> {
  const { topic, brewerId, key, epoch, sequence = 0, flags = 0, sealed = 1 } = options;
  const header = Buffer.alloc(88);
  header[0] = 1; // major version
  sha256(topic).copy(header, 2);
  Buffer.from(brewerId, 'hex').copy(header, 34);
  header[50] = sealed;
  header[51] = flags;
  Buffer.from(epoch, 'hex').copy(header, 54);
  header.writeBigUInt64LE(BigInt(sequence), 62);
  header.writeUInt32LE(plaintext.length + 16, 84);
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(sequence), 4);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(header);
  return Uint8Array.from(Buffer.concat([header, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]));
}

/** The plaintext of a bundle: per message, u32 length and bytes. */
export const bundle = (...messages: (string | Uint8Array)[]): Buffer =>
  Buffer.concat(
    messages.flatMap((message) => {
      const body = Buffer.from(message as string);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(body.length);
      return [length, body];
    }),
  );
