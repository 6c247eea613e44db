// Runs in the page: functions for the tests of page life, beside those of `sdk`.
import type * as Bundle from '../../src/index.js';
import type { Counts, Probe } from './probe.js';

declare const Pubkeeper: typeof Bundle;
declare const probe: Probe;

const events: string[] = [];
const note = (name: string): void => void events.push(name);
addEventListener('pageshow', ({ persisted }) => note(persisted ? 'pageshow from cache' : 'pageshow'));
for (const name of ['pagehide', 'online', 'offline']) addEventListener(name, () => note(name));
for (const name of ['freeze', 'resume']) document.addEventListener(name, () => note(name));
document.addEventListener('visibilitychange', () => note(document.visibilityState));

let ticks = 0;
setInterval(() => ticks++, 100);

export const life = {
  /** The page's events since the last call. */
  events: (): string[] => events.splice(0),
  /** How often a timer of 100 ms has run since the last call. */
  ticks(): number {
    const count = ticks;
    ticks = 0;
    return count;
  },
  /** How many WebSockets were made so far. */
  dialled: () => probe.dialled.length,
  /** How many timers were started so far. */
  timersStarted: () => probe.timersStarted(),
  /** Moves the clock forward, as when the machine was asleep. */
  oversleep(ms: number): void {
    const now = Date.now;
    Date.now = () => now() + ms;
  },

  /** Counts what is in use before, during and after that many cycles of connect and disconnect with one client. */
  async cycle(server: string, token: string, times: number): Promise<{ before: Counts; between: Counts; after: Counts }> {
    const before = probe.counts();
    const client = new Pubkeeper.PubkeeperClient({ server, token });
    client.addPatron('cycle.patron.**', () => undefined);
    client.addBrewer('cycle.brewer');
    let between = before;
    for (let i = 0; i < times; i++) {
      await client.connect();
      between = probe.counts();
      await client.disconnect();
    }
    return { before, between, after: probe.counts() };
  },
};

Object.assign(globalThis, { life });
export type Life = typeof life;
