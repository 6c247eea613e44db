import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { parseAst } from 'rollup/parseAst';

/** By bundle: the order of its declarations and of each class's methods, as names, and the short names of its inner properties. Written by gzip-order-search.mjs. */
export const ORDER = fileURLToPath(new URL('gzip-order.json', import.meta.url));

const isMethod = ({ type }) => type === 'MethodDefinition';

/** The node whose statements make up the code: the program, or in a UMD bundle its largest function. */
function bodyOf(code) {
  let body = parseAst(code);
  if (body.body.length > 1) return body;
  const visit = (node) => {
    if (!node || typeof node !== 'object') return;
    if (Array.isArray(node)) return node.forEach(visit);
    if (/^(?:Arrow)?Function/.test(node.type) && (node.body.body?.length ?? 0) > body.body.length) body = node.body;
    Object.values(node).forEach(visit);
  };
  visit(body);
  return body;
}

/**
 * The declarations at the top of the code: functions, classes with their methods, and constants one by one. Only constants have a `kind`.
 * `key`: the name. Other statements, with which a bundle begins and ends, are left out.
 */
export function unitsOf(code) {
  const { body } = bodyOf(code);
  const isDeclaration = ({ type }) => type.endsWith('Declaration') && !/^(?:Ex|Im)port/.test(type);
  const first = body.findIndex(isDeclaration);
  const statements = body.slice(first, body.findLastIndex(isDeclaration) + 1);
  const other = statements.find((statement) => !isDeclaration(statement));
  if (other) throw new Error(`This stands between declarations, and what it depends on is not known: ${code.slice(other.start, other.end)}`);
  return statements.flatMap(({ type, id, kind, body: inside, declarations, start, end }) => {
    const statement = { start, end };
    if (declarations) return declarations.map((one) => ({ kind, key: code.slice(one.id.start, one.id.end), start: one.start, end: one.end, statement }));
    const members = type === 'ClassDeclaration' ? inside.body : [];
    const methods = members.filter(isMethod).map((one) => ({ key: code.slice(one.start, one.value.start), start: one.start, end: one.end }));
    const fields = members.filter((member) => !isMethod(member)).map((one) => ({ start: one.start, end: one.end - (code[one.end - 1] === ';') }));
    return [{ key: id.name, start, end, statement, methods, fields, inside: inside.start }];
  });
}

/**
 * `units` in the order of these keys; a unit that is not among the keys stays behind the one before it.
 * @template {{ key: string }} Unit
 * @param {readonly Unit[]} units
 * @param {readonly string[]} [keys]
 * @returns {Unit[]}
 */
export function arrange(units, keys = []) {
  const places = new Map(keys.map((key, index) => [key, index]));
  let place = -1;
  return units
    .map((unit) => ({ unit, place: (place = places.get(unit.key) ?? place) }))
    .sort((a, b) => a.place - b.place)
    .map(({ unit }) => unit);
}

/** `code` with its declarations and methods in `order`, an entry of gzip-order.json; and a source map. */
export function inOrder(code, order) {
  const units = unitsOf(code);
  const sorted = arrange(units, order.declarations).map((unit) => (unit.methods ? { ...unit, methods: arrange(unit.methods, order.methods[unit.key]) } : unit));
  return cutAndJoined(code, [[0, units[0].statement.start], ...piecesOf(sorted), [units.at(-1).statement.end, code.length]]);
}

/** The entry of gzip-order.json for a bundle. */
export function orderOf(fileName) {
  const orders = existsSync(ORDER) ? JSON.parse(readFileSync(ORDER, 'utf8')) : {};
  return orders[fileName] ?? orders[fileName.replace('.esm.', '.umd.')];
}

/**
 * A Rollup plugin for code that is minified but still has its names: puts declarations and methods into an order in which gzip finds more
 * repetitions, and nearer ones. The code does the same in any order in which nothing is used before it is declared: the build checks that.
 */
export const orderForGzip = {
  name: 'order-for-gzip',
  renderChunk(code, { fileName }) {
    const order = orderOf(fileName);
    return order ? inOrder(code, order) : null;
  },
  generateBundle({ format }, bundle) {
    if (format !== 'umd') return; // the ES module has the same order
    for (const { fileName, code } of Object.values(bundle)) {
      try {
        if (code) runInNewContext(code, {});
      } catch (error) {
        throw new Error(`${fileName} cannot be read in this order: ${error.message}. Run \`node scripts/gzip-order-search.mjs\`.`, { cause: error });
      }
    }
  },
};

/** The pieces that make up the units: a text, or a list [start, end], which is a part of the code. Neighbouring constants share one declaration. */
export const piecesOf = (units) =>
  units.flatMap(({ start, end, kind, methods, fields, inside }, index) => {
    if (kind) return [units[index - 1]?.kind === kind ? ',' : `${kind} `, [start, end], units[index + 1]?.kind === kind ? '' : ';'];
    if (!methods.length) return [[start, end]];
    // Fields come first, and in their order, because they are set in that order.
    return [[start, inside + 1], ...fields.flatMap((field) => [[field.start, field.end], ';']), ...methods.map((method) => [method.start, method.end]), '}'];
  });

/** Joins these pieces to code, with a source map that leads each character to its old place. */
export function cutAndJoined(code, pieces) {
  const places = [];
  let [line, column] = [0, 0];
  for (const character of code) {
    for (let i = 0; i < character.length; i++) places.push([line, column++]);
    if (character === '\n') [line, column] = [line + 1, 0];
  }
  /** @type {number[][][]} */
  const mappings = [[]];
  let joined = '';
  column = 0;
  for (const piece of pieces) {
    const isOwn = typeof piece === 'string';
    const text = isOwn ? piece : code.slice(...piece);
    for (let i = 0; i < text.length; i++) {
      if (!isOwn) mappings.at(-1).push([column, 0, ...places[piece[0] + i]]);
      column++;
      if (text[i] !== '\n') continue;
      mappings.push([]);
      column = 0;
    }
    joined += text;
  }
  return { code: joined, map: { mappings, names: [], sources: [''], version: 3 } };
}
