import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { show } from '../core/id.js';
import { type Message, Patron, type PatronOptions, type PubkeeperClient, PubkeeperError } from '../index.js';
import { cancelFrame, nextFrame } from './frame.js';
import { assertFunction, optionsOf } from './options.js';
import { useProvided } from './provider.js';

/** The options of {@link usePatron}. */
export interface UsePatronOptions {
  /** How many messages are kept for rendering, the newest last. Default 100; 0: none, if you only use `onMessage`. */
  readonly keep?: number | undefined;
  /** Called with each message as it comes, also with those that are never rendered. May be a new function at each render. If it throws or its promise rejects, that is an `error` event (`CALLBACK_FAILED`) of the client. */
  readonly onMessage?: ((message: Message) => unknown) | undefined;
  /** As for a `Patron`. Default `true`. */
  readonly crypto?: PatronOptions['crypto'];
  /** As for a `Patron`. By default every encryption is accepted, and `crypto` decides about plaintext. */
  readonly minCipher?: PatronOptions['minCipher'];
}

/** What {@link usePatron} returns. */
export interface PatronView {
  /** The newest messages, the newest last. */
  readonly messages: readonly Message[];
  /** Whether there is a brewer. */
  readonly isMatched: boolean;
}

const NOTHING: PatronView = { messages: [], isMatched: false };

/**
 * Subscribes to a topic pattern while the component is mounted; with `null` in its place, to nothing for now. However many messages come,
 * the component renders at most once a frame.
 * @throws {PubkeeperError} `OPTION_INVALID` without a provider above or for a wrong option, `PATTERN_INVALID`
 */
export function usePatron(pattern: string | null, options?: UsePatronOptions | null): PatronView {
  const { client } = useProvided('usePatron');
  const { keep = 100, onMessage, crypto = true, minCipher } = optionsOf(options);
  if (typeof keep !== 'number' || !(keep >= 0)) throw new PubkeeperError('OPTION_INVALID', `keep must be a number of messages, 0 or more, not ${show(keep)}.`);
  assertFunction('onMessage', onMessage);
  // A computed number, for example from a height, may not be whole. With one below 1, `slice` would keep all messages.
  const most = Math.floor(keep);
  const latest = useRef(onMessage);
  useEffect(() => {
    latest.current = onMessage;
  });
  const size = useRef(most);
  useEffect(() => {
    size.current = most;
  });
  const store = useMemo(
    () => (pattern === null ? IDLE : patronStore(client, pattern, { crypto, minCipher }, () => size.current, (message) => latest.current?.(message))),
    [client, pattern, crypto, minCipher],
  );
  const { messages, isMatched } = useSyncExternalStore(store.subscribe, store.read, nothing);
  // Leaves out messages that were gathered before `keep` became smaller.
  const shown = useMemo(() => (messages.length > most ? newest(messages, most) : messages), [messages, most]);
  return useMemo(() => ({ messages: shown, isMatched }), [shown, isMatched]);
}

/**
 * The newest message on a topic, or on any topic of a pattern; undefined until one has come, and with `null` in the place of a topic.
 * @throws {PubkeeperError} as {@link usePatron}
 */
export const useLatest = (topic: string | null, options?: Pick<UsePatronOptions, 'crypto' | 'minCipher'> | null): Message | undefined =>
  usePatron(topic, { ...optionsOf(options), keep: 1 }).messages[0];

const nothing = (): PatronView => NOTHING;

/** A view as `useSyncExternalStore` reads it. */
interface PatronStore {
  readonly subscribe: (changed: () => void) => () => void;
  readonly read: () => PatronView;
}

/** Without a pattern. */
const IDLE: PatronStore = { subscribe: () => () => undefined, read: nothing };

const newest = <T>(items: readonly T[], count: number): readonly T[] => (count ? items.slice(-count) : []);

/** The last message of a brewer, and its place in the order in which all messages came. */
interface Arrival {
  readonly sequence: number;
  readonly at: number;
}

/** How many brewers are remembered for each client. */
const MOST_ARRIVALS = 4096;

/** For each client, by brewer: the first key is the brewer that has been silent longest. */
const arrivals = new WeakMap<PubkeeperClient, Map<string, Arrival>>();

let count = 0;

/**
 * The place of a message in the order in which all messages came. Each patron gets the last values again, one of each brewer, in the order of its
 * matches: one that another component has already had keeps its old place. Only sealed messages can be recognised.
 */
function arrivalOf(client: PubkeeperClient, { brewerId, sequence, retained }: Message): number {
  let known = arrivals.get(client);
  if (!known) arrivals.set(client, (known = new Map<string, Arrival>()));
  const last = known.get(brewerId);
  if (retained && last && sequence !== undefined && sequence <= last.sequence) return last.at;
  const at = ++count;
  known.delete(brewerId);
  if (sequence !== undefined) known.set(brewerId, { sequence, at });
  if (known.size > MOST_ARRIVALS) known.delete(known.keys().next().value!);
  return at;
}

/** Gathers what a patron gets, as `useSyncExternalStore` reads it: one value, replaced at most once a frame. */
function patronStore(
  client: PubkeeperClient,
  pattern: string,
  options: PatronOptions,
  size: () => number,
  passOn: (message: Message) => unknown,
): PatronStore {
  let view = NOTHING;
  /** The newest last. */
  const kept: { readonly message: Message; readonly at: number }[] = [];
  let changed: (() => void) | undefined;
  /** Whether messages have come that `view` does not have. */
  let isBehind = false;
  const publish = (): void => {
    const { isMatched } = patron;
    if (!isBehind && isMatched === view.isMatched) return;
    // The same array for the same messages: an effect may depend on it.
    view = { messages: isBehind ? newest(kept, size()).map(({ message }) => message) : view.messages, isMatched };
    isBehind = false;
    changed?.();
  };
  /** Whether a message is a last value that comes again, to a component that was hidden and is shown again. */
  const isKnown = ({ brewerId, data, retained }: Message): boolean => {
    const last = retained && [...kept].reverse().find(({ message }) => message.brewerId === brewerId);
    return !!last && String(last.message.data) === String(data);
  };
  const later = (): void => void (changed && nextFrame(publish));
  const patron = new Patron(
    pattern,
    (_, message) => {
      const keep = size();
      const at = arrivalOf(client, message);
      if (keep && !isKnown(message)) {
        let place = kept.length;
        while (place && kept[place - 1]!.at > at) place--;
        kept.splice(place, 0, { message, at });
        // A hidden tab gets messages, but no frames to render them in.
        if (kept.length > 2 * keep) kept.splice(0, kept.length - keep);
        isBehind = true;
        later();
      }
      // Last, and returned: then an exception or a rejection becomes an `error` event of the client.
      return passOn(message);
    },
    options,
  );
  patron.on('added', later);
  patron.on('removed', ({ brewerId }) => {
    // The brewer's next session counts from 0 again. If only this component stops reading, the session goes on.
    if (changed) arrivals.get(client)?.delete(brewerId);
    later();
  });
  return {
    read: () => view,
    subscribe(listener) {
      changed = listener;
      client.addPatron(patron);
      return () => {
        changed = undefined;
        client.removePatron(patron);
        cancelFrame(publish);
        // The component may only be hidden: it shows this when it is shown again.
        publish();
      };
    },
  };
}
