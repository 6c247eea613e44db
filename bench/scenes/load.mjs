// How long it takes to load a library: to import it in Node, to parse and run it in a page.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { missingBrowser, openPage } from '../lib/browsers.mjs';
import { bundle } from '../lib/bundle.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));

/** What an application would import: in Node, and in a page. */
const LIBRARIES = {
  pubkeeper: { node: '../dist/node/index.js', page: `export { PubkeeperClient } from '../../dist/index.js';` },
  'nats-core': { node: '@nats-io/transport-node', page: `export { wsconnect } from '@nats-io/nats-core';` },
  mqtt: { node: 'mqtt', page: `import mqtt from 'mqtt'; export const { connect } = mqtt;` },
  'socket.io-client': { node: 'socket.io-client', page: `export { io } from 'socket.io-client';` },
};
const names = Object.keys(LIBRARIES);
/** The file for pages without a bundler. */
const UMD = 'pubkeeper.umd.min.js';

/** How long the import takes, in ms, in a process that does nothing else. */
export const importInNode = () => ({
  title: 'import in Node, cold',
  unit: 'ms',
  better: 'less',
  names,
  run: async (name) => {
    const path = LIBRARIES[name].node;
    const code = `const s = performance.now(); await import(${JSON.stringify(path.startsWith('.') ? new URL(path, import.meta.url.replace('scenes/', '')).href : path)}); console.log(performance.now() - s); process.exit();`;
    const times = Array.from({ length: 3 }, () => Number(spawnSync(process.execPath, ['--input-type=module', '-e', code], { cwd: here, encoding: 'utf8' }).stdout));
    return Math.min(...times);
  },
});

/** How long a page takes to parse and run the minified bundle, in ms: an inline script, which differs each time and so is in no cache. */
export const parseInPage = (browser) => ({
  title: `parse and run in ${browser}`,
  unit: 'ms',
  better: 'less',
  names: [...names, UMD],
  missing: () => missingBrowser(browser),
  run: async (name) => {
    const code = name === UMD ? readFileSync(new URL(`../../dist/${UMD}`, import.meta.url), 'utf8') : await bundle('library', LIBRARIES[name].page);
    const page = await openPage(browser);
    try {
      const times = await page.evaluate(`(() => {
        const code = ${JSON.stringify(code)};
        return Array.from({ length: 5 }, (_, at) => {
          const script = document.createElement('script');
          script.textContent = '/*' + at + performance.timeOrigin + '*/' + code;
          const start = performance.now();
          document.head.append(script);
          return performance.now() - start;
        });
      })()`);
      return times.sort((a, b) => a - b)[2];
    } finally {
      await page.close();
    }
  },
});
