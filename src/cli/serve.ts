import { readFile } from 'node:fs/promises';
import { dashboardHandler } from '../dashboard/handler.js';
import type { Authenticator, ClusterOptions, PubkeeperServer, RequestHandler, Right } from '../server/index.js';
import { createServer, readTokens, Tokens } from '../server/index.js';
import { isLoopback } from '../server/upgrade.js';
import { show } from '../core/id.js';
import { ExitCode, failure, systemCode, usage } from './exit.js';
import { Output } from './output.js';
import { Run } from './run.js';
import type { Tell } from './tell.js';
import { either, EVERYTHING, tokenTable } from './tokens.js';

export interface ServeFlags {
  readonly port: number;
  readonly host: string;
  readonly relayPort?: number;
  readonly tokens?: string;
  readonly token?: ReadonlyMap<string, readonly Right[]>;
  readonly profile?: 'open' | 'secured';
  readonly origin?: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly json?: true;
  readonly cluster?: string;
  readonly clusterName: string;
  readonly clusterCredentials?: string;
  readonly clusterReplicas?: number;
  readonly ticketKeys?: string;
}

/** `pubkeeper serve` */
export async function serve(flags: ServeFlags, tell: Tell): Promise<number> {
  const { port, host, relayPort, json, profile, origin } = flags;
  const tokens = await authenticator(flags);
  const tls = await certificate(flags);
  const cluster = await clusterOf(flags);
  const ticketKeys = flags.ticketKeys === undefined ? undefined : await readKeys(flags.ticketKeys);
  if (!tokens && !isLoopback(host)) {
    throw usage(`A server on ${show(host)} can be reached from outside: give --token or --tokens, or leave out --host.`);
  }
  const run = new Run(tell, () => ExitCode.OK);
  // Whoever reads the address has read it and may go.
  const output = new Output(process.stdout, () => undefined, (error) => run.fail(error));
  let generated: string | undefined = undefined;
  // A token that was made here is given to the page, so that nobody has to type it.
  const http = dashboard(() => generated, tell);
  const server = await createServer({
    port,
    host,
    ...(relayPort !== undefined && { relayPort }),
    ...(tokens && { tokens }),
    ...(profile && { profile }),
    ...(origin && { origins: origin }),
    ...(tls && { tls }),
    ...(http && { http }),
    ...(cluster && { cluster }),
    ...(ticketKeys && { ticketKeys }),
    logger: {
      debug: (text: unknown) => tell.detail(String(text)),
      warn: (text: unknown) => tell.note(String(text)),
      error: (text: unknown, error: unknown) => tell.error(error ?? text),
    },
  });
  generated = server.token;
  if (json) output.write(`${JSON.stringify(describe(server, relayPort))}\n`);
  else announce(server, relayPort, http !== undefined, tell);
  const code = await run.ended;
  await Promise.all([server.close(), output.flush()]);
  return code;
}

/** Who may connect, by the flags or else by PUBKEEPER_TOKEN; undefined where nothing says so. */
async function authenticator({ tokens: path, token }: ServeFlags): Promise<Authenticator | undefined> {
  const own = process.env['PUBKEEPER_TOKEN'];
  const table = token ?? (own && path === undefined ? new Map([[own, EVERYTHING]]) : undefined);
  const given = table && new Tokens(tokenTable(table));
  if (path === undefined) return given;
  const read = await readTokens(path);
  return given ? either(given, read) : read;
}

/** The two files of TLS; undefined where neither is given. */
async function certificate({ tlsCert, tlsKey }: ServeFlags): Promise<{ cert: string; key: string } | undefined> {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) throw usage('--tls-cert and --tls-key go together: give both, or neither.');
  return { cert: await read(tlsCert), key: await read(tlsKey) };
}

const read = (path: string): Promise<string> =>
  readFile(path, 'utf8').catch((cause: unknown) => {
    throw failure(`The file ${show(path)} cannot be read (${systemCode(cause) || 'unknown reason'}): check its name and its rights.`, cause);
  });

/** The cluster, and what it says to NATS: names, passwords and tokens come from the environment, where `ps` does not show them. */
async function clusterOf(flags: ServeFlags): Promise<ClusterOptions | undefined> {
  const { cluster, clusterName, clusterCredentials, clusterReplicas } = flags;
  if (cluster === undefined) return undefined;
  const env = (name: string): string | undefined => process.env[`PUBKEEPER_CLUSTER_${name}`] || undefined;
  const [username, password, token] = [env('USER'), env('PASSWORD'), env('TOKEN')];
  return {
    servers: cluster,
    name: clusterName,
    ...(clusterReplicas !== undefined && { replicas: clusterReplicas }),
    ...(clusterCredentials !== undefined && { credentials: await read(clusterCredentials) }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(token !== undefined && { token }),
  };
}

async function readKeys(path: string): Promise<Uint8Array[]> {
  const lines = (await read(path)).split(/\s+/).filter(Boolean);
  // What is in the file is not shown: these are keys.
  if (lines.length < 1 || lines.length > 2 || !lines.every((line) => /^([\da-f]{2}){32,}$/i.test(line))) {
    throw usage(`The file ${show(path)} must hold one or two keys of 64 hex digits, each on a line: make one with openssl rand -hex 32.`);
  }
  return lines.map((line) => Buffer.from(line, 'hex'));
}

const describe = ({ url, relayUrl, port, token }: PubkeeperServer, relayPort: number | undefined): Record<string, unknown> => ({
  url,
  port,
  ...(relayPort !== undefined && { relayUrl }),
  ...(token !== undefined && { token }),
});

function announce({ url, relayUrl, token }: PubkeeperServer, relayPort: number | undefined, page: boolean, tell: Tell): void {
  tell.note(`Serving at ${url}`);
  if (relayPort !== undefined) tell.note(`Relay also at ${relayUrl}`);
  if (page) tell.note(`Dashboard at ${new URL('/', url.replace(/^ws/, 'http')).href}`);
  if (token !== undefined) tell.note(`Token, made for this run: ${token}`);
}

/** The dashboard; undefined where its files were not built, as in a checkout that was only compiled. */
function dashboard(token: () => string | undefined, tell: Tell): RequestHandler | undefined {
  try {
    return dashboardHandler({ token });
  } catch (error) {
    tell.detail(`There is no dashboard: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
