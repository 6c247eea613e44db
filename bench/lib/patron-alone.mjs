// Measures what a patron does with the frames of one brewer, without any network: from the frame to the callback. For Node and for pages.
import { Brewer, Patron } from '../../dist/index.js';

const BREW = { name: 'bench' };
const PATRON = '0'.repeat(32);

/** Waits until the end of the tick, after all callbacks of promises. */
const tick = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), resolve());
    port2.postMessage(0);
  });

/** Makes a brewer, and its frames for `count` messages of `size` bytes, `perTick` of them brewed in each tick. */
export async function frames({ cipher, size, count, perTick, engine }) {
  const made = [];
  const brewer = new Brewer('bench.alone', { cipher });
  const brew = { startBrewer: () => () => undefined, brew: (_, frame) => void made.push(frame) };
  brewer._lend({ brew: () => brew, engine });
  brewer.configure();
  brewer.newPatrons([{ topic: brewer.topic, patron_id: PATRON, brew: BREW }]);
  const payload = new Uint8Array(size).fill(97);
  for (let i = 1; i <= count; i++) {
    const done = brewer.brew(payload);
    if (i % perTick === 0) await Promise.all([done, tick()]);
  }
  while (cipher === 'aes-cbc' && made.length < count) await tick();
  await tick();
  return { brewer, made };
}

/** A patron of that brewer. */
export function patronOf(brewer, engine, callback) {
  const patron = new Patron('**', callback);
  patron._lend({ brew: () => ({ startPatron: () => () => undefined }), engine });
  patron.newBrewers([{ topic: brewer.topic, brewer_id: brewer.brewerId, brewer_config: brewer.getConfig(), brew: BREW }]);
  return patron;
}

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** The shortest time that is measured, in ms: the clocks of some browsers tick in milliseconds. */
const LEAST = 50;

/** Runs `round`, which handles `count` messages, again and again for `ms`; returns the median rate in messages a second. */
async function rate(count, ms, round) {
  const rates = [];
  const start = performance.now();
  do {
    const began = performance.now();
    let rounds = 0;
    let took;
    do {
      await round();
      rounds++;
      took = performance.now() - began;
    } while (took < LEAST);
    rates.push((rounds * count * 1000) / took);
  } while (performance.now() - start < ms);
  return median(rates);
}

/** Messages a second through a patron, in bursts of `perTick`. */
export async function burstRate({ engine, cipher, size, perTick = 64, ms }) {
  const count = 64 * 80;
  const { brewer, made } = await frames({ cipher, size, count, perTick, engine });
  const group = Math.max(1, Math.round((made.length / count) * perTick));
  return rate(count, ms, () => {
    let heard = 0;
    let done;
    const all = new Promise((resolve) => (done = resolve));
    const patron = patronOf(brewer, engine, () => {
      if (++heard === count) done();
    });
    return deliver().then(() => all);

    async function deliver() {
      for (let at = 0; at < made.length; at += group) {
        for (const frame of made.slice(at, at + group)) patron._handleCallback(brewer.brewerId, frame);
        await undefined;
      }
    }
  });
}

/** The same frames by another library's `open(payload)`, which may return a promise; in order, `perTick` at once. In messages a second. */
export async function othersRate({ engine, size, perTick = 64, ms, opener }) {
  const count = 64 * 20;
  const { brewer, made } = await frames({ cipher: 'aes-cbc', size, count, perTick, engine });
  const open = await opener(bytesOf(brewer.getConfig().cipher.key));
  let heard = 0;
  return rate(count, ms, async () => {
    for (let at = 0; at < made.length; at += perTick) {
      const opened = made.slice(at, at + perTick).map((frame) => open(frame.subarray(88)));
      for (const plain of opened) heard += (plain instanceof Promise ? await plain : plain).length;
    }
    return heard;
  });
}

/** µs from a frame to its callback, for messages that come one by one. */
export async function spacedTime({ engine, cipher, size, ms }) {
  const count = Math.max(8, Math.min(256, Math.floor(2 ** 20 / size)));
  const { brewer, made } = await frames({ cipher, size, count, perTick: 1, engine });
  let heard = false;
  let wake;
  // One patron for all rounds, as the other libraries have one key for all: with AES-CBC a repeated frame is no replay.
  const patron = patronOf(brewer, engine, () => {
    heard = true;
    wake?.();
  });
  return 1e6 / (await rate(count, ms, async () => {
    for (const frame of made) {
      heard = false;
      wake = undefined;
      patron._handleCallback(brewer.brewerId, frame);
      // If the callback was called at once, do not resolve a promise in it: the deeper the stack, the longer that takes in Firefox, 16 µs
      // at 60 calls; even at a few calls it takes as long as the message.
      await (heard ? undefined : new Promise((resolve) => (wake = resolve)));
    }
  }));
}

/**
 * The shortest time that an engine takes for such messages without a patron, in µs, to compare `spacedTime` with. Waits for each message
 * in the same way.
 */
export async function bareTime({ engine, size, ms, opener }) {
  const count = Math.max(8, Math.min(256, Math.floor(2 ** 20 / size)));
  const { brewer, made } = await frames({ cipher: 'aes-cbc', size, count, perTick: 1, engine });
  const open = await opener(bytesOf(brewer.getConfig().cipher.key));
  const payloads = made.map((frame) => frame.subarray(88));
  return 1e6 / (await rate(count, ms, async () => {
    for (const payload of payloads) {
      const plain = open(payload);
      await (plain instanceof Promise ? new Promise((resolve) => plain.then(resolve)) : undefined);
    }
  }));
}

const bytesOf = (hex) => Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16));
