import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { type Message, Patron, type PatronOptions, type PubkeeperClient, PubkeeperError } from '../index.js';
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
 * Subscribes to a topic pattern while the component is mounted. However many messages come, the component renders at most once
 * a frame.
 * @throws {PubkeeperError} `OPTION_INVALID` without a provider above or for a wrong option, `PATTERN_INVALID`
 */
export function usePatron(pattern: string, { keep = 100, onMessage, crypto = true, minCipher }: UsePatronOptions = {}): PatronView {
  const { client } = useProvided('usePatron');
  if (!(keep >= 0)) throw new PubkeeperError('OPTION_INVALID', `keep must be a number of messages, 0 or more, not ${String(keep)}.`);
  // What was computed, as from a height, may be no whole number. Of less than one message nothing could be taken away.
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
    () => patronStore(client, pattern, { crypto, ...(minCipher && { minCipher }) }, () => size.current, (message) => latest.current?.(message)),
    [client, pattern, crypto, minCipher],
  );
  const view = useSyncExternalStore(store.subscribe, store.read, nothing);
  // What was gathered before fewer were wanted.
  return useMemo(() => (view.messages.length > most ? { ...view, messages: newest(view.messages, most) } : view), [view, most]);
}

/**
 * The newest message on a topic, or on any topic of a pattern; undefined until one has come.
 * @throws {PubkeeperError} as {@link usePatron}
 */
export const useLatest = (topic: string, options: Pick<UsePatronOptions, 'crypto' | 'minCipher'> = {}): Message | undefined =>
  usePatron(topic, { ...options, keep: 1 }).messages[0];

const nothing = (): PatronView => NOTHING;

const newest = (messages: readonly Message[], count: number): readonly Message[] => (count ? messages.slice(-count) : []);

/** Gathers what a patron gets, as `useSyncExternalStore` reads it: one value, replaced at most once a frame. */
function patronStore(
  client: PubkeeperClient,
  pattern: string,
  options: PatronOptions,
  size: () => number,
  passOn: (message: Message) => unknown,
): { subscribe: (changed: () => void) => () => void; read: () => PatronView } {
  let view = NOTHING;
  const messages: Message[] = [];
  let changed: (() => void) | undefined;
  let cancel: (() => void) | undefined;
  const publish = (): void => {
    cancel = undefined;
    view = { messages: newest(messages, size()), isMatched: patron.isMatched };
    changed?.();
  };
  /** Whether it is a last value that is given again to a component that was hidden and is shown again. */
  const isKnown = ({ brewerId, data, retained }: Message): boolean => {
    const last = retained && [...messages].reverse().find((message) => message.brewerId === brewerId);
    return !!last && String(last.data) === String(data);
  };
  const later = (): void => void (cancel ??= nextFrame(publish));
  const patron = new Patron(
    pattern,
    (_, message) => {
      const keep = size();
      if (keep && !isKnown(message)) {
        messages.push(message);
        // In a hidden tab frames do not come, and messages do.
        if (messages.length > 2 * keep) messages.splice(0, keep);
        later();
      }
      // Last, and returned: what it throws, or its promise rejects with, is an `error` event of the client.
      return passOn(message);
    },
    options,
  );
  patron.on('added', later);
  patron.on('removed', later);
  return {
    read: () => view,
    subscribe(listener) {
      changed = listener;
      client.addPatron(patron);
      return () => {
        changed = undefined;
        client.removePatron(patron);
        cancel?.();
        cancel = undefined;
        view = { ...view, isMatched: false };
      };
    },
  };
}

/** A hidden tab has no frames, but a title and notifications: it renders so often, in ms. */
const HIDDEN_MS = 1000;

/** Runs before the next paint, or after a second where nothing is painted; returns what prevents it. */
function nextFrame(run: () => void): () => void {
  const paints = typeof requestAnimationFrame === 'function';
  // Both, since a tab may be hidden while its frame is on the way.
  const frame = paints ? requestAnimationFrame(() => go()) : 0;
  const timer = setTimeout(() => go(), paints ? HIDDEN_MS : 16);
  const stop = (): void => {
    clearTimeout(timer);
    if (paints) cancelAnimationFrame(frame);
  };
  const go = (): void => {
    stop();
    run();
  };
  return stop;
}
