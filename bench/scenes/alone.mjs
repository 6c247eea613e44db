// What a patron does with the frames of one brewer, without any network: frame in, callback out.
import { Brewer, Patron } from '../../dist/index.js';
import { nodeEngine } from '../../dist/platform/node-engine.js';
import { defaultEngine, nobleEngine } from '../../dist/core/index.js';

const BREW = { name: 'bench' };
const PATRON = '0'.repeat(32);

/** Frames of `count` messages of `size` bytes, as a brewer of that cipher makes them. */
async function frames(cipher, size, count, perTick) {
  const made = [];
  const brewer = new Brewer('bench.alone', { cipher });
  const brew = { startBrewer: () => () => undefined, brew: (_, frame) => void made.push(frame) };
  brewer._lend({ brew: () => brew, engine: nodeEngine });
  brewer.configure();
  brewer.newPatrons([{ topic: brewer.topic, patron_id: PATRON, brew: BREW }]);
  const payload = new Uint8Array(size).fill(97);
  for (let i = 0; i < count; i++) {
    void brewer.brew(payload);
    if (i % perTick === perTick - 1) await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setImmediate(resolve));
  return { brewer, made };
}

const ENGINES = { node: () => nodeEngine, page: defaultEngine, noble: () => nobleEngine };

/** Messages a second through a patron, in bursts of `perTick`. */
export const patronAlone = (cipher, size, engine, perTick = 64) => ({
  title: `patron alone, ${cipher}, ${size} B, bursts of ${perTick}`,
  unit: 'messages/s',
  better: 'more',
  names: [engine],
  run: async (_, { ms }) => {
    const count = 64 * 20;
    const { brewer, made } = await frames(cipher, size, count, perTick);
    const rounds = [];
    for (const start = performance.now(); performance.now() - start < ms; ) {
      let heard = 0;
      let done;
      const all = new Promise((resolve) => (done = resolve));
      const patron = new Patron('**', () => {
        if (++heard === count) done();
      });
      patron._lend({ brew: () => ({ startPatron: () => () => undefined }), engine: ENGINES[engine]() });
      patron.newBrewers([{ topic: brewer.topic, brewer_id: brewer.brewerId, brewer_config: brewer.getConfig(), brew: BREW }]);
      const began = performance.now();
      const group = Math.max(1, Math.round((made.length / count) * perTick));
      for (let at = 0; at < made.length; at += group) {
        for (const frame of made.slice(at, at + group)) patron._handleCallback(brewer.brewerId, frame);
        await undefined;
      }
      await all;
      rounds.push(count / ((performance.now() - began) / 1000));
    }
    return rounds.sort((a, b) => a - b)[Math.floor(rounds.length / 2)];
  },
});
