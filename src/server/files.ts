import { readdirSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { PubkeeperError } from '../core/errors.js';
import { show } from '../core/id.js';
import { errorCode } from './auth.js';
import { notAllowed, nothingHere, say, type RequestHandler } from './http.js';
import { readPath } from './upgrade.js';

// Files by plain HTTP. Whatever becomes of one after the server has started (it is gone after an upgrade, no descriptor is
// left to open it with) is an answer to who has asked for it, and never the end of the server.

const TYPES: Readonly<Record<string, string>> = {
  avif: 'image/avif', css: 'text/css', csv: 'text/csv', gif: 'image/gif', htm: 'text/html', html: 'text/html', ico: 'image/x-icon', jpeg: 'image/jpeg',
  jpg: 'image/jpeg', js: 'text/javascript', json: 'application/json', map: 'application/json', md: 'text/markdown', mjs: 'text/javascript', mp3: 'audio/mpeg',
  mp4: 'video/mp4', otf: 'font/otf', pdf: 'application/pdf', png: 'image/png', svg: 'image/svg+xml', ttf: 'font/ttf', txt: 'text/plain', wasm: 'application/wasm',
  wav: 'audio/wav', webm: 'video/webm', webmanifest: 'application/manifest+json', webp: 'image/webp', woff: 'font/woff', woff2: 'font/woff2', xml: 'text/xml',
};

/** What a path without a name of a file may stand for. */
const MEANT = ['', '.html', '/index.html', '.htm', '/index.htm'];

/**
 * Serves the files of a directory, for the option `http` of `createServer`. Their names are read once, what is in them when
 * it is asked for; names that begin with a dot are left out.
 * @throws {PubkeeperError} `OPTION_INVALID` when it is no directory
 */
export function serveFiles(directory: string): RequestHandler {
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    const message = `There is no directory ${show(directory)} to serve files from.`;
    throw new PubkeeperError('OPTION_INVALID', message, { directory });
  }
  const files = new Map<string, string>();
  list(directory, '', files);
  return async (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return notAllowed(response);
    const path = decoded(readPath(request.url)).replace(/\/$/, '');
    const name = MEANT.map((end) => path + end).find((one) => files.has(one));
    if (name === undefined) return nothingHere(response);
    let file: FileHandle;
    try {
      file = await open(files.get(name)!);
    } catch (error) {
      const code = errorCode(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return nothingHere(response);
      if (code === 'EMFILE' || code === 'ENFILE') return say(response, 503, 'The server has too much open to read this now: try again.');
      throw error;
    }
    try {
      await send(request, response, file, extname(name).slice(1).toLowerCase());
    } finally {
      await file.close();
    }
  };
}

function list(directory: string, path: string, files: Map<string, string>): void {
  for (const name of readdirSync(directory)) {
    if (name.startsWith('.') && name !== '.well-known') continue;
    const full = join(directory, name);
    // Links count as what they lead to; one that leads nowhere is left out.
    const found = statSync(full, { throwIfNoEntry: false });
    if (found?.isDirectory()) list(full, `${path}/${name}`, files);
    else if (found?.isFile()) files.set(`${path}/${name}`.normalize(), full);
  }
}

function decoded(path: string): string {
  try {
    return decodeURI(path).normalize();
  } catch {
    return path;
  }
}

async function send(request: IncomingMessage, response: ServerResponse, file: FileHandle, extension: string): Promise<void> {
  const { size, mtime } = await file.stat();
  const type = TYPES[extension] ?? 'application/octet-stream';
  const etag = `W/"${size}-${mtime.getTime()}"`;
  response.setHeader('ETag', etag);
  response.setHeader('Last-Modified', mtime.toUTCString());
  // Asked for again each time, and sent only when it has changed: a page and its scripts are of one version.
  response.setHeader('Cache-Control', 'no-cache');
  response.setHeader('Accept-Ranges', 'bytes');
  const { 'if-none-match': known, 'if-range': ifRange, range } = request.headers;
  if (known !== undefined && (known.trim() === '*' || known.split(',').some((one) => one.trim() === etag))) {
    response.statusCode = 304;
    response.end();
    return;
  }
  // Which version the rest is wanted of cannot be told from an ETag that is weak: then it is all.
  const part = request.method === 'GET' && ifRange === undefined ? readRange(range, size) : undefined;
  if (part === 'none') {
    response.setHeader('Content-Range', `bytes */${size}`);
    return say(response, 416, `This has ${size} bytes: ask for some of these.`);
  }
  const [start, end] = part ?? [0, size - 1];
  const length = end - start + 1;
  if (part) {
    response.statusCode = 206;
    response.setHeader('Content-Range', `bytes ${start}-${end}/${size}`);
  }
  response.setHeader('Content-Type', /^(text\/|application\/(json|manifest))/.test(type) ? `${type}; charset=utf-8` : type);
  response.setHeader('Content-Length', length);
  if (request.method === 'HEAD' || !length) return void response.end();
  const { socket } = request;
  const stream = file.createReadStream({ start, end, autoClose: false });
  try {
    await pipeline(stream, response);
  } catch (error) {
    // Who has asked is gone.
    if (errorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  }
  // It has become shorter meanwhile: what comes next on this connection would be taken for the rest.
  if (stream.bytesRead !== length) socket.destroy();
}

/** The first and the last byte that a `Range` asks for; undefined for all of it, `'none'` where there is nothing of it. */
function readRange(range: string | undefined, size: number): readonly [start: number, end: number] | 'none' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? [];
  // Several parts, other units and nonsense may be answered by all of it.
  if (first === '' && last === '') return undefined;
  if (first === '') return Number(last) && size ? [Math.max(0, size - Number(last)), size - 1] : 'none';
  if (last !== '' && Number(last) < Number(first)) return undefined;
  return Number(first) < size ? [Number(first), Math.min(last === '' ? Infinity : Number(last), size - 1)] : 'none';
}
