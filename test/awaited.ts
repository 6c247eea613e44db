import type { Brewer, PubkeeperClient } from '../src/index.js';

// Events that tests wait for.

/** Resolves with the first event that is `wanted`. */
export const once = <Event>(subscribe: (listener: (event: Event) => void) => () => void, wanted: (event: Event) => boolean = () => true) =>
  new Promise<Event>((resolve) => {
    const undo = subscribe((event) => {
      if (!wanted(event)) return;
      undo();
      resolve(event);
    });
  });

export const matched = async (brewer: Brewer): Promise<void> => {
  if (!brewer.isMatched) await once((listener) => brewer.on('matched', listener));
};

export const inState = async (client: PubkeeperClient, wanted: string): Promise<void> => {
  if (client.state !== wanted) await once<string>((listener) => client.on('state', listener), (state) => state === wanted);
};
