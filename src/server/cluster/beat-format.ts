import { SERVER_ID } from './bridge-format.js';

// A server's sign of life, as bytes: JSON, so that later versions can add keys.

/** One sign of life. */
export interface Beat {
  readonly server: string;
  /** The last stamp of its shared clock. */
  readonly clock: number;
  /** The server is new, or back: everybody has to answer. */
  readonly hello?: unknown;
  /** The server leaves. */
  readonly bye?: unknown;
  /** Another server, whose keys this one has removed because it took it for dead. */
  readonly forgot?: unknown;
}

export const encodeBeat = (beat: Beat): Uint8Array => Buffer.from(JSON.stringify(beat));

/** Undefined for a message that is no sign of life. */
export function readBeat(message: Uint8Array): Beat | undefined {
  try {
    const value = JSON.parse(Buffer.from(message).toString()) as Beat | null;
    const { server, clock } = value ?? {};
    return typeof server === 'string' && server.length === SERVER_ID && typeof clock === 'number' ? value! : undefined;
  } catch {
    return undefined;
  }
}
