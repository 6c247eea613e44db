import type { Brew, PatronPair } from '../../src/core/brew.js';
import type { CbcKey, CryptoEngine } from '../../src/core/ciphers/engine.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import type { PubkeeperError } from '../../src/core/errors.js';
import type { Drop } from '../../src/core/drops.js';
import type { BrewerConfig, BrewerInfo } from '../../src/core/packet.js';
import { Patron, type PatronCallback, type PatronOptions } from '../../src/core/patron.js';
import { bytes, deferred, id } from '../helpers.js';
import { bundle, sealedFrame } from '../sealed-frame.js';

/** A brew that records its calls, and does at a start what the test says. */
export class RecordingBrew {
  readonly started: PatronPair[] = [];
  readonly stopped: string[] = [];
  onStart: (pair: PatronPair) => void = () => undefined;
  constructor(readonly name: string) {}

  startPatron(pair: PatronPair): () => void {
    this.started.push(pair);
    this.onStart(pair);
    return () => void this.stopped.push(pair.brewerId);
  }
}

const opened = (aes: CbcKey, payload: Uint8Array): Uint8Array | undefined => {
  try {
    return aes.open(payload) as Uint8Array;
  } catch {
    return undefined;
  }
};

/** An engine whose answers all wait until the test gives them. `together`: it has `openAll`. */
export function slowEngine(together = false): CryptoEngine & { readonly waiting: (() => void)[]; readonly bursts: number[] } {
  const waiting: (() => void)[] = [];
  /** How many frames each call of `openAll` had. */
  const bursts: number[] = [];
  const slow = (run: () => Uint8Array | Promise<Uint8Array>): Promise<Uint8Array> => {
    const { promise, resolve, reject } = deferred<Uint8Array>();
    waiting.push(() => {
      try {
        resolve(run() as Uint8Array);
      } catch (error) {
        reject(error);
      }
    });
    return promise;
  };
  return {
    name: 'slow',
    waiting,
    bursts,
    cbc(key) {
      const aes = nobleEngine.cbc(key);
      const open = (payload: Uint8Array): Promise<Uint8Array> => slow(() => aes.open(payload));
      const openAll = (frames: readonly Uint8Array[], skip: number): Promise<(Uint8Array | undefined)[]> => {
        const { promise, resolve } = deferred<(Uint8Array | undefined)[]>();
        bursts.push(frames.length);
        waiting.push(() => resolve(frames.map((frame) => opened(aes, frame.subarray(skip)))));
        return promise;
      };
      return { seal: (data) => aes.seal(data), open, ...(together && { openAll }) };
    },
    gcm(key) {
      const aes = nobleEngine.gcm(key);
      return { seal: (nonce, aad, data) => aes.seal(nonce, aad, data), open: (nonce, aad, sealed) => slow(() => aes.open(nonce, aad, sealed)) };
    },
  };
}

export const info = (n: number, more: Partial<BrewerInfo> & { brewer_config?: BrewerConfig } = {}): BrewerInfo => ({
  topic: `t.${n}`,
  brewer_id: id(n),
  brewer_config: {},
  brew: { name: 'x' },
  ...more,
});

/** A patron on a RecordingBrew called `x`, and a log of its events. */
export function patronKit(options: PatronOptions & { engine?: CryptoEngine; callback?: PatronCallback; topic?: string } = {}) {
  const { engine = nobleEngine, callback, topic = '**', ...rest } = options;
  const heard: string[] = [];
  const log: string[] = [];
  const errors: PubkeeperError[] = [];
  const drops: Drop[] = [];
  const brew = new RecordingBrew('x');
  const patron = new Patron(
    topic,
    (data, message) => {
      heard.push(message.text());
      return callback?.(data, message);
    },
    rest,
  );
  patron._lend({ brew: (name) => (name === 'x' ? (brew as unknown as Brew) : undefined), engine });
  patron.on('error', (error) => errors.push(error));
  patron.on('dropped', (drop) => drops.push(drop));
  patron.on('added', (event) => log.push(`+${event.topic}`));
  patron.on('removed', (event) => log.push(`-${event.topic}`));
  return { patron, brew, heard, log, errors, drops };
}

/** A brewer in sealed mode, whose frames the test delivers. */
export function sealing(n: number) {
  const key = new Uint8Array(32).fill(n);
  const epoch = n.toString(16).padStart(16, '0');
  let sequence = 0;
  const frame = (plaintext: Uint8Array, flags: number, count: number): Uint8Array<ArrayBuffer> => {
    const sealed = sealedFrame(plaintext, { topic: `t.${n}`, brewerId: id(n), key, epoch, sequence, flags });
    sequence += count;
    return sealed;
  };
  return {
    info: info(n, { brewer_config: { cipher: { mode: 'AES-GCM', key: Buffer.from(key).toString('hex'), epoch } } }),
    seal: (text: string) => frame(bytes(text), 0, 1),
    bundle: (...texts: string[]) => frame(bundle(...texts), 1, texts.length),
  };
}
