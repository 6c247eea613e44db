import type { BrewMatch, CustomBrew } from '../../src/compat/index.js';

/** A transport within this process: a bus with topics. */
export function bus() {
  const listeners = new Map<string, Set<(frame: Uint8Array) => void>>();
  const log: string[] = [];
  const matches: BrewMatch[] = [];
  const frames: Uint8Array[] = [];
  const make = (options: { shared?: boolean; gate?: Promise<unknown> } = {}): CustomBrew => {
    const { shared = false, gate } = options;
    const connection = (topic: string) => ({
      brew: (frame: Uint8Array) => {
        frames.push(frame);
        listeners.get(topic)?.forEach((receive) => receive(frame));
      },
      close: () => log.push('brewer closed'),
    });
    const made = new Map<string, ReturnType<typeof connection>>();
    return {
      name: 'bus',
      brewerConfig: { channel: 7 },
      patronConfig: { volume: 11 },
      async connectBrewer(match) {
        matches.push(match);
        const known = made.get(match.brewerId) ?? connection(match.topic);
        if (shared) made.set(match.brewerId, known);
        await gate;
        log.push('brewer open');
        return known;
      },
      connectPatron(match, receive) {
        matches.push(match);
        const set = listeners.get(match.topic) ?? new Set();
        listeners.set(match.topic, set.add(receive));
        return {
          close: () => {
            set.delete(receive);
            log.push('patron closed');
          },
        };
      },
    };
  };
  return { make, log, matches, frames };
}
