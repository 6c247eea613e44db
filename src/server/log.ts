import { PubkeeperError } from '../core/errors.js';
import type { Logger } from '../core/host.js';
import { show } from '../core/id.js';
import { Bucket } from './bucket.js';

/** The levels of a {@link jsonLogger}, from the most that is written to the least. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * A logger that writes each entry as one line of JSON: `time`, `level`, `message`, and `error` where there is one. What this
 * server logs holds neither tokens nor keys.
 * @param level the least that is written; default `'warn'`
 * @param write takes a line, its line break included; default: stderr
 * @throws {PubkeeperError} `OPTION_INVALID`: there is no such level
 */
export function jsonLogger(
  level: LogLevel = 'warn',
  write: (line: string) => void = (line) => void process.stderr.write(line),
): Required<Logger> & {
  /** Logs a normal event, such as a start: `pubkeeper serve` does so, `createServer` does not. */
  info(...data: unknown[]): void;
} {
  const least = LOG_LEVELS.indexOf(level);
  if (least < 0) throw new PubkeeperError('OPTION_INVALID', `A log level is one of ${LOG_LEVELS.join(', ')}, not ${show(level)}.`, { level });
  const at =
    (own: LogLevel) =>
    (...data: unknown[]): void => {
      if (LOG_LEVELS.indexOf(own) < least) return;
      const error = data.find((item) => item instanceof Error);
      const message = data.filter((item) => item !== error).map(String).join(' ') || error?.message;
      const entry = { time: new Date().toISOString(), level: own, message, ...(error && { error: describe(error) }) };
      write(`${JSON.stringify(entry)}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** How many lines of one level are written at once, and then per second. */
const [BURST, RATE] = [100, 1];

/**
 * A logger for events that strangers can cause as often as they like, such as refused tokens: they must not fill a disk. It says how many
 * lines it has left out.
 * @param now a clock in milliseconds
 */
export function sparing(logger: Logger, now?: () => number): Logger {
  const spare = (write: (...data: unknown[]) => void): Logger['warn'] => {
    const budget = new Bucket(RATE, BURST, now);
    let omitted = 0;
    return (...data) => {
      if (budget.take(0)) return void omitted++;
      budget.take(1);
      if (omitted) write(`${omitted} lines were left out before this one, because there were too many: stats().drops and /metrics count what is refused.`);
      omitted = 0;
      write(...data);
    };
  };
  return { debug: (...data) => logger.debug?.(...data), warn: spare((...data) => logger.warn(...data)), error: spare((...data) => logger.error(...data)) };
}

/** Logs a fault. The text includes the message of what was thrown, because pino ignores arguments after a text. */
export function logFault(logger: Pick<Logger, 'error'>, what: string, thrown: unknown): void {
  logger.error(`${what}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, ...(thrown instanceof Error ? [thrown] : []));
}

function describe(error: Error): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  return {
    name,
    ...('code' in error && { code: error.code }),
    message,
    stack,
    ...(cause instanceof Error && { cause: describe(cause) }),
  };
}
