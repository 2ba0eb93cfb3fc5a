/**
 * Tidy rule about tests: each asserts something, itself or through a function of its file, and can
 * therefore fail. A function with an asserting name from another file counts as an assertion.
 */
import ts from "typescript";
import { type Finding, findingAt, type Rule, type Source } from "./tidy_source.ts";

const ASSERTING_NAME = /^(assert|check|expect|verify|run.*Suite|run.*Contract)/;

/** Every test reaches an assertion; also those that go through a function which calls `Deno.test`. */
export const checkAssertions: Rule = (sources) =>
  sources.filter(({ path }) => path.endsWith("_test.ts")).flatMap((source) => {
    const functions = localFunctions(source);
    const asserting = assertingNames(source, functions);
    const wrappers = new Map([...functions].filter(([, node]) => hasTestCall(node)));
    const findings: Finding[] = [];
    const visit = (node: ts.Node): void => {
      if ([...wrappers.values()].includes(node)) return;
      if (ts.isCallExpression(node) && isTestCall(node, wrappers)) {
        if (!node.arguments.some((argument) => mentions(argument, asserting))) {
          const message = `Test asserts nothing: ${node.arguments[0]?.getText().slice(0, 70)}`;
          findings.push(findingAt(source, node, { rule: "assertion", message }));
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(source.tree);
    return findings;
  });

function isTestCall(node: ts.CallExpression, wrappers: ReadonlyMap<string, ts.Node>): boolean {
  const callee = node.expression.getText();
  return /^Deno\.test(\.\w+)?$/.test(callee) || wrappers.has(callee);
}

function hasTestCall(node: ts.Node): boolean {
  if (ts.isCallExpression(node) && isTestCall(node, new Map())) return true;
  return ts.forEachChild(node, (child) => hasTestCall(child) ? true : undefined) ?? false;
}

function localFunctions(source: Source): Map<string, ts.Node> {
  const functions = new Map<string, ts.Node>();
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionDeclaration(node) && node.name !== undefined) {
      functions.set(node.name.text, node);
    }
    if (ts.isMethodDeclaration(node)) functions.set(node.name.getText(), node);
    if (ts.isVariableDeclaration(node) && node.initializer !== undefined) {
      if (ts.isFunctionLike(node.initializer)) functions.set(node.name.getText(), node.initializer);
    }
    ts.forEachChild(node, visit);
  };
  visit(source.tree);
  return functions;
}

/** Names that assert: imported assertions, then local functions that reach one, over any steps. */
function assertingNames(source: Source, functions: ReadonlyMap<string, ts.Node>): Set<string> {
  const names = new Set<string>();
  for (const statement of source.tree.statements) {
    if (!ts.isImportDeclaration(statement)) continue;
    for (const name of importedAssertions(statement)) names.add(name);
  }
  for (let grew = true; grew;) {
    grew = false;
    for (const [name, node] of functions) {
      if (names.has(name) || !mentions(node, names)) continue;
      names.add(name);
      grew = true;
    }
  }
  return names;
}

function importedAssertions(node: ts.ImportDeclaration): string[] {
  const from = ts.isStringLiteral(node.moduleSpecifier) ? node.moduleSpecifier.text : "";
  const clause = node.importClause;
  const bindings = clause?.namedBindings;
  const names = bindings !== undefined && ts.isNamedImports(bindings)
    ? bindings.elements.map((element) => element.name.text)
    : [];
  if (clause?.name !== undefined) names.push(clause.name.text);
  if (from.startsWith("node:assert")) return names;
  return names.filter((name) => ASSERTING_NAME.test(name));
}

/** Whether a call inside `node` is to one of `names`, or to a member of one (`assert.equal`). */
function mentions(node: ts.Node, names: ReadonlySet<string>): boolean {
  if (ts.isIdentifier(node) && names.has(node.text)) return true;
  return ts.forEachChild(node, (child) => mentions(child, names) ? true : undefined) ?? false;
}
