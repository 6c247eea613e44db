// A process that publishes or subscribes: `node role.mjs <peer> <role>`; its orders come as messages from the parent process.
import { peers } from '../peers/index.mjs';
import { breathe } from './net.mjs';

const [, , peerName, role] = process.argv;
const peer = peers[peerName];
// Keep orders that come while this process does not wait for one.
const orders = [];
let waiting;
process.on('message', (message) => {
  if (waiting) waiting(message);
  else orders.push(message);
  waiting = undefined;
});
const order = () => (orders.length ? orders.shift() : new Promise((resolve) => (waiting = resolve)));
/** Sends a message to the parent. Wait for it before an exit: that would cut off a message that is longer than the pipe's buffer. */
const tell = (message) => new Promise((resolve) => process.send(message, resolve));

const { info, ...options } = await order();
await { publish, subscribe, rawSubscribe, echo, spaced, idle }[role](options);

/** At each order, publishes for `ms`, and flushes after each window of messages; or, with `burst`, publishes that many messages. */
async function publish({ size, ms, burst }) {
  const publisher = await peer.publisher(info);
  const payload = new Uint8Array(size).fill(97);
  tell('ready');
  for (;;) {
    await order();
    let sent = 0;
    if (burst) {
      for (; sent < burst; sent++) await publisher.send(payload);
      await publisher.flush();
    } else {
      const until = performance.now() + ms;
      const window = Math.max(16, Math.min(1000, Math.floor(1e6 / size)));
      while (performance.now() < until) {
        for (let i = 0; i < window; i++, sent++) await publisher.send(payload);
        await publisher.flush();
        await breathe();
      }
    }
    tell({ sent });
  }
}

/** Counts the messages that come; at each order, tells the count and the time from the first to the last. */
async function subscribe() {
  let count = 0;
  let first = 0;
  let last = 0;
  await peer.subscribe(info, () => {
    last = performance.now();
    if (!count++) first = last;
  });
  tell('ready');
  for (;;) {
    await order();
    tell({ count, ms: last - first });
  }
}

/** Opens many connections that only count bytes. Tells when `wanted` bytes have come in all. */
async function rawSubscribe({ connections }) {
  let bytes = 0;
  let wanted = Infinity;
  const onBytes = (length) => {
    bytes += length;
    if (bytes >= wanted) {
      wanted = Infinity;
      tell({ bytes });
    }
  };
  for (let i = 0; i < connections; i++) await peer.rawSubscriber(info, onBytes);
  tell('ready');
  for (;;) {
    const what = await order();
    if (what === 'bytes' || bytes >= what.wanted) tell({ bytes });
    else wanted = what.wanted;
  }
}

/**
 * Milliseconds by the clock that all processes of a machine share. `performance.timeOrigin` is determined by each process for itself,
 * and is off by up to 50 µs.
 */
function sharedClock() {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** For latency: notes how long each message took; it contains the time at which it was sent. */
async function echo() {
  const taken = [];
  await peer.subscribe(info, (data) => {
    const sent = new DataView(data.buffer, data.byteOffset).getFloat64(0, true);
    taken.push(sharedClock() - sent);
  });
  tell('ready');
  await order();
  await tell({ taken });
  process.exit();
}

/** Publishes `perSecond` messages with the time in them, for `ms`. */
async function spaced({ size, perSecond, ms }) {
  const publisher = await peer.publisher(info);
  tell('ready');
  await order();
  const start = performance.now();
  let sent = 0;
  while (performance.now() - start < ms) {
    const due = ((performance.now() - start) / 1000) * perSecond;
    for (; sent < due; sent++) {
      const payload = new Uint8Array(size);
      new DataView(payload.buffer).setFloat64(0, sharedClock(), true);
      void publisher.send(payload);
    }
    await breathe();
  }
  await publisher.flush();
  tell({ sent });
  await order();
  process.exit();
}

/** Opens connections that do nothing, a hundred at a time. */
async function idle({ connections }) {
  tell('ready');
  await order();
  const start = performance.now();
  const kept = [];
  for (let opened = 0; opened < connections; opened += 100) {
    kept.push(...(await Promise.all(Array.from({ length: Math.min(100, connections - opened) }, () => peer.idle(info)))));
  }
  tell({ ms: performance.now() - start });
  await order();
  process.exit(kept.length ? 0 : 1);
}
