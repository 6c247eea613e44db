import { withPeer } from '../lib/cast.mjs';
import { percentile } from '../lib/numbers.mjs';
import { peers } from '../peers/index.mjs';

/** Times that were measured for one percentile, and that the other one has not used yet. */
const kept = new Map();

/**
 * Messages are sent for this many times as long as they are measured; only the last ones count. All but the NATS server is JavaScript,
 * which takes some thousand messages to become fast, and a dashboard that stays open has had those.
 */
const WARM_UP = 3;

async function times(name, ms) {
  return withPeer(peers, name, async (cast) => {
    const subscriber = await cast('echo');
    const publisher = await cast('spaced', { size: 64, perSecond: 2000, ms: ms * WARM_UP });
    await publisher.ask('go');
    const { taken } = await subscriber.ask('end');
    return taken.slice(-Math.floor(taken.length / WARM_UP));
  });
}

/** One-way time of a message at 2,000 a second, in µs, at a percentile. Runs for the median are used again for a higher percentile. */
export const latency = (p, names) => ({
  title: `one-way latency at 2,000/s, 64 B, p${p * 100}`,
  unit: 'µs',
  better: 'less',
  names,
  async run(name, { ms }) {
    if (!kept.has(name)) kept.set(name, []);
    const taken = (p > 0.5 && kept.get(name).shift()) || (await times(name, ms));
    if (p <= 0.5) kept.get(name).push(taken);
    return percentile(taken, p) * 1000;
  },
});
