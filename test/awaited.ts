import type { Brewer, PubkeeperClient } from '../src/index.js';

// Events and messages that tests wait for.

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

/** The texts that a patron gets, to be awaited one by one. */
export function inbox() {
  const texts: string[] = [];
  const retained: boolean[] = [];
  const waiting: (() => void)[] = [];
  let read = 0;
  return {
    texts,
    retained,
    callback: (_data: unknown, message: { text(): string; retained: boolean }) => {
      texts.push(message.text());
      retained.push(message.retained);
      waiting.splice(0).forEach((run) => run());
    },
    async next(): Promise<string> {
      while (texts.length <= read) await new Promise<void>((resolve) => waiting.push(resolve));
      return texts[read++]!;
    },
    /** All texts up to this one. */
    async upTo(text: string): Promise<string[]> {
      while (!texts.includes(text, read)) await new Promise<void>((resolve) => waiting.push(resolve));
      const end = texts.indexOf(text, read) + 1;
      return texts.slice(read, (read = end));
    },
  };
}
