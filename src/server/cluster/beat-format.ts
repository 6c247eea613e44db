import { SERVER_ID } from './bridge-format.js';

// A server's sign of life, as bytes: JSON, so that later versions can add keys.

export interface Beat {
  readonly server: string;
  /** What its shared clock was last at. */
  readonly clock: number;
  /** It is new here, or back: everybody is to answer. */
  readonly hello?: unknown;
  /** It leaves. */
  readonly bye?: unknown;
  /** The server whose keys it has removed, having taken it for dead. */
  readonly forgot?: unknown;
}

export const encodeBeat = (beat: Beat): Uint8Array => Buffer.from(JSON.stringify(beat));

/** Undefined for what is none. */
export function readBeat(message: Uint8Array): Beat | undefined {
  try {
    const value = JSON.parse(Buffer.from(message).toString()) as Beat | null;
    const { server, clock } = value ?? {};
    return typeof server === 'string' && server.length === SERVER_ID && typeof clock === 'number' ? value! : undefined;
  } catch {
    return undefined;
  }
}
