import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { Brewer, type BrewerOptions } from '../index.js';
import { useProvided } from './provider.js';

/** What {@link useBrewer} returns. */
export interface BrewerView {
  /** Whether a patron (subscriber) is matched. */
  readonly isMatched: boolean;
  /** Sends bytes, like `brew` of a `Brewer`. This and the two below stay the same functions as long as the brewer and `isMatched` do. */
  readonly brew: Brewer['brew'];
  /** Sends text as UTF-8. */
  readonly brewText: Brewer['brewText'];
  /** Sends a value as JSON. */
  readonly brewJSON: Brewer['brewJSON'];
  /** The brewer itself, for its events. */
  readonly brewer: Brewer;
}

/**
 * Publishes on a topic while the component is mounted. Re-renders when the first patron comes and when the last one leaves. The options
 * are those of a `Brewer`, with its defaults.
 * @throws {PubkeeperError} `OPTION_INVALID` without a provider above or for a wrong option, `TOPIC_INVALID`
 */
export function useBrewer(topic: string, { crypto = true, cipher = 'aes-gcm' }: Pick<BrewerOptions, 'crypto' | 'cipher'> = {}): BrewerView {
  const { client } = useProvided('useBrewer');
  // A function may be a new one at each render. That must not make a new brewer, which would have to be matched again.
  const make = useRef(cipher);
  useEffect(() => {
    make.current = cipher;
  });
  const name = typeof cipher === 'function' ? undefined : cipher;
  const store = useMemo(() => {
    const brewer = new Brewer(topic, { crypto, cipher: name ?? ((identity) => (make.current as MakeSealer)(identity)) });
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
  }, [client, topic, crypto, name]);
  const isMatched = useSyncExternalStore(store.subscribe, store.read, unmatched);
  return useMemo(() => {
    const { brewer } = store;
    return {
      isMatched,
      brewer,
      brew: (data) => brewer.brew(data),
      brewText: (text) => brewer.brewText(text),
      brewJSON: (value) => brewer.brewJSON(value),
    };
  }, [store, isMatched]);
}

/** The type of a function that makes the application's own cipher. */
type MakeSealer = Exclude<BrewerOptions['cipher'], string | undefined>;

const unmatched = (): boolean => false;
