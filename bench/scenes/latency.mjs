import { withPeer } from '../lib/cast.mjs';
import { percentile } from '../lib/numbers.mjs';
import { peers } from '../peers/index.mjs';

/** One-way time of a message at 2,000 a second, in µs, at a percentile. */
export const latency = (p, names) => ({
  title: `one-way latency at 2,000/s, 64 B, p${p * 100}`,
  unit: 'µs',
  better: 'less',
  names,
  run: (name, { ms }) =>
    withPeer(peers, name, async (cast) => {
      const subscriber = await cast('echo');
      const publisher = await cast('spaced', { size: 64, perSecond: 2000, ms });
      await publisher.ask('go');
      const { taken } = await subscriber.ask('end');
      // What comes first warms the way up.
      return percentile(taken.slice(Math.floor(taken.length / 5)), p) * 1000;
    }),
});
