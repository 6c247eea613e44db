import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

// The web server of the tests: pages under the strict policy that the SDK promises to run under.

export const STRICT_POLICY = "default-src 'self'; connect-src ws: wss:; require-trusted-types-for 'script'";

export interface SiteOptions {
  /** The address to bind to. Default: loopback. */
  readonly host?: string;
  /** The host name in `url`. Default: `host`. */
  readonly name?: string;
  /** Further files by path: content, or the path of a file when it begins with `/`. */
  readonly files?: Readonly<Record<string, string>>;
  /** A directory whose files are served below `/`. */
  readonly directory?: string;
  /** Default: {@link STRICT_POLICY}. Empty: none. */
  readonly policy?: string;
  /** Makes it an https site. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

export interface Site {
  /** Without a slash at the end. */
  readonly url: string;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.map': 'application/json',
};

/** A page that loads the probe, then the SDK's UMD bundle by script tag, and then the modules that a test calls. */
export const sdkPage = (...modules: string[]): string =>
  html(
    '<script src="/page/probe.js"></script>',
    '<script src="/pubkeeper.umd.min.js"></script>',
    ...modules.map((name) => `<script type="module" src="/page/${name}.js"></script>`),
  );

export const html = (...body: string[]): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>pubkeeper</title></head><body>${body.join('\n')}</body></html>`;

export async function serveSite({ host = '127.0.0.1', name = host, files = {}, directory, policy = STRICT_POLICY, tls }: SiteOptions = {}): Promise<Site> {
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = new URL(request.url ?? '/', 'http://any').pathname;
    const body = read(path, files, directory);
    if (policy) response.setHeader('Content-Security-Policy', policy);
    // A missing icon would be an error in the console.
    response.statusCode = body === undefined ? (path === '/favicon.ico' ? 204 : 404) : 200;
    response.setHeader('Content-Type', TYPES[extname(path) || '.html'] ?? 'application/octet-stream');
    response.end(body);
  };
  const server = tls ? createTlsServer(tls, answer) : createServer(answer);
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, host, resolve));
  return {
    url: `${tls ? 'https' : 'http'}://${name}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function read(path: string, files: Readonly<Record<string, string>>, directory: string | undefined): string | Buffer | undefined {
  const own = files[path];
  if (own !== undefined) return own.startsWith('/') && existsSync(own) ? readFileSync(own) : own;
  const bundle = /^\/(pubkeeper\.(?:umd|esm)\.min\.js)$/.exec(path)?.[1];
  if (bundle) return readFileSync(new URL(`../dist/${bundle}`, import.meta.url));
  const page = /^\/page\/([\w-]+)\.js$/.exec(path)?.[1];
  if (page) return pageCode(page);
  const inDirectory = directory && !path.includes('..') ? `${directory}${path}` : '';
  return inDirectory && extname(inDirectory) && existsSync(inDirectory) ? readFileSync(inDirectory) : undefined;
}

/** The code of a file in e2e/page without types, and without an empty export, which is an error in a classic script. */
function pageCode(name: string): string {
  const source = readFileSync(fileURLToPath(new URL(`page/${name}.ts`, import.meta.url)), 'utf8');
  const { outputText } = ts.transpileModule(source, { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext } });
  return outputText.replace(/^export \{\};$/m, '');
}
