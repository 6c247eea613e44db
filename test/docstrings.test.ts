import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = `${root}src/`;
const brews = readdirSync(`${source}brews`).filter((name) => name.endsWith('.ts')).map((name) => `brews/${name}`);
const entries = ['index.ts', 'core/index.ts', 'server/index.ts', 'compat/index.ts', 'react/index.ts', ...brews].map((name) => source + name);

const { config } = ts.readConfigFile(`${root}tsconfig.test.json`, ts.sys.readFile) as { config: object };
const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] , files: entries }, ts.sys, root);
const program = ts.createProgram(entries, options);
const checker = program.getTypeChecker();

interface Name {
  readonly path: string;
  readonly text: string;
  readonly tags: readonly string[];
}

/** Every exported name, and every public member of it, with the text that editors show for it. */
function publicNames(entry: string): Name[] {
  const names: Name[] = [];
  const seen = new Set<ts.Symbol>();
  const add = (symbol: ts.Symbol, path: string): void => {
    const declarations = (symbol.declarations ?? []).filter((node) => node.getSourceFile().fileName.startsWith(source));
    const tags = symbol.getJsDocTags(checker);
    const isHidden = (node: ts.Declaration): boolean =>
      (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Private) !== 0 || ('name' in node && ts.isPrivateIdentifier(node.name as ts.Node));
    if (seen.has(symbol) || !declarations.length || declarations.some(isHidden) || tags.some(({ name }) => name === 'internal')) return;
    seen.add(symbol);
    names.push({ path, text: ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim(), tags: tags.map(({ name }) => name) });
    for (const node of declarations) {
      if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) {
        const { exports = [] } = symbol;
        for (const [name, member] of exports) if (name !== 'prototype') add(member, `${path}.${name as string}`);
        all(checker.getDeclaredTypeOfSymbol(symbol), path);
      } else if (ts.isVariableDeclaration(node) && ts.isObjectLiteralExpression(unwrapped(node.initializer))) all(checker.getTypeOfSymbol(symbol), path);
      else if ('type' in node && node.type) literals(node.type as ts.Node, path);
    }
  };
  const all = (type: ts.Type, path: string): void => {
    for (const member of checker.getPropertiesOfType(type)) add(member, `${path}.${member.name}`);
  };
  const literals = (node: ts.Node, path: string): void => {
    if (ts.isTypeLiteralNode(node)) all(checker.getTypeAtLocation(node), path);
    else if (!ts.isFunctionTypeNode(node)) ts.forEachChild(node, (child) => literals(child, path));
  };
  for (const symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)!)!)) {
    add(symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol, symbol.name);
  }
  return names;
}

const unwrapped = (node: ts.Node | undefined): ts.Node => (node && ts.isAsExpression(node) ? node.expression : (node ?? ts.factory.createNull()));

describe.each(entries.map((entry) => [entry.slice(source.length), publicNames(entry)] as const))('%s', (_, names) => {
  it('has public names', () => {
    expect(names).not.toEqual([]);
  });

  it('has a docstring for each public name', () => {
    expect(names.filter(({ text }) => !text).map(({ path }) => path)).toEqual([]);
  });

  // Editors take `@scope/name` in a docstring for a tag, and cut the sentence there.
  it('has no word in a docstring that editors take for a tag', () => {
    const known = ['param', 'throws'];
    expect(names.filter(({ tags }) => tags.some((tag) => !known.includes(tag))).map(({ path, tags }) => `${path}: ${tags.join(', ')}`)).toEqual([]);
  });
});
