import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const docs = readdirSync(`${root}docs`).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);

/** Names that an example may use without an import or declaration. */
const given = (document: string): Record<string, string> => {
  const home = document.startsWith('src/compat') ? 'pubkeeper/compat' : 'pubkeeper';
  return {
    PubkeeperClient: `import { PubkeeperClient } from '${home}';`,
    WebSocketBrew: `import { WebSocketBrew } from '${home}';`,
    client: 'declare const client: PubkeeperClient;',
    brews: 'declare const brews: WebSocketBrew[];',
    server: 'declare const server: string;',
    token: 'declare const token: string;',
    jwt: 'declare const jwt: string;',
    myLibrary: 'declare const myLibrary: Record<"seal" | "open", (key: Uint8Array, data: Uint8Array) => Uint8Array>;',
    myTransport: `declare const myTransport: {
      send(address: string, bytes: Uint8Array): void;
      on(address: string, run: (bytes: Uint8Array) => void): () => void;
    };`,
  };
};

const examples = new Map<string, string>();
/** The number of examples, also those in lists. */
let printed = 0;
for (const document of ['README.md', 'src/compat/README.md', ...docs]) {
  const text = readFileSync(root + document, 'utf8');
  printed += text.match(/^\s*(?:```|~~~)\s*(?:js|ts|jsx|tsx|[cm]js|[cm]ts|javascript|typescript)\b/gim)?.length ?? 0;
  for (const { 1: language, 2: code = '', index } of text.matchAll(/^```(js|ts|tsx)\n(.*?)^```/gms)) {
    const own = new RegExp(`\\b(?:const|class) (?:${Object.keys(given(document)).join('|')})\\b|^import .*;`, 'gm');
    const names: readonly string[] = (code.match(own) ?? []).join(' ').match(/\w+/g) ?? [];
    const missing = Object.entries(given(document)).filter(([name]) => !names.includes(name));
    // On one line, so that line numbers are those of the document.
    const before = '\n'.repeat(text.slice(0, index).split('\n').length) + missing.map(([, line]) => line.replace(/\n\s*/g, ' ')).join(' ');
    examples.set(`${root}${document.replaceAll('/', '-')}-${examples.size}.${language === 'tsx' ? 'tsx' : 'ts'}`, `${before.slice(1)}\n${code}\nexport {};\n`);
  }
}

it('every example of the documents compiles as it is printed', { timeout: 120_000 }, () => {
  const { config } = ts.readConfigFile(`${root}tsconfig.test.json`, ts.sys.readFile) as { config: object };
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: ['none.ts'] }, ts.sys, root);
  const settings = { ...options, jsx: ts.JsxEmit.ReactJSX, skipLibCheck: true };
  const host = ts.createCompilerHost(settings);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => examples.has(path) || fileExists(path);
  host.readFile = (path) => examples.get(path) ?? readFile(path);
  host.getSourceFile = (path, ...rest) =>
    examples.has(path) ? ts.createSourceFile(path, examples.get(path)!, ts.ScriptTarget.ES2022, true) : getSourceFile(path, ...rest);
  const program = ts.createProgram([...examples.keys()], settings, host);
  expect(printed).toBeGreaterThan(8);
  expect(examples.size).toBe(printed);
  const wrong = [...examples.keys()].flatMap((path) => ts.getPreEmitDiagnostics(program, program.getSourceFile(path)));
  expect(ts.formatDiagnostics(wrong, { getCanonicalFileName: (name) => name, getCurrentDirectory: () => root, getNewLine: () => '\n' })).toBe('');
});
