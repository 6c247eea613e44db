// Runs in the page before the SDK is loaded: counts what the SDK uses, and records problems.

/** What is in use now. */
export interface Counts {
  readonly sockets: number;
  readonly timers: number;
  readonly listeners: number;
}

export interface Probe {
  counts(): Counts;
  /** The URLs of all WebSockets that were ever made. */
  readonly dialled: readonly string[];
  /** How many timers were ever started. */
  readonly timersStarted: () => number;
  /** Warnings, errors, exceptions, and what the page's policy has refused. */
  readonly problems: readonly string[];
}

// A block, as the top-level names of a classic script are shared with other scripts.
{
  const problems: string[] = [];
  const dialled: string[] = [];
  const sockets = new Set<WebSocket>();
  const timers = new Set<number>();
  let timersStarted = 0;
  const listeners = new Map<EventTarget, Set<string>>();
  const ids = new WeakMap<object, number>();
  let lastId = 0;

  const { addEventListener, removeEventListener } = EventTarget.prototype;
  const idOf = (listener: object): number => {
    const id = ids.get(listener) ?? ++lastId;
    ids.set(listener, id);
    return id;
  };
  type Listener = EventListenerOrEventListenerObject | null;
  type Options = boolean | AddEventListenerOptions | undefined;
  // The DOM distinguishes listeners by type, callback and phase.
  const keyOf = (type: string, listener: object, options: Options): string =>
    `${type} ${idOf(listener)} ${String(typeof options === 'object' ? !!options.capture : !!options)}`;
  EventTarget.prototype.addEventListener = function (this: EventTarget | undefined, type: string, listener: Listener, options?: Options) {
    const target = this ?? globalThis;
    if (listener) {
      const set = listeners.get(target) ?? new Set();
      const key = keyOf(type, listener, options);
      listeners.set(target, set.add(key));
      if (typeof options === 'object' && options.signal) addEventListener.call(options.signal, 'abort', () => set.delete(key));
    }
    addEventListener.call(target, type, listener, options);
  };
  EventTarget.prototype.removeEventListener = function (this: EventTarget | undefined, type: string, listener: Listener, options?: Options) {
    const target = this ?? globalThis;
    if (listener) listeners.get(target)?.delete(keyOf(type, listener, options));
    removeEventListener.call(target, type, listener, options);
  };

  globalThis.WebSocket = class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      dialled.push(String(url));
      sockets.add(this);
      addEventListener.call(this, 'close', () => sockets.delete(this));
    }
  };

  const { setTimeout: later, setInterval: often, clearTimeout: cancel } = globalThis;
  const started = (id: number): number => {
    timersStarted++;
    timers.add(id);
    return id;
  };
  const forget = (id: number | undefined): void => {
    if (id !== undefined) timers.delete(id);
    cancel(id);
  };
  Object.assign(globalThis, {
    setTimeout: (run: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): number => {
      const id = Number(
        later(() => {
          timers.delete(id);
          run(...args);
        }, ms),
      );
      return started(id);
    },
    setInterval: (run: () => void, ms?: number, ...args: unknown[]): number => started(Number(often(run, ms, ...args))),
    clearTimeout: forget,
    clearInterval: forget,
  });

  for (const level of ['warn', 'error'] as const) {
    const say = console[level].bind(console);
    console[level] = (...data: unknown[]) => {
      problems.push(`${level}: ${data.map(String).join(' ')}`);
      say(...data);
    };
  }
  const note = (name: string, read: (event: never) => unknown) =>
    addEventListener.call(globalThis, name, (event) => problems.push(`${name}: ${String(read(event as never))}`));
  note('error', ({ message }: ErrorEvent) => message);
  note('unhandledrejection', ({ reason }: PromiseRejectionEvent) => reason);
  note('securitypolicyviolation', ({ effectiveDirective, blockedURI }: SecurityPolicyViolationEvent) => `${effectiveDirective} ${blockedURI}`);

  const probe: Probe = {
    counts: () => ({
      sockets: sockets.size,
      timers: timers.size,
      listeners: [...listeners.values()].reduce((sum, set) => sum + set.size, 0),
    }),
    dialled,
    timersStarted: () => timersStarted,
    problems,
  };
  Object.assign(globalThis, { probe });
}
