import { type EnginePage, guarded, unguard } from './engine.js';

// What Playwright's and Puppeteer's pages have in common, which is what the tests need of them.

interface ConsoleLine {
  type(): string;
  text(): string;
}

/** What takes notice of a page's events of these names. */
interface Listeners {
  console(message: ConsoleLine): void;
  pageerror(error: unknown): void;
}

interface Tab {
  goto(url: string): Promise<unknown>;
  evaluate(expression: string): Promise<unknown>;
}

const WARNINGS = ['warning', 'warn', 'error'];

/** Opens `url` in a tab that is there; resolves when it has loaded. `listen` is to add the listeners, and is called before. */
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
