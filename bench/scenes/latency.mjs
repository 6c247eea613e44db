import { withPeer } from '../lib/cast.mjs';
import { percentile } from '../lib/numbers.mjs';
import { peers } from '../peers/index.mjs';

/** Times that one percentile has taken, and the other has not looked at yet. */
const kept = new Map();

/**
 * How many times as long messages are sent as they are looked at, the last of them. All but the server of nats is JavaScript, which
 * takes some thousand messages to become fast: what a dashboard that stays open gets is what comes after them.
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
