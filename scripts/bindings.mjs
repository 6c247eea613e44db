const FUNCTIONS = ['ArrowFunctionExpression', 'FunctionDeclaration', 'FunctionExpression'];
const CLASSES = ['ClassDeclaration', 'ClassExpression'];
/** Other nodes that have a scope of their own. */
const BLOCKS = ['BlockStatement', 'CatchClause', 'ForInStatement', 'ForOfStatement', 'ForStatement', 'StaticBlock', 'SwitchStatement'];
/** By node type, the property that holds a name which is not a variable. */
const LABELS = { BreakStatement: 'label', ContinueStatement: 'label', LabeledStatement: 'label', ExportSpecifier: 'exported' };

/** A scope: a part of the program in which declared names are visible. */
class Scope {
  /** The bindings that are declared here, by name; private names with a `#` in front. */
  declared = new Map();
  /** The bindings that are declared here, or used here or in an inner scope. */
  bindings = new Set();
  /** The names that are used here and declared nowhere. */
  globals = new Set();

  constructor(outer) {
    this.outer = outer;
  }
}

/**
 * The bindings (variables and private names) of a program that rollup/parseAst has read. Each has its `name`; `places`, the positions in the
 * text where it stands; `conflicts`, the other bindings that cannot have the same name; and `taken`, further names that it cannot have, which
 * belong to no binding. For the output of minifiers only: throws for `var` and imports.
 */
export function bindingsOf(program) {
  const uses = [];

  function declare(node, scope) {
    const key = keyOf(node);
    const binding = scope.declared.get(key) ?? { name: node.name, isPrivate: node.type === 'PrivateIdentifier', places: new Set(), conflicts: new Set(), taken: new Set() };
    scope.declared.set(key, binding);
    visit(node, scope);
  }

  /** Declares the variables of a pattern. */
  function bind(node, scope) {
    if (node?.type === 'Identifier') declare(node, scope);
    else if (node?.type === 'AssignmentPattern') {
      bind(node.left, scope);
      visit(node.right, scope);
    } else if (node?.type === 'Property') {
      visitKey(node, scope);
      bind(node.value, scope);
    } else for (const part of [node?.properties ?? node?.elements ?? node?.argument ?? []].flat()) bind(part, scope);
  }

  function visitKey({ computed, shorthand, key }, scope) {
    if (computed || key.type === 'PrivateIdentifier') visit(key, scope);
    // Shorthand: the variable must keep its name, which is also the property's.
    if (shorthand) uses.push({ key: key.name, scope });
  }

  function visit(node, scope) {
    const { type, body } = node;
    if (type.startsWith('Import') || node.kind === 'var') throw new Error(`Names are not looked for in code with ${type} ${node.kind ?? ''}.`);
    if (type === 'Identifier' || type === 'PrivateIdentifier') return void uses.push({ key: keyOf(node), place: node.end - node.name.length, scope });
    if (type === 'VariableDeclarator') {
      bind(node.id, scope);
      return node.init && visit(node.init, scope);
    }
    if (FUNCTIONS.includes(type)) {
      let inner = new Scope(scope);
      if (node.id) declare(node.id, type === 'FunctionDeclaration' ? scope : inner);
      if (node.id) inner = new Scope(inner);
      for (const param of node.params) bind(param, inner);
      return visit(body, inner);
    }
    if (CLASSES.includes(type)) {
      const inner = new Scope(scope);
      if (node.id) declare(node.id, type === 'ClassDeclaration' ? scope : inner);
      if (node.superClass) visit(node.superClass, inner);
      for (const { key } of body.body) if (key?.type === 'PrivateIdentifier') declare(key, inner);
      return visit(body, inner);
    }
    if (type === 'MemberExpression') {
      visit(node.object, scope);
      return node.computed || node.property.type === 'PrivateIdentifier' ? visit(node.property, scope) : undefined;
    }
    if (type === 'Property' || type === 'MethodDefinition' || type === 'PropertyDefinition') {
      visitKey(node, scope);
      return node.value && visit(node.value, scope);
    }
    if (type === 'MetaProperty') return;
    const inner = BLOCKS.includes(type) ? new Scope(scope) : scope;
    if (type === 'CatchClause') bind(node.param, inner);
    // Parameters and the variables of the function's body must not have the same names.
    if (type === 'BlockStatement') for (const binding of scope.declared.values()) inner.bindings.add(binding);
    for (const [name, part] of Object.entries(node)) {
      if (name === LABELS[type] || (type === 'CatchClause' && name === 'param')) continue;
      for (const child of [part].flat()) if (typeof child?.type === 'string') visit(child, inner);
    }
  }

  const top = new Scope();
  visit(program, top);
  return resolve(uses);
}

const keyOf = ({ type, name }) => (type === 'PrivateIdentifier' ? `#${name}` : name);

/** Finds the binding of each use of a name. */
function resolve(uses) {
  const scopes = new Set();
  for (const { key, place, scope } of uses) {
    const chain = [];
    let at = scope;
    for (; at; at = at.outer) {
      chain.push(at);
      if (at.declared.has(key)) break;
    }
    const binding = at?.declared.get(key);
    if (place === undefined && binding) binding.isFixed = true;
    else binding?.places.add(place);
    for (const one of chain) {
      scopes.add(one);
      if (binding) one.bindings.add(binding);
      else one.globals.add(key);
    }
  }
  const all = new Set();
  for (const { bindings, globals } of scopes) {
    for (const binding of bindings) {
      all.add(binding);
      for (const name of globals) binding.taken.add(name);
      for (const other of bindings) {
        if (other === binding || other.isPrivate !== binding.isPrivate) continue;
        if (other.isFixed) binding.taken.add(other.name);
        else binding.conflicts.add(other);
      }
    }
  }
  return [...all]
    .filter(({ isFixed }) => !isFixed)
    .map((binding) => Object.assign(binding, { places: [...binding.places].sort((a, b) => a - b), conflicts: [...binding.conflicts] }))
    .sort((a, b) => a.places[0] - b.places[0]);
}
