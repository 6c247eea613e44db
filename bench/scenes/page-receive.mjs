import { missingBrowser, openPage } from '../lib/browsers.mjs';
import { bundle } from '../lib/bundle.mjs';
import { withPeer } from '../lib/cast.mjs';
import { peers } from '../peers/index.mjs';

const MODULES = { sealed: 'pubkeeper', 'nats-ws': 'nats', 'mqtt-ws': 'mosquitto', 'socket.io': 'socket-io', ws: 'bare-ws' };
const SETTLE_MS = 200;

/** Messages a second that a page receives from one publisher in Node, through the server. */
export const pageReceives = (browser, size, names) => ({
  title: `received by a page in ${browser}, ${size} B`,
  unit: 'messages/s',
  better: 'more',
  names,
  missing: () => missingBrowser(browser),
  run: (name, { ms }) =>
    withPeer(peers, name, async (cast, { info }) => {
      const module = `export { subscribe } from './${MODULES[name]}.mjs'; export * from './receive.mjs';`;
      const page = await openPage(browser, await bundle('bench', module));
      try {
        await page.evaluate(`bench.subscribe(${JSON.stringify(info)}, bench.onMessage)`);
        // What is published in half the time keeps a page busy for longer, so that the page's own rate is measured.
        const publisher = await cast('publish', { size, ms: ms / 2 });
        const { sent } = await publisher.ask('go');
        for (let before = -1; ; ) {
          const { count, ms: took } = await page.evaluate('bench.counted()');
          if (count > 1 && (count === before || count >= sent)) return (count - 1) / (took / 1000);
          before = count;
          await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
        }
      } finally {
        await page.close();
      }
    }),
});
