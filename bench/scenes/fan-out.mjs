import { withPeer } from '../lib/cast.mjs';
import { peers } from '../peers/index.mjs';

/**
 * Deliveries a second out of the server, to many connections that only count bytes. Publishes in bursts, each when the last
 * one has arrived everywhere, so that no server has to drop anything.
 */
export const fanOut = (connections, names) => ({
  title: `1 → ${connections}, 1 KiB, out of the server`,
  unit: 'deliveries/s',
  better: 'more',
  names,
  run: (name, { ms }) =>
    withPeer(peers, name, async (cast) => {
      if (peers[name].needsPatron) await cast('subscribe');
      const subscribers = await cast('rawSubscribe', { connections });
      const burst = Math.max(10, Math.round(20_000 / connections));
      const publisher = await cast('publish', { size: 1024, burst });
      // The first bursts tell how many bytes a burst has; take the fewest, because the very first is sent in more pieces.
      let bytes = 0;
      let each = Infinity;
      for (let warm = 0; warm < 3; warm++) {
        const before = bytes;
        await publisher.ask('go');
        for (let last = -1; bytes !== last || bytes === before; ) {
          last = bytes;
          await new Promise((resolve) => setTimeout(resolve, 100));
          ({ bytes } = await subscribers.ask('bytes'));
        }
        each = Math.min(each, bytes - before);
      }
      let bursts = 0;
      const start = performance.now();
      while (performance.now() - start < ms) {
        bytes += each;
        await publisher.ask('go');
        // Bundles and batches differ by a few bytes of headers from burst to burst: wait for almost all bytes only.
        await subscribers.ask({ wanted: bytes - each * 0.02 });
        bursts++;
      }
      return (bursts * burst * connections) / ((performance.now() - start) / 1000);
    }),
});
