import { Brewer, Patron } from '../index.js';
import { newId } from '../core/id.js';
import type { ClientFlags } from './arguments.js';
import { type BrewFlag, makeBrews } from './brews.js';
import { isAway, makeClient } from './connect.js';
import { ExitCode, failure } from './exit.js';
import { Output } from './output.js';
import { Run } from './run.js';
import type { Tell } from './tell.js';

export interface BenchFlags extends ClientFlags {
  readonly topic?: string;
  /** The length of one message, in bytes. */
  readonly size: number;
  /** How long each measurement takes, in seconds. */
  readonly seconds: number;
  readonly timeout: number;
  readonly json?: true;
}

/** What was measured over one brew. */
interface Figures {
  readonly messagesPerSecond: number;
  /** From `brew()` to the callback, of messages that are sent one at a time, in ms. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** How much is in transit at once while the rate is measured: less than what would make a relay or broker drop or refuse messages. */
const WINDOW_MESSAGES = 512;
const WINDOW_BYTES = 256 * 1024;
/** How many messages pass before the latency counts: until then code is compiled, and a broker's patron arrives. */
const WARM_UP = 50;
/** How many latencies are kept at most. */
const MAX_SAMPLES = 100_000;
/** If nothing arrives for this long while messages are in transit, in ms, those are lost. */
const STALLED = 10_000;

/** `pubkeeper bench` */
export async function bench(flags: BenchFlags, tell: Tell): Promise<number> {
  const run = new Run(tell, (code) => code);
  const output = new Output(process.stdout, () => run.end(ExitCode.OK), (error) => run.fail(error));
  let leave = async (): Promise<void> => undefined;

  const all = async (): Promise<void> => {
    let head = flags.json ? '' : row('brew', 'messages/s', 'p50 ms', 'p99 ms');
    for (const flag of flags.brew ?? [{ name: 'websocket', address: undefined } as const]) {
      const { brewer, patron, end } = await meet(flag);
      const figures = await measure(brewer, patron, flags, run);
      await end();
      if (run.isOver) return;
      output.write(head + (flags.json ? asJson(flag, flags, figures) : asRow(flag, figures)));
      head = '';
    }
  };

  /** Makes a brewer and a patron, each with a client of its own, and waits until they are matched over the brew. */
  const meet = async (flag: BrewFlag) => {
    const [reads, writes] = await Promise.all([makeBrews([flag], true), makeBrews([flag], true)]);
    const reader = makeClient(flags, reads, run);
    const writer = makeClient(flags, writes, run);
    // It has been reported. Without a connection all the time there is nothing to measure.
    for (const client of [reader, writer]) client.on('error', (error) => isAway(error, flags) && run.end(ExitCode.FAILURE));
    const end = (leave = async () => void (await Promise.all([writer.disconnect(), reader.disconnect()])));
    const topic = flags.topic ?? `bench.${newId()}`;
    const patron = new Arrivals(topic, flags);
    const brewer = new Brewer(topic, { cipher: flags.cipher });
    reader.addPatron(patron.patron);
    writer.addBrewer(brewer);
    tell.note(`Measuring ${flag.name} on ${topic}: ${flags.seconds} s one message at a time, then ${flags.seconds} s as fast as it goes …`);
    run.after(flags.timeout, () => {
      tell.note(`The brewer and the patron did not meet over ${flag.name} within ${flags.timeout} s.`);
      run.end(ExitCode.TIMEOUT);
    });
    const matched = new Promise<void>((resolve) => brewer.on('matched', () => resolve()));
    await reader.connect();
    await writer.connect();
    await matched;
    run.after(undefined);
    return { brewer, patron, end };
  };

  all().then(
    () => run.end(ExitCode.OK),
    (error: unknown) => run.fail(error),
  );
  const code = await run.ended;
  await Promise.all([leave(), output.flush()]);
  return code;
}

/** The patron's end: counts messages, and lets one caller wait for a count. */
class Arrivals {
  readonly patron: Patron;
  received = 0;
  #wanted = Infinity;
  #wake: (() => void) | undefined;

  constructor(topic: string, { cipher }: BenchFlags) {
    this.patron = new Patron(topic, () => this.#receive(), { minCipher: cipher });
  }

  /** Resolves when `count` messages have come since the beginning. */
  until(count: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.received >= count) return resolve();
      this.#wanted = count;
      this.#wake = resolve;
    });
  }

  #receive(): void {
    if (++this.received < this.#wanted) return;
    this.#wanted = Infinity;
    this.#wake?.();
  }
}

async function measure(brewer: Brewer, patron: Arrivals, { size, seconds }: BenchFlags, run: Run): Promise<Figures> {
  const message = new Uint8Array(size);
  let sent = 0;
  const send = (): void => {
    sent++;
    void brewer.brew(message);
  };
  let before = -1;
  const watch = setInterval(() => {
    if (patron.received === before && sent > before) {
      run.fail(failure(`Nothing came for ${STALLED / 1000} s: ${sent - before} of ${sent} messages are missing.`));
    }
    before = patron.received;
  }, STALLED);
  try {
    const latencies: number[] = [];
    let end = Infinity;
    // At least one sample, however short the time is.
    const isEnough = (): boolean => latencies.length > 0 && (performance.now() >= end || latencies.length >= MAX_SAMPLES);
    for (let count = 0; !run.isOver && !isEnough(); count++) {
      const began = performance.now();
      send();
      await patron.until(sent);
      if (count >= WARM_UP) latencies.push(performance.now() - began);
      else end = performance.now() + seconds * 1000;
      // Let the remaining work for this message end first, so that the next one does not benefit from it.
      await new Promise((resolve) => setImmediate(resolve));
    }
    const window = Math.max(1, Math.min(WINDOW_MESSAGES, Math.floor(WINDOW_BYTES / size)));
    const first = sent;
    const began = performance.now();
    while (!run.isOver && (sent === first || performance.now() - began < seconds * 1000)) {
      while (sent - patron.received < window) send();
      await patron.until(sent - Math.floor(window / 2));
    }
    await patron.until(sent);
    const took = (performance.now() - began) / 1000;
    latencies.sort((a, b) => a - b);
    return { messagesPerSecond: Math.round((sent - first) / took), p50Ms: part(latencies, 0.5), p99Ms: part(latencies, 0.99) };
  } finally {
    clearInterval(watch);
  }
}

/** A percentile: the smallest of `sorted` that this share of them does not exceed, in ms, rounded to µs. */
const part = (sorted: readonly number[], share: number): number =>
  Number((sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN).toFixed(3));

const row = (brew: string, rate: string, p50: string, p99: string): string =>
  `${brew.padEnd(10)}${rate.padStart(14)}${p50.padStart(10)}${p99.padStart(10)}\n`;

const asRow = ({ name }: BrewFlag, { messagesPerSecond, p50Ms, p99Ms }: Figures): string =>
  row(name, messagesPerSecond.toLocaleString('en'), p50Ms.toFixed(3), p99Ms.toFixed(3));

const asJson = ({ name }: BrewFlag, { cipher, size, seconds }: BenchFlags, figures: Figures): string =>
  `${JSON.stringify({ brew: name, cipher, size, seconds, ...figures })}\n`;
