import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { INNER, lettersFor, shortened } from '../scripts/gzip-properties.mjs';

/** Properties at each kind of place where a program can name them; `e` is short already. */
const CODE = `!function(){class A{inner=1;static own=2;#inner=3;get given(){return this.inner+this.#inner}"quoted"(){return this?.given}}
const inner=4,{own,given:{e}={e:5}}=A,of=({inner:a=6,own:b}={own:7})=>a+b;
const o={inner,own,given:e,outer:{inner:8}};o.inner++;
q=JSON.stringify([of(),of(o),o.outer.inner,o["quoted"],new A().quoted(),e,Object.keys(o).length,A.own,inner])}()`;

const result = (code: string): unknown => {
  const page = { q: undefined };
  runInNewContext(code, page);
  return page.q;
};

describe('inner properties with short names', () => {
  const { code, map } = shortened(CODE, lettersFor(CODE, { own: 'x', gone: 'y' }, ['inner', 'own', 'given']));

  it('change nothing but their names, and keep the letters of a former build', () => {
    expect(code).not.toMatch(/\.(inner|own|given)\b/);
    expect(code).toContain('A.x');
    expect(code).toContain(`{${lettersFor(CODE, { own: 'x' }, ['inner', 'own', 'given']).letters.get('inner')!}:8}`);
    expect(result(code)).toBe(result(CODE));
    expect(result(CODE)).toBe('[13,7,8,null,4,5,4,2,4]');
  });

  it('have a source map that leads to the original places', () => {
    const lines = { code: code.split('\n'), CODE: CODE.split('\n') };
    for (const text of ['outer:', 'JSON', 'class A', 'Object.keys']) {
      const line = lines.code.findIndex((one) => one.includes(text));
      const column = lines.code[line]!.indexOf(text);
      const [, , from, at] = map.mappings[line]!.find(([place]) => place === column)!;
      expect(lines.CODE[from!]!.slice(at, at! + text.length)).toBe(text);
    }
  });

  it.each([['length', 'a builtin'], ['quoted', 'a text']])('%s is refused as an inner property, as it is the name of %s too', (name) => {
    expect(() => lettersFor(CODE, {}, [name])).toThrow(`${name} may be the name of something else`);
  });
});

/** Names of all properties of the types that these modules export, and of the types of these, as far as they are in src. */
function publicProperties(entries: readonly string[]): Set<string> {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const { config } = ts.readConfigFile(`${root}tsconfig.test.json`, ts.sys.readFile) as { config: object };
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: entries }, ts.sys, root);
  const program = ts.createProgram(entries.map((entry) => root + entry), options);
  const checker = program.getTypeChecker();
  const names = new Set<string>();
  const seen = new Set<ts.Type>();
  const isPublic = ({ declarations: [declaration] = [] }: ts.Symbol): boolean =>
    declaration !== undefined &&
    declaration.getSourceFile().fileName.startsWith(`${root}src/`) &&
    !(ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.NonPublicAccessibilityModifier) &&
    !('name' in declaration && ts.isPrivateIdentifier(declaration.name as ts.Node));
  const look = (type: ts.Type): void => {
    if (seen.has(type)) return;
    seen.add(type);
    if (type.isUnionOrIntersection()) type.types.forEach(look);
    for (const inside of [...(type.aliasTypeArguments ?? []), ...checker.getTypeArguments(type as ts.TypeReference)]) look(inside);
    for (const signature of [...type.getCallSignatures(), ...type.getConstructSignatures()]) {
      for (const parameter of signature.parameters) look(checker.getTypeOfSymbol(parameter));
      look(signature.getReturnType());
    }
    for (const property of checker.getPropertiesOfType(type).filter(isPublic)) {
      names.add(property.name);
      look(checker.getTypeOfSymbol(property));
    }
  };
  for (const entry of entries) {
    for (const exported of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(root + entry)!)!)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      if (symbol.flags & ts.SymbolFlags.Value) look(checker.getTypeOfSymbol(symbol));
      if (symbol.flags & ts.SymbolFlags.Type) look(checker.getDeclaredTypeOfSymbol(symbol));
    }
  }
  return names;
}

it('properties that an application, a brew or a cipher can see are not shortened', () => {
  const names = publicProperties(['src/index.ts', 'src/core/index.ts', 'src/compat/index.ts']);
  expect([...names]).toEqual(expect.arrayContaining(['brewerId', 'details', 'sealBundle', 'startBrewer', 'waitForBrews', 'graceMs']));
  expect(INNER.filter((name) => names.has(name))).toEqual([]);
});
