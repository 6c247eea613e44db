import { dashboardHandler } from '../dashboard/handler.js';
import type { PubkeeperServer, RequestHandler } from '../server/index.js';
import { createServer, jsonLogger, LOG_LEVELS } from '../server/index.js';
import type { Logger, LogLevel } from '../server/index.js';
import { isLoopback } from '../server/upgrade.js';
import { show } from '../core/id.js';
import { ExitCode, usage } from './exit.js';
import type { OnHangup } from './hangup.js';
import { Output } from './output.js';
import { Run } from './run.js';
import { clusterOf, readSecrets, readsFiles } from './serve-files.js';
import { numbersOf } from './serve-flags.js';
import type { ServeFlags } from './serve-flags.js';
import type { Tell } from './tell.js';

/** A logger with all levels, among them `info`. */
type ServeLogger = Required<Logger> & { info(sentence: string): void };

/**
 * `pubkeeper serve`
 * @param onHangup called when the server runs, with what SIGHUP does from then on
 */
export async function serve(flags: ServeFlags, tell: Tell, onHangup: (running: OnHangup) => void): Promise<number> {
  const { port, host, relayPort, relayAddress, json, profile, origin, drainMs } = flags;
  const secrets = await readSecrets(flags);
  const cluster = await clusterOf(flags);
  check(flags, secrets.tokens !== undefined);
  let generated: string | undefined = undefined;
  // A generated token is given to the page, so that nobody has to type it.
  const http = dashboard(() => generated, numbersOf(flags).maxMessageBytes, tell);
  const logger = loggerOf(flags, tell);
  const server = await createServer({
    port,
    host,
    ...secrets,
    ...numbersOf(flags),
    ...(relayPort !== undefined && { relayPort }),
    ...(relayAddress && { relayAddresses: relayAddress }),
    ...(profile && { profile }),
    ...(origin && { origins: origin }),
    ...(flags.metrics !== undefined && { metrics: flags.metrics }),
    ...(http && { http }),
    ...(cluster && { cluster }),
    logger,
  });
  generated = server.token;
  // From here on a signal closes the server; before, it ends the process, also while that waits for NATS. Set up before the server is
  // announced, since whoever reads that may send a signal at once.
  const run = new Run(tell, () => ExitCode.OK);
  // The reader of stdout may go once it has read the address: that does not end the server.
  const output = new Output(process.stdout, () => undefined, (error) => run.fail(error));
  onHangup({ end: () => run.end(ExitCode.OK), reload: reloader(server, flags, logger) });
  if (json) output.write(`${JSON.stringify(describe(server, relayPort))}\n`);
  else announce(server, relayPort, http !== undefined, flags.logFormat === 'json' ? logger : { info: (sentence) => tell.note(sentence) });
  const code = await run.ended;
  // The person at the terminal has pressed a key, and knows; somebody who reads a log does not.
  const logged = flags.logFormat === 'json' ? logger : undefined;
  logged?.info(drainMs ? `Shutting down: new connections are refused, and those that are left are closed after ${drainMs} ms.` : 'Shutting down.');
  await Promise.all([server.close({ drainMs }), output.flush()]);
  logged?.info('Shut down.');
  return code;
}

/** Checks for flags that do not go together. */
function check({ port, relayPort, host, json, logFormat, profile, ticketKeyFile, verbose, logLevel }: ServeFlags, hasTokens: boolean): void {
  if (port && port === relayPort) throw usage(`--relay-port must not be --port, where the relay is too: leave it out, or give it another number than ${port}.`);
  if (!hasTokens && !isLoopback(host)) {
    throw usage(`A server on ${show(host)} can be reached from outside: give --token or --tokens, or leave out --host.`);
  }
  if (ticketKeyFile !== undefined && (profile ?? (isLoopback(host) ? 'open' : 'secured')) === 'open') {
    throw usage('--ticket-key-file is for --profile secured: in the profile open there are no tickets.');
  }
  if (logFormat === 'json' && !hasTokens && !json) {
    throw usage('A generated token must not appear in a log: give --token, --tokens or --jwt-key-file, or add --json to print it on stdout.');
  }
  if (verbose && logLevel !== undefined && logLevel !== 'debug') throw usage('--verbose means --log-level debug: leave one of them out.');
}

function loggerOf({ logFormat, logLevel, verbose }: ServeFlags, tell: Tell): ServeLogger {
  const level = logLevel ?? (verbose ? 'debug' : 'info');
  if (logFormat === 'json') return jsonLogger(level);
  if (level === 'debug') tell.verbose = true;
  const from = (own: LogLevel, run: (...data: unknown[]) => void): ((...data: unknown[]) => void) =>
    LOG_LEVELS.indexOf(own) >= LOG_LEVELS.indexOf(level) ? run : () => undefined;
  return {
    debug: from('debug', (text) => tell.detail(String(text))),
    info: from('info', (text) => tell.note(String(text))),
    warn: from('warn', (text) => tell.note(String(text))),
    error: (text: unknown, error: unknown) => tell.error(text, error),
  };
}

/** Reads everything again that came from files. If anything is wrong then, nothing changes. */
function reloader(server: PubkeeperServer, flags: ServeFlags, logger: ServeLogger): () => void {
  let reading = Promise.resolve();
  return () => {
    if (!readsFiles(flags)) return logger.info('SIGHUP: there are no files to read again.');
    // One after the other, so that what was read last counts.
    reading = reading.then(async () => {
      try {
        server.reload(await readSecrets(flags));
        logger.info('Tokens, keys and certificates were read again.');
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        logger.error(`Nothing has changed, because not all files could be read again: ${why}`);
      }
    });
  };
}

const describe = ({ url, relayUrl, port, token }: PubkeeperServer, relayPort: number | undefined): Record<string, unknown> => ({
  url,
  port,
  ...(relayPort !== undefined && { relayUrl }),
  ...(token !== undefined && { token }),
});

function announce({ url, relayUrl, token }: PubkeeperServer, relayPort: number | undefined, page: boolean, { info }: Pick<ServeLogger, 'info'>): void {
  info(`Serving at ${url}`);
  if (relayPort !== undefined) info(`Relay also at ${relayUrl}`);
  // Not by `URL`, which rejects an IPv6 address with a zone (::1%lo).
  if (page) info(`Dashboard at ${url.replace(/^ws(s?:\/\/[^/]+).*$/, 'http$1/')}`);
  if (token !== undefined) info(`Token, made for this run: ${token}`);
}

/** The dashboard; undefined where its files were not built, as in a checkout that was only compiled. */
function dashboard(token: () => string | undefined, maxMessageBytes: number | undefined, tell: Tell): RequestHandler | undefined {
  try {
    return dashboardHandler({ token, ...(maxMessageBytes !== undefined && { maxMessageBytes }) });
  } catch (error) {
    tell.detail(`There is no dashboard: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
