import { type EnginePage, guarded, unguard } from './engine.js';

// What pages of Playwright and Puppeteer have in common, which is all that the tests need.

interface ConsoleLine {
  type(): string;
  text(): string;
}

/** Listeners for a page's events of these names. */
interface Listeners {
  console(message: ConsoleLine): void;
  pageerror(error: unknown): void;
}

interface Tab {
  goto(url: string): Promise<unknown>;
  evaluate(expression: string): Promise<unknown>;
}

const WARNINGS = ['warning', 'warn', 'error'];

/** Opens `url` in an existing tab; resolves when it has loaded. `listen` adds the listeners, and is called before that. */
export async function openTab(tab: Tab, url: string, listen: (listeners: Listeners) => void, close: () => Promise<void>): Promise<EnginePage> {
  let problems: string[] = [];
  listen({
    console(message) {
      if (WARNINGS.includes(message.type())) problems.push(`${message.type()}: ${message.text()}`);
    },
    pageerror: (error) => void problems.push(`uncaught: ${String(error)}`),
  });
  await tab.goto(url);
  return {
    evaluate: async (expression) => unguard(await tab.evaluate(guarded(expression)), expression),
    async go(next) {
      problems = [];
      await tab.goto(next);
    },
    problems: () => problems,
    close,
  };
}
