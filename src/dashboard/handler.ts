import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { serveFiles } from '../server/http.js';
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
  const { token, directory = fileURLToPath(new URL('./public', import.meta.url)) } = options;
  const files = serveFiles(directory);
  return (request, response) => {
    response.setHeader('Content-Security-Policy', POLICY);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (readPath(request.url) !== '/dashboard.json') return files(request, response);
    tellConnection(request, response, typeof token === 'function' ? token() : token);
  };
}

function tellConnection(request: IncomingMessage, response: ServerResponse, token: string | undefined): void {
  response.setHeader('Cache-Control', 'no-store');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    return say(response, 405, 'This can only be read.');
  }
  const { host = '' } = request.headers;
  if (token !== undefined && !mayHaveToken(request, host)) {
    return say(response, 403, 'The token is told to pages of this machine only: open the dashboard by http://127.0.0.1.');
  }
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({ server: `${schemeOf(request).replace('http', 'ws')}//${host}/ws`, token }));
}

/** How the page came: a server with a certificate takes nothing but TLS. */
const schemeOf = ({ socket }: IncomingMessage): 'https:' | 'http:' => (socket instanceof TLSSocket ? 'https:' : 'http:');

/**
 * Whether the request is our own page's, opened on this machine. A page of a stranger that made its name lead here (DNS
 * rebinding) bears that name in Host; one that asks across origins says so in Origin or Sec-Fetch-Site; and who comes
 * through a proxy may be anywhere.
 */
function mayHaveToken(request: IncomingMessage, host: string): boolean {
  const { headers } = request;
  const { origin, 'sec-fetch-site': site } = headers;
  if (headers.forwarded !== undefined || headers.via !== undefined || headers['x-forwarded-for'] !== undefined) return false;
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  const here = parse(`http://${host}`);
  if (!here || !isLoopback(here.hostname)) return false;
  if (origin === undefined) return true;
  const from = parse(origin);
  const scheme = schemeOf(request);
  return from?.protocol === scheme && authorityOf(scheme, from.host) === authorityOf(scheme, host);
}

function parse(url: string): URL | undefined {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}

function say(response: ServerResponse, status: number, sentence: string): void {
  response.statusCode = status;
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.end(`${sentence}\n`);
}
