import { withPeer } from '../lib/cast.mjs';
import { peers } from '../peers/index.mjs';

const SETTLE_MS = 100;

/** Messages a second from one publisher through the server to one subscriber, as fast as the publisher may send. */
export const oneToOne = (size, names) => ({
  title: `1 → 1, ${size} B`,
  unit: 'messages/s',
  better: 'more',
  names,
  run: (name, { ms }) =>
    withPeer(peers, name, async (cast) => {
      const subscriber = await cast('subscribe');
      const publisher = await cast('publish', { size, ms });
      const { sent } = await publisher.ask('go');
      // Wait until all messages in transit have arrived.
      let before = -1;
      for (;;) {
        const { count, ms: took } = await subscriber.ask('count');
        if (count === before || count >= sent) return (count - 1) / (took / 1000);
        before = count;
        await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      }
    }),
});
