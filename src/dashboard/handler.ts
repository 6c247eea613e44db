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
   * A token that the page is given so that nobody has to type it: only for a server that is bound to loopback and made
   * that token up. A function is called for each request: the token is known only when the server runs. Default: none,
   * and the page asks for one.
   */
  readonly token?: string | (() => string | undefined);
  /** The server's option of that name: the page refuses to brew what is longer. Default: the server's default, 1 MiB. */
  readonly maxMessageBytes?: number;
  /** Where the files of the page are. Default: where the build puts them. */
  readonly directory?: string;
}

/** The page talks to WebSockets of any server, and to nothing else; text never becomes markup or code. */
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
 * Serves the dashboard, for the option `http` of `createServer`; and under /dashboard.json what it needs to connect.
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
  // No error status for a reason: the page would have to show it, and its console would complain.
  response.end(JSON.stringify({ server, maxMessageBytes, ...(reason === undefined ? { token } : { reason }) }));
}

/** How the page came: a server with a certificate takes nothing but TLS. */
const schemeOf = ({ socket }: IncomingMessage): 'https:' | 'http:' => (socket instanceof TLSSocket ? 'https:' : 'http:');

/**
 * Why the token is not told; undefined where the request is our own page's, opened on this machine. A page of a stranger that made its name lead here (DNS
 * rebinding) bears that name in Host; one that asks across origins says so in Origin or Sec-Fetch-Site; and who comes
 * through a proxy may be anywhere.
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

/** Whether only a proxy sends this header. One that passes Host on may pass on a Host that its client has made up. */
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
