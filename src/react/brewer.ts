import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { Brewer, type BrewerOptions } from '../index.js';
import { optionsOf } from './options.js';
import { useProvided } from './provider.js';

/** What {@link useBrewer} returns. */
export interface BrewerView<Present extends Brewer | undefined = Brewer> {
  /** Whether a patron (subscriber) is matched. */
  readonly isMatched: boolean;
  /** Sends bytes, like `brew` of a `Brewer`. This and the two below stay the same functions as long as the brewer and `isMatched` do. */
  readonly brew: Brewer['brew'];
  /** Sends text as UTF-8. */
  readonly brewText: Brewer['brewText'];
  /** Sends a value as JSON. */
  readonly brewJSON: Brewer['brewJSON'];
  /** The brewer itself, for its events; undefined if the topic is `null`. */
  readonly brewer: Present;
}

/** The options of {@link useBrewer}. */
type Options = Pick<BrewerOptions, 'crypto' | 'cipher'> | null;

/**
 * Publishes on a topic while the component is mounted; with `null` in its place, on none for now. Re-renders when the first patron comes and
 * when the last one leaves. The options are those of a `Brewer`, with its defaults.
 * @throws {PubkeeperError} `OPTION_INVALID` without a provider above or for a wrong option, `TOPIC_INVALID`
 */
export function useBrewer(topic: string, options?: Options): BrewerView;
export function useBrewer(topic: string | null, options?: Options): BrewerView<Brewer | undefined>;
export function useBrewer(topic: string | null, options?: Options): BrewerView<Brewer | undefined> {
  const { client } = useProvided('useBrewer');
  const { crypto = true, cipher = 'aes-gcm' } = optionsOf(options);
  // A function may be a new one at each render. That must not make a new brewer, which would have to be matched again.
  const make = useRef(cipher);
  useEffect(() => {
    make.current = cipher;
  });
  const kind = typeof cipher === 'function' ? undefined : cipher;
  const store = useMemo(() => {
    if (topic === null) return IDLE;
    const brewer = new Brewer(topic, { crypto, cipher: kind === undefined ? (identity) => (make.current as MakeSealer)(identity) : kind });
    return {
      brewer,
      read: () => brewer.isMatched,
      subscribe(changed: () => void) {
        const undo = [brewer.on('matched', changed), brewer.on('unmatched', changed)];
        client.addBrewer(brewer);
        return () => {
          for (const run of undo) run();
          client.removeBrewer(brewer);
        };
      },
    };
  }, [client, topic, crypto, kind]);
  const isMatched = useSyncExternalStore(store.subscribe, store.read, unmatched);
  return useMemo(() => {
    const { brewer } = store;
    return {
      isMatched,
      brewer,
      // Without a topic, what is brewed is discarded, whatever it is.
      brew: (data) => brewer?.brew(data) ?? Promise.resolve(),
      brewText: (text) => brewer?.brewText(text) ?? Promise.resolve(),
      brewJSON: (value) => brewer?.brewJSON(value) ?? Promise.resolve(),
    };
  }, [store, isMatched]);
}

/** The type of a function that makes the application's own cipher. */
type MakeSealer = Exclude<BrewerOptions['cipher'], string | undefined>;

const unmatched = (): boolean => false;

/** Without a topic. */
const IDLE = { brewer: undefined, read: unmatched, subscribe: () => () => undefined };
