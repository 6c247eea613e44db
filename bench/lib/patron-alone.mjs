// What a patron does with the frames of one brewer, without any network: frame in, callback out. For Node and for pages.
import { Brewer, Patron } from '../../dist/index.js';

const BREW = { name: 'bench' };
const PATRON = '0'.repeat(32);

/** The end of a tick, after what promises do. */
const tick = () =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), resolve());
    port2.postMessage(0);
  });

/** A brewer, and its frames of `count` messages of `size` bytes, `perTick` of them brewed in each tick. */
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

/** How long is timed at once, in ms: the clocks of some browsers go by milliseconds. */
const LEAST = 50;

/** Runs `round`, which handles `count` messages, for `ms`; gives the median of how many it does in a second. */
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

/** The same frames by somebody else's `open(payload)`, which may give a promise; in order, `perTick` under way at once. */
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

/** µs from a frame in to its callback, for messages that come one by one. */
export async function spacedTime({ engine, cipher, size, ms }) {
  const count = Math.max(8, Math.min(256, Math.floor(2 ** 20 / size)));
  const { brewer, made } = await frames({ cipher, size, count, perTick: 1, engine });
  let heard = false;
  let wake;
  // One for all rounds, as the others have one key for all: AES-CBC knows no replays.
  const patron = patronOf(brewer, engine, () => {
    heard = true;
    wake?.();
  });
  return 1e6 / (await rate(count, ms, async () => {
    for (const frame of made) {
      heard = false;
      wake = undefined;
      patron._handleCallback(brewer.brewerId, frame);
      // Where it is heard at once, no promise is resolved in the callback: in Firefox that takes the longer the deeper the stack
      // is, 16 µs at 60 calls, and at a few calls as long as the message.
      await (heard ? undefined : new Promise((resolve) => (wake = resolve)));
    }
  }));
}

/**
 * The least that an engine takes for such messages, without a patron: what a spaced message is compared with. What waits for it is
 * the same as above.
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
