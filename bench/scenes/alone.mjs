// A patron without any network, in Node and in pages.
import { createDecipheriv } from 'node:crypto';
import { missingBrowser, openPage } from '../lib/browsers.mjs';
import { bundle } from '../lib/bundle.mjs';
import { cryptoJs, nobleKept, webCrypto } from '../lib/openers.mjs';
import * as measures from '../lib/patron-alone.mjs';
import { nodeEngine } from '../../dist/platform/node-engine.js';

/** One decipher of node:crypto, kept for all messages: the block that an IV decrypts to is dropped. */
function nodeKept(key) {
  const decipher = createDecipheriv('aes-128-cbc', key, Buffer.alloc(16)).setAutoPadding(false);
  return (payload) => {
    const plain = decipher.update(payload).subarray(16);
    return plain.subarray(0, plain.length - plain[plain.length - 1]);
  };
}

const openers = { webCrypto, nobleKept, cryptoJs, nodeKept };
const pages = new Map();

/** Runs a function of lib/patron-alone.mjs in a place: Node or a browser. */
async function measure(place, name, options) {
  if (place === 'Node') return measures[name]({ ...options, engine: nodeEngine, opener: openers[options.opener] });
  if (!pages.has(place)) pages.set(place, openPage(place, await bundle('alone', `export * from './alone.mjs';`)));
  return (await pages.get(place)).evaluate(`alone.measure('${name}', ${JSON.stringify(options)})`);
}

const LABELS = {
  ours: 'pubkeeper',
  webCrypto: 'one WebCrypto call a message',
  cryptoJs: 'crypto-js',
  nobleKept: 'noble, key schedule kept',
  nodeKept: 'node:crypto, decipher kept',
};
const missing = (place) => () => (place === 'Node' ? undefined : missingBrowser(place));
const SHARE = 3; // messages that come one by one need no long run

/** Messages a second from frame to callback; `others` decrypt the same payloads without a patron. */
export const patronAlone = (place, cipher, size, others = []) => ({
  title: `patron alone in ${place}, ${cipher === 'aes-gcm' ? 'sealed' : 'AES-128-CBC'}, ${size} B, bursts of 64`,
  unit: 'messages/s',
  better: 'more',
  names: ['ours', ...others],
  labels: LABELS,
  missing: missing(place),
  run: (name, { ms }) =>
    name === 'ours'
      ? measure(place, 'burstRate', { cipher, size, ms })
      : measure(place, 'othersRate', { opener: name, size, ms }),
});

/** µs from frame to callback for messages that come one by one, compared with the engines alone. */
export const patronSpaced = (place, size) => ({
  title: `patron alone in ${place}, AES-128-CBC, ${size} B, one by one`,
  unit: 'µs',
  better: 'less',
  names: ['ours', 'nobleKept', 'webCrypto', ...(place === 'Node' ? ['nodeKept'] : [])],
  labels: LABELS,
  missing: missing(place),
  run: (name, { ms }) =>
    name === 'ours'
      ? measure(place, 'spacedTime', { cipher: 'aes-cbc', size, ms: ms / SHARE })
      : measure(place, 'bareTime', { opener: name, size, ms: ms / SHARE }),
});
