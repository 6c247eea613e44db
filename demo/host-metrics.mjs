// Measurements of this machine that need no dependency, as topics and JSON values.
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, freemem, loadavg, totalmem, uptime } from 'node:os';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** @typedef {{ topic: string, value: Record<string, number> }} Sample `topic` without the host's prefix */

/** How often the event loop's delay is measured, in ms. */
const RESOLUTION = 10;

/**
 * Text as one segment of a topic: letters, digits, `_` and `-` stay, everything else becomes `-`.
 * @param {string} text
 */
export const toSegment = (text) => text.replace(/[^\p{L}\p{N}_-]+/gu, '-') || '-';

/** Measures what has happened since the last sample; so rates begin with the second one. */
export class HostMetrics {
  #delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  #cpus = cpus();
  #interfaces = readInterfaces();
  #utilization = performance.eventLoopUtilization();
  #at = performance.now();

  constructor() {
    this.#delay.enable();
  }

  /** @returns {Sample[]} */
  sample() {
    const now = performance.now();
    const seconds = (now - this.#at) / 1000;
    this.#at = now;
    return [...this.#cpu(), memory(), this.#eventLoop(), ...this.#net(seconds), ...load(), up()];
  }

  stop() {
    this.#delay.disable();
  }

  /** @returns {Sample[]} */
  #cpu() {
    const before = this.#cpus;
    this.#cpus = cpus();
    return this.#cpus.map(({ times }, index) => {
      const then = before[index]?.times ?? times;
      const idle = times.idle - then.idle;
      const all = sum(times) - sum(then);
      return { topic: `cpu.${index}`, value: { load: all > 0 ? round((100 * (all - idle)) / all, 1) : 0 } };
    });
  }

  /** @returns {Sample} */
  #eventLoop() {
    const utilization = performance.eventLoopUtilization(this.#utilization);
    this.#utilization = performance.eventLoopUtilization();
    // The histogram holds the time between two measurements in nanoseconds, which is the resolution plus the delay.
    const delay = (/** @type {number} */ nanoseconds) => Math.max(0, round(nanoseconds / 1e6 - RESOLUTION, 2));
    const value = {
      p50: delay(this.#delay.percentile(50)),
      p99: delay(this.#delay.percentile(99)),
      max: delay(this.#delay.max),
      busy: round(100 * utilization.utilization, 1),
    };
    this.#delay.reset();
    return { topic: 'eventloop', value };
  }

  /** @param {number} seconds @returns {Sample[]} */
  #net(seconds) {
    const before = this.#interfaces;
    this.#interfaces = readInterfaces();
    return [...this.#interfaces].map(([name, now]) => {
      const then = before.get(name) ?? now;
      // A counter that went back was reset together with its interface.
      const rate = (/** @type {number} */ from, /** @type {number} */ to) => Math.max(0, Math.round((to - from) / seconds));
      return { topic: `net.${toSegment(name)}`, value: { in: rate(then.received, now.received), out: rate(then.sent, now.sent) } };
    });
  }
}

/** @returns {Sample} */
function memory() {
  const total = totalmem();
  const used = total - freemem();
  return { topic: 'memory', value: { used, total, percent: round((100 * used) / total, 1) } };
}

/** @returns {Sample[]} */
function load() {
  // Windows has no load average, and gives 0.
  if (process.platform === 'win32') return [];
  const [one = 0, five = 0, fifteen = 0] = loadavg();
  return [{ topic: 'load', value: { '1m': round(one, 2), '5m': round(five, 2), '15m': round(fifteen, 2), cores: availableParallelism() } }];
}

/** @returns {Sample} */
const up = () => ({ topic: 'uptime', value: { host: Math.round(uptime()), process: Math.round(process.uptime()) } });

/** Bytes received and sent since boot, by interface. Only Linux gives them without a helper program. */
function readInterfaces() {
  /** @type {Map<string, { received: number, sent: number }>} */
  const found = new Map();
  let text;
  try {
    text = readFileSync('/proc/net/dev', 'utf8');
  } catch {
    return found;
  }
  for (const line of text.split('\n')) {
    const match = /^\s*(\S+?):\s*(\d.*)$/.exec(line);
    if (!match?.[1] || !match[2]) continue;
    const columns = match[2].trim().split(/\s+/).map(Number);
    found.set(match[1], { received: columns[0] ?? 0, sent: columns[8] ?? 0 });
  }
  return found;
}

const sum = (/** @type {object} */ times) => Object.values(times).reduce((total, ms) => total + ms, 0);

const round = (/** @type {number} */ value, /** @type {number} */ digits) => Number(value.toFixed(digits));
