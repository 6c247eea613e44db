import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { serveFiles } from '../server/files.js';
import { notAllowed, takeNothing } from '../server/http.js';
import type { RequestHandler } from '../server/http.js';
import { authorityOf, isLoopback, readPath } from '../server/upgrade.js';

/** The options of {@link dashboardHandler}. */
export interface DashboardOptions {
  /**
   * A token for the page, so that nobody has to type it: only for a server that is bound to loopback and has generated the
   * token. A function is called for each request, because the token is known only when the server runs. Default: none, and
   * the page asks for one.
   */
  readonly token?: string | (() => string | undefined);
  /** The server's option of that name, in bytes: the page refuses to brew longer messages. Default: the server's default, 1 MiB. */
  readonly maxMessageBytes?: number;
  /** Where the files of the page are. Default: where the build puts them. */
  readonly directory?: string;
}

/** The page may connect to WebSockets of any server, and to nothing else; text never becomes markup or code. */
const POLICY = [
  "default-src 'self'",
  "connect-src 'self' ws: wss:",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * Serves the dashboard, for the option `http` of `createServer`; and, as /dashboard.json, what the page needs to connect.
 * @throws {PubkeeperError} `OPTION_INVALID` when the page was not built
 */
export function dashboardHandler(options: DashboardOptions = {}): RequestHandler {
  const { token, maxMessageBytes = 1024 * 1024, directory = fileURLToPath(new URL('./public', import.meta.url)) } = options;
  const files = serveFiles(directory);
  return (request, response) => {
    response.setHeader('Content-Security-Policy', POLICY);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (readPath(request.url) !== '/dashboard.json') return files(request, response);
    tellConnection(request, response, maxMessageBytes, typeof token === 'function' ? token() : token);
  };
}

function tellConnection(request: IncomingMessage, response: ServerResponse, maxMessageBytes: number, token: string | undefined): void {
  response.setHeader('Cache-Control', 'no-store');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return notAllowed(response);
  }
  takeNothing(response);
  const { host = '' } = request.headers;
  const reason = token === undefined ? undefined : whyNoToken(request, host);
  response.setHeader('Content-Type', 'application/json');
  const server = `${schemeOf(request).replace('http', 'ws')}//${host}/ws`;
  // No error status with a reason: the browser's console would complain about it.
  response.end(JSON.stringify({ server, maxMessageBytes, ...(reason === undefined ? { token } : { reason }) }));
}

/** The scheme by which the page came: a server with a certificate accepts nothing but TLS. */
const schemeOf = ({ socket }: IncomingMessage): 'https:' | 'http:' => (socket instanceof TLSSocket ? 'https:' : 'http:');

/**
 * Why the token is withheld; undefined if the request comes from our own page, opened on this machine. A foreign page whose name was
 * made to resolve to this host (DNS rebinding) has that name in Host; a request across origins has Origin or Sec-Fetch-Site; and a
 * request through a proxy may come from anywhere.
 */
function whyNoToken(request: IncomingMessage, host: string): string | undefined {
  const { headers } = request;
  const { origin, 'sec-fetch-site': site } = headers;
  if (Object.keys(headers).some(isOfProxy)) return BY_PROXY;
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return STRANGER;
  const scheme = schemeOf(request);
  const here = parse(`http://${host}`);
  if (!here || !isLoopback(here.hostname)) return `${ELSEWHERE} ${scheme}//127.0.0.1:${request.socket.localPort ?? ''}/.`;
  if (origin === undefined) return undefined;
  const from = parse(origin);
  return from?.protocol === scheme && authorityOf(scheme, from.host) === authorityOf(scheme, host) ? undefined : STRANGER;
}

/** Whether only proxies send this header. A proxy that passes Host on may pass on one that its client has made up. */
const isOfProxy = (header: string): boolean => header.startsWith('x-forwarded-') || ['forwarded', 'via', 'x-real-ip'].includes(header);

const BY_PROXY = 'This page came through a proxy, and the server shows its token only on its own machine. Copy it from where the server was started.';
const STRANGER = 'The server shows its token only to its own page.';
const ELSEWHERE = 'The server shows its token only on its own machine. Copy it from where the server was started, or open the dashboard there:';

function parse(url: string): URL | undefined {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}
