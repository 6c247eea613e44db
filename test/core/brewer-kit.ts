import type { Brew, BrewerPair } from '../../src/core/brew.js';
import { Brewer, type BrewerOptions } from '../../src/core/brewer.js';
import type { CryptoEngine } from '../../src/core/ciphers/engine.js';
import { nobleEngine } from '../../src/core/ciphers/noble.js';
import type { PubkeeperError } from '../../src/core/errors.js';
import type { PatronInfo } from '../../src/core/packet.js';
import { id } from '../helpers.js';

export const patron = (n: number, more: Partial<PatronInfo> = {}): PatronInfo => ({ topic: 'a.b', patron_id: id(n), brew: { name: 'x' }, ...more });

/** A brew that records its calls, and answers as the test says. */
export class RecordingBrew {
  readonly started: BrewerPair[] = [];
  readonly stopped: string[] = [];
  readonly frames: Uint8Array[] = [];
  onBrew: () => void | Promise<void> = () => undefined;
  onStart: (pair: BrewerPair) => void = () => undefined;
  constructor(readonly name: string) {}
  startBrewer(pair: BrewerPair): () => void {
    this.started.push(pair);
    this.onStart(pair);
    return () => void this.stopped.push(pair.patronId);
  }
  brew(_brewerId: string, frame: Uint8Array): void | Promise<void> {
    this.frames.push(frame);
    return this.onBrew();
  }
  get texts(): string[] {
    return this.frames.map((frame) => Buffer.from(frame.subarray(88)).toString());
  }
}

/** A brewer on two brews called `x` and `y`, and a log of its events. */
export function brewerKit(options: BrewerOptions & { engine?: CryptoEngine } = {}) {
  const { engine = nobleEngine, ...rest } = options;
  const brewer = new Brewer('a.b', { crypto: false, brewerId: id(0xb), ...rest });
  const x = new RecordingBrew('x');
  const y = new RecordingBrew('y');
  const brews = new Map<string, unknown>([['x', x], ['y', y]]);
  brewer._lend({ brew: (name) => brews.get(name) as Brew | undefined, engine });
  const log: string[] = [];
  const errors: PubkeeperError[] = [];
  brewer.on('matched', ({ topic }) => log.push(`matched ${topic}`));
  brewer.on('unmatched', ({ topic }) => log.push(`unmatched ${topic}`));
  brewer.on('added', ({ patronId, brew }) => log.push(`+${parseInt(patronId.slice(0, 8), 16)} ${brew}`));
  brewer.on('removed', ({ patronId }) => log.push(`-${parseInt(patronId.slice(0, 8), 16)}`));
  brewer.on('error', (error) => errors.push(error));
  return { brewer, x, y, log, errors };
}
