import { createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { type ClientState, type PubkeeperClient, PubkeeperError } from '../index.js';
import { assertFunction } from './options.js';

/** The props of {@link PubkeeperProvider}. */
export interface PubkeeperProviderProps {
  /** Make it outside of any component, or keep it in a state: a new client is a new connection. */
  readonly client: PubkeeperClient;
  /** Called with the reason why the client could not connect, or gave up later. Default: it goes to the console. `usePubkeeper().error` has it too. */
  readonly onError?: ((error: PubkeeperError) => void) | undefined;
  /** The components whose hooks use the client. */
  readonly children?: ReactNode;
}

interface Provided {
  readonly client: PubkeeperClient;
  readonly error: PubkeeperError | undefined;
}

const Context = createContext<Provided | undefined>(undefined);

/** How many mounted providers use a client: a page may have several roots. */
const mounted = /* @__PURE__ */ new WeakMap<PubkeeperClient, number>();

/**
 * Gives a client to the hooks of all components below. Connects it on mount and disconnects it on unmount, unless another
 * provider still uses it. When rendering on a server, it does neither.
 * @throws {PubkeeperError} `OPTION_INVALID` without a `client`
 */
export function PubkeeperProvider({ client, onError, children }: PubkeeperProviderProps): ReactElement {
  const [failure, setFailure] = useState<Provided>();
  const told = useRef(onError);
  useEffect(() => {
    told.current = onError;
  });
  assertFunction('onError', onError);
  if (typeof (client as PubkeeperClient | undefined)?.connect !== 'function') {
    throw new PubkeeperError('OPTION_INVALID', '<PubkeeperProvider> needs its property client: a PubkeeperClient, made outside of any component.');
  }
  useEffect(() => {
    let isMounted = true;
    let last: PubkeeperError | undefined;
    const fail = (error: PubkeeperError): void => {
      // After an unmount, which StrictMode does on purpose, nobody waits for this connection any more. Nor does an application that has called
      // disconnect() itself.
      if (!isMounted || error.code === 'CONNECTION_CLOSED' || error === last) return;
      last = error;
      setFailure({ client, error });
      (told.current ?? report)(error);
    };
    mounted.set(client, (mounted.get(client) ?? 0) + 1);
    const undo = watchEnd(client, fail, () => setFailure(undefined));
    client.connect().catch(fail);
    return () => {
      isMounted = false;
      undo();
      setFailure(undefined);
      mounted.set(client, mounted.get(client)! - 1);
      // Only when React has run all effects of this change: another provider may take the place of this one, as when a user goes to another
      // page of the application.
      void Promise.resolve().then(() => {
        if (!mounted.get(client)) void client.disconnect();
      });
    };
  }, [client]);
  const error = failure?.client === client ? failure.error : undefined;
  const provided = useMemo(() => ({ client, error }), [client, error]);
  return createElement(Context.Provider, { value: provided }, children);
}

/**
 * Calls `ended` with the reason when a connected client has given up (for example because its token was refused at a reconnect), or when it could
 * not connect after the application called connect() again; calls `back` when it is back. The reason comes as an `error` event right after the
 * state. A listener that stayed for ever would keep all errors from the client's logger.
 */
function watchEnd(client: PubkeeperClient, ended: (error: PubkeeperError) => void, back: () => void): () => void {
  let deaf: (() => void) | undefined;
  /** Whether only connect() brings the client back: a client that tries again by itself leaves the state `disconnected` within the same tick. */
  let isOver = false;
  const unwatch = client.on('state', (state) => {
    deaf?.();
    deaf = undefined;
    // Joins the connect() that the application has called, because the reason of its failure is no `error` event.
    if (isOver && state === 'connecting') client.connect().catch(ended);
    isOver = false;
    if (state !== 'disconnected') return back();
    const undo = (deaf = client.on('error', ended));
    void Promise.resolve().then(() => {
      undo();
      isOver = deaf === undo;
    });
  });
  return () => {
    deaf?.();
    unwatch();
  };
}

const report = (error: PubkeeperError): void => console.error(error);

/** What {@link usePubkeeper} returns. */
export interface PubkeeperView {
  /** The client of the provider. */
  readonly client: PubkeeperClient;
  /** Its state; `'disconnected'` while a server renders. */
  readonly state: ClientState;
  /** Why the client could not connect, or gave up later; undefined unless `state` is `'disconnected'`. */
  readonly error: PubkeeperError | undefined;
}

/**
 * The client of the provider above and its state; re-renders when the state changes.
 * @throws {PubkeeperError} `OPTION_INVALID` without a provider above
 */
export function usePubkeeper(): PubkeeperView {
  const { client, error } = useProvided('usePubkeeper');
  const subscribe = useMemo(() => (changed: () => void) => client.on('state', changed), [client]);
  const state = useSyncExternalStore(subscribe, () => client.state, disconnected);
  // As with the state: the context may have an error already when a part of the page is hydrated late.
  const failure = useSyncExternalStore(never, () => error, none);
  const why = state === 'disconnected' ? failure : undefined;
  return useMemo(() => ({ client, state, error: why }), [client, state, why]);
}

const disconnected = (): ClientState => 'disconnected';

const none = (): undefined => undefined;

const never = (): (() => void) => none;

/** @throws {PubkeeperError} `OPTION_INVALID` without a provider above */
export function useProvided(hook: string): Provided {
  const provided = useContext(Context);
  if (provided) return provided;
  throw new PubkeeperError('OPTION_INVALID', `${hook} needs a <PubkeeperProvider client={…}> above the component.`);
}
