import { STATUS_CODES } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { metricsText } from './metrics.js';
import type { ServerStats } from './stats.js';
import { isLoopback, readPath } from './upgrade.js';

/** Answers a plain HTTP request, as Node's `http` wants it. What it throws or rejects with is logged, and the answer is 500. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

const HEADERS: readonly (readonly [string, string])[] = [
  [
    'Content-Security-Policy',
    "default-src 'self'; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; form-action 'none'; " +
      "frame-ancestors 'none'",
  ],
  ['X-Content-Type-Options', 'nosniff'],
  ['Referrer-Policy', 'no-referrer'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
];

/** Sent only by TLS or on loopback: for other pages browsers ignore this header, and complain about it in the console. */
const OPENER_POLICY = 'Cross-Origin-Opener-Policy';

function setHeaders(response: ServerResponse): void {
  for (const [name, value] of HEADERS) response.setHeader(name, value);
  const { headers, socket } = response.req;
  if (socket instanceof TLSSocket || isLoopback(hostName(headers.host))) response.setHeader(OPENER_POLICY, 'same-origin');
}

const hostName = (host = ''): string => host.replace(/:\d*$/, '');

/** What the server's own pages need to know. */
export interface OwnPages {
  /** For /healthz: whether the server has ended, or is about to. */
  readonly isClosing: boolean;
  /** For /readyz: why no clients should be sent here; undefined when they may. */
  readonly problem: string | undefined;
  /** For /metrics; undefined where /metrics does not answer. */
  readonly stats: (() => ServerStats) | undefined;
}

/** Answers at the server's own paths, and leaves all others to `handler`. */
export function answer(
  request: IncomingMessage,
  response: ServerResponse,
  handler: RequestHandler | undefined,
  { isClosing, problem, stats }: OwnPages,
): void | Promise<void> {
  setHeaders(response);
  const path = readPath(request.url);
  if (path === '/healthz') {
    if (isClosing) say(response, 503, 'The server is shutting down.');
    else say(response, 200, 'ok');
  } else if (path === '/readyz') {
    if (problem === undefined) say(response, 200, 'ok');
    else say(response, 503, problem);
  } else if (path === '/metrics' && stats) {
    say(response, 200, metricsText(stats()).trimEnd(), 'text/plain; version=0.0.4; charset=utf-8');
  } else if (path === '/ws' || path === '/brew') {
    response.setHeader('Upgrade', 'websocket');
    response.setHeader('Connection', 'Upgrade');
    say(response, 426, 'This address is for WebSockets: connect with a Pubkeeper client.');
  } else if (handler) {
    return handler(request, response);
  } else {
    nothingHere(response);
  }
}

/** The answer to everything on a port that is for the relay only. */
export function answerRelayPort(response: ServerResponse): void {
  setHeaders(response);
  response.setHeader('Upgrade', 'websocket');
  response.setHeader('Connection', 'Upgrade');
  say(response, 426, 'This port is for WebSockets of the relay: connect with a Pubkeeper client.');
}

/** Refuses a plain request, and closes its connection. */
export function refuseRequest(response: ServerResponse, status: number, sentence: string): void {
  setHeaders(response);
  response.setHeader('Connection', 'close');
  say(response, status, sentence);
}

/** Refuses a WebSocket handshake with a sentence. */
export function refuse(socket: Duplex, status: number, sentence: string, headers: readonly string[] = []): void {
  const body = `${sentence}\n`;
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Connection: close',
    'Content-Type: text/plain; charset=utf-8',
    ...HEADERS.map(([name, value]) => `${name}: ${value}`),
    ...headers,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Answers with 404. */
export const nothingHere = (response: ServerResponse): void => say(response, 404, 'There is nothing at this address.');

/** Refuses a method that is neither GET nor HEAD. */
export function notAllowed(response: ServerResponse): void {
  response.setHeader('Allow', 'GET, HEAD');
  say(response, 405, 'Only GET and HEAD are allowed here.');
}

/** Closes the connection with the answer if the request has a body: nobody reads it here, and Node would go on to parse a body without end. */
export function takeNothing(response: ServerResponse): void {
  const { 'transfer-encoding': coding, 'content-length': length } = response.req.headers;
  if (coding !== undefined || Number(length) > 0) response.setHeader('Connection', 'close');
}

/** Answers with a sentence. */
export function say(response: ServerResponse, status: number, sentence: string, type = 'text/plain; charset=utf-8'): void {
  const body = `${sentence}\n`;
  takeNothing(response);
  response.statusCode = status;
  response.setHeader('Content-Type', type);
  response.setHeader('Content-Length', Buffer.byteLength(body));
  response.setHeader('Cache-Control', 'no-store');
  response.end(body);
}
