import { withPeer } from '../lib/cast.mjs';
import { percentile } from '../lib/numbers.mjs';
import { peers } from '../peers/index.mjs';

/** Times that one percentile has taken, and the other has not looked at yet. */
const kept = new Map();

async function times(name, ms) {
  return withPeer(peers, name, async (cast) => {
    const subscriber = await cast('echo');
    const publisher = await cast('spaced', { size: 64, perSecond: 2000, ms });
    await publisher.ask('go');
    const { taken } = await subscriber.ask('end');
    // What comes first warms the way up.
    return taken.slice(Math.floor(taken.length / 5));
  });
}

/** One-way time of a message at 2,000 a second, in µs, at a percentile. A run gives the median and, if that is asked for later, the other. */
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
