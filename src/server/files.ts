import { statSync } from 'node:fs';
import type { ReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import send from 'send';
import { PubkeeperError } from '../core/errors.js';
import { show } from '../core/id.js';
import { notAllowed, nothingHere, say, takeNothing, type RequestHandler } from './http.js';
import { readPath } from './upgrade.js';

/** The error that `send` emits when it cannot send a file. */
interface Failure extends Error {
  readonly status: number;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Headers about the file, which may be set before the file turns out to be unreadable. */
const OF_THE_FILE = ['Accept-Ranges', 'Content-Range', 'ETag', 'Last-Modified'];

/**
 * Serves the files of a directory, for the option `http` of `createServer`, to GET and HEAD: `index.html` for a directory, and `x.html` for
 * `/x` where there is no other such file. Names that begin with a dot are left out.
 * @param directory its path; relative to the working directory of the process, if it is not absolute
 * @throws {PubkeeperError} `OPTION_INVALID` when it is no directory, or no text
 */
export function serveFiles(directory: string): RequestHandler {
  // A URL would be accepted here, and each request would fail.
  if (typeof directory !== 'string') {
    throw new PubkeeperError('OPTION_INVALID', 'serveFiles() takes the path of a directory as text: fileURLToPath() of node:url makes it of a URL.');
  }
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    const message = `There is no directory ${show(directory)} to serve files from.`;
    throw new PubkeeperError('OPTION_INVALID', message, { directory });
  }
  return (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return notAllowed(response);
    takeNothing(response);
    // Browsers ask again each time, and get a file only if it has changed: so a page and its scripts are of the same version.
    response.setHeader('Cache-Control', 'no-cache');
    sendFile(directory, readPath(request.url), request, response);
  };
}

function sendFile(root: string, path: string, request: IncomingMessage, response: ServerResponse): void {
  send(request, path, { root, dotfiles: 'ignore', extensions: ['html'], cacheControl: false })
    // No redirect: a proxy may serve this under a path that is not known here.
    .on('directory', () => sendFile(root, `${path}/`, request, response))
    .on('stream', (file: ReadStream) => {
      // If the file has become shorter meanwhile, cut the connection: the client would take the next answer for the rest of the file.
      file.once('end', () => file.bytesRead === Number(response.getHeader('Content-Length')) || request.socket.destroy());
    })
    // Whatever happens to a file after the server has started leads to an answer for the client that asked for it, never to the end of the server.
    .on('error', (failure: Failure) => refuse(failure, response))
    .pipe(response);
}

function refuse({ status, code, headers = {} }: Failure, response: ServerResponse): void {
  if (response.headersSent) return void response.destroy();
  for (const name of OF_THE_FILE) response.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (status === 416) say(response, status, 'There is no such range: request the whole file.');
  else if (status === 412) say(response, status, 'The file has changed: request it without a condition.');
  else if (code === 'EMFILE' || code === 'ENFILE') say(response, 503, 'The server has too many open files to read this one now: try again later.');
  else if (status < 500) nothingHere(response);
  else say(response, 500, 'The server cannot read this file: check its permissions.');
}
