import type { EnginePage } from './engines.js';

type Functions = Readonly<Record<string, (...args: never[]) => unknown>>;

/** The functions that a page offers under a global name, to be called from outside. */
export type Remote<Target extends Functions> = {
  readonly [Name in keyof Target]: (...args: Parameters<Target[Name]>) => Promise<Awaited<ReturnType<Target[Name]>>>;
};

/** `remote<Sdk>(page, 'sdk').connect()` calls `sdk.connect()` in the page. */
export const remote = <Target extends Functions>(page: Pick<EnginePage, 'evaluate'>, global: string): Remote<Target> =>
  new Proxy({} as Remote<Target>, {
    get: (_, name) => {
      // `await` must not take the proxy for a promise.
      if (name === 'then' || typeof name === 'symbol') return undefined;
      return (...args: unknown[]) => page.evaluate(`${global}.${name}(${args.map((arg) => JSON.stringify(arg)).join(', ')})`);
    },
  });
