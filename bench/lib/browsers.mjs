// The browsers of e2e/engines, each launched once per run, with pages that load given scripts.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const CODE = here('../results/engines/');

/** Compiles the tests' drivers: they are TypeScript, which not every Node reads. */
function translate() {
  for (const folder of ['', 'engines/']) {
    mkdirSync(`${CODE}${folder}`, { recursive: true });
    const from = here(`../../e2e/${folder}`);
    for (const file of folder ? readdirSync(from) : ['browsers.ts', 'engines.ts']) {
      const { outputText } = ts.transpileModule(readFileSync(from + file, 'utf8'), {
        compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
      });
      writeFileSync(`${CODE}${folder}${file.replace(/\.ts$/, '.js')}`, outputText);
    }
  }
}

translate();
const { engineKinds } = await import(new URL('../results/engines/engines.js', import.meta.url));
const kinds = new Map(engineKinds.map((kind) => [kind.name, kind]));
const launched = new Map();
const scripts = [];
let site;

/** Why a browser cannot be used; undefined when it can. */
export const missingBrowser = (name) => {
  const why = kinds.get(name).missing();
  return why ? `${name}: ${why}` : undefined;
};

/** Opens a page in that browser and runs these scripts in it. Wait for one call before the next. */
export async function openPage(name, ...codes) {
  if (!launched.has(name)) launched.set(name, kinds.get(name).launch());
  const engine = await launched.get(name);
  site ??= await serve();
  const tags = codes.map((code) => {
    let at = scripts.indexOf(code);
    if (at < 0) at = scripts.push(code) - 1;
    return at;
  });
  return engine.open(`${site.url}/?${tags.join('&')}`);
}

export async function closeBrowsers() {
  for (const engine of launched.values()) await (await engine).close();
  launched.clear();
  site?.server.close();
}

async function serve() {
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url, 'http://any');
    const script = /^\/(\d+)\.js$/.exec(pathname)?.[1];
    if (script) return response.setHeader('Content-Type', 'text/javascript').end(scripts[script]);
    const tags = search.slice(1).split('&').filter(Boolean).map((at) => `<script src="/${at}.js"></script>`);
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    return response.end(`<!doctype html><title>bench</title><link rel="icon" href="data:,">${tags.join('')}`);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}
