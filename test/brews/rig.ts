import WebSocket from 'ws';
import type { PubkeeperError} from '../../src/core/index.js';
import { newId, type Brew, type BrewDetails, type BrewHost, type BrewScope } from '../../src/core/index.js';
import { isFrame } from '../../src/core/frame.js';
import { rawFrame } from '../helpers.js';

// Brews without a client: the tests call them as a client would.

/** A host for a brew. It records what the brew reports. */
export function host() {
  const errors: PubkeeperError[] = [];
  const states: { brew: string; up: boolean; scope: BrewScope | undefined }[] = [];
  const dropped: string[] = [];
  const waiting: (() => void)[] = [];
  const told = (): void => waiting.splice(0).forEach((run) => run());
  const made: BrewHost = {
    server: 'ws://127.0.0.1:9898/ws',
    WebSocket,
    reconnect: { delayMs: 20, maxDelayMs: 100, stableMs: 5000, graceMs: 30_000, maxRetries: Infinity },
    logger: undefined,
    report: (error) => (errors.push(error), told()),
    dropped: (reason) => (dropped.push(reason), told()),
    state: (brew, up, scope) => (states.push({ brew, up, scope }), told()),
  };
  /** Resolves when `look` returns something. It is called whenever the brew reports something. */
  const until = async <T>(look: () => T | undefined): Promise<T> => {
    for (;;) {
      const found = look();
      if (found !== undefined && found !== false) return found;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  return {
    host: made,
    errors,
    states,
    dropped,
    until,
    error: (code: string) => until(() => errors.find((error) => error.code === code)),
    state: (up: boolean) => until(() => states.find((state) => state.up === up)),
  };
}

/** A brew with its host. */
export function attached<B extends Brew>(brew: B) {
  const rig = host();
  brew.attach(rig.host);
  return { brew, ...rig };
}

/** A receiver of frames: the text of each can be awaited once. */
export function receiver() {
  const all: { text: string; retained: boolean | undefined; frame: Uint8Array }[] = [];
  const waiting: (() => void)[] = [];
  let read = 0;
  return {
    all,
    receive: (frame: Uint8Array, retained?: boolean) => {
      all.push({ text: isFrame(frame) ? Buffer.from(frame.subarray(88)).toString() : '?', retained, frame });
      waiting.splice(0).forEach((run) => run());
    },
    next: async (): Promise<string> => {
      while (all.length <= read) await new Promise<void>((resolve) => waiting.push(resolve));
      return all[read++]!.text;
    },
    take: async (count: number): Promise<string[]> => {
      while (all.length < read + count) await new Promise<void>((resolve) => waiting.push(resolve));
      return all.slice(read, (read += count)).map(({ text }) => text);
    },
  };
}

export const TOPIC = 'demo.one';

/** A brewer of `brew`, registered and matched with one patron of `reader`. */
export async function pair(brew: Brew, reader: Brew, brewerId = newId(), topic = TOPIC) {
  const details = (await brew.brewerDetails({ topic, brewerId })) as BrewDetails;
  const box = receiver();
  const patronId = newId();
  const start = () => reader.startPatron({ topic, brewerId, patronId, details, receive: box.receive });
  const stop = start();
  const patronDetails = reader.patronDetails({ topic, patronId })!;
  const end = brew.startBrewer({ topic, brewerId, patronId, details: patronDetails });
  return {
    ...box,
    brewerId,
    patronId,
    details,
    start,
    stop,
    end,
    say: (text: string) => brew.brew(brewerId, rawFrame(topic, brewerId, text)),
  };
}
