/**
 * Tidy rules about what may not be written: the machine in pure code, escape hatches of the type
 * system, bit operators on offsets, swallowed errors, file calls on SQLite's files (rule S1).
 * Lint says some of it too; here it cannot be switched off by a comment.
 */
import ts from "typescript";
import {
  type Finding,
  findingAt,
  isTestPath,
  type Rule,
  type Source,
  walk,
} from "./tidy_source.ts";

/** Same input, same output: no clock, chance, timer, machine or promise. */
const PURE = /^src\/(raft|command)\//;
const IMPURE_NAMES: ReadonlySet<string> = new Set([
  "Deno",
  "Date",
  "performance",
  "crypto",
  "console",
  "setTimeout",
  "setInterval",
  "queueMicrotask",
  "fetch",
  "Promise",
  "globalThis",
]);

/** Where `Deno.*` may be used. */
const MACHINE_ALLOWED = new RegExp(
  "^(src/os/deno_[a-z_]+\\.ts|src/sqlite/.*|src/state_machine/[a-z_]*worker\\.ts|" +
    "src/transport/.*|src/http/server\\.ts|src/cli/.*|scripts/.*|main\\.ts)$",
);

const MACHINE_NAMES: ReadonlySet<string> = new Set([
  "performance",
  "crypto",
  "setTimeout",
  "setInterval",
]);

const OFFSET_NAME = /(offset|position)$/i;
const BIT_OPERATORS: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.AmpersandToken,
  ts.SyntaxKind.BarToken,
  ts.SyntaxKind.CaretToken,
  ts.SyntaxKind.LessThanLessThanToken,
  ts.SyntaxKind.GreaterThanGreaterThanToken,
  ts.SyntaxKind.GreaterThanGreaterThanGreaterThanToken,
  ts.SyntaxKind.AmpersandEqualsToken,
  ts.SyntaxKind.BarEqualsToken,
  ts.SyntaxKind.CaretEqualsToken,
  ts.SyntaxKind.LessThanLessThanEqualsToken,
  ts.SyntaxKind.GreaterThanGreaterThanEqualsToken,
  ts.SyntaxKind.GreaterThanGreaterThanGreaterThanEqualsToken,
]);

/** Calls that open a file, and so drop the process's locks on it when they close it. */
const OPENING_CALL =
  /^(open|create|readFile|readTextFile|writeFile|writeTextFile|copyFile)(Sync)?$/;
const SQLITE_FILE = /(^|[^\w])(db\.sqlite|[\w.]*-wal|[\w.]*-shm)\b/;

/** raft/ and command/ compute; they do not look at the world. */
export const checkPurity: Rule = (sources) =>
  search(sources.filter(({ path }) => PURE.test(path) && !isTestPath(path)), "purity", (node) => {
    if (ts.isIdentifier(node) && IMPURE_NAMES.has(node.text) && isReference(node)) {
      return `${node.text} may not be used here`;
    }
    if (ts.isAwaitExpression(node)) return "await may not be used here";
    if (node.kind === ts.SyntaxKind.AsyncKeyword) return "async may not be used here";
    return isMathRandom(node) ? "Math.random may not be used here" : undefined;
  });

/** `Deno.*` only where the machine is. Its types are no use of it. */
export const checkMachine: Rule = (sources) =>
  search(
    sources.filter(({ path }) => !MACHINE_ALLOWED.test(path) && !isTestPath(path)),
    "machine",
    (node) =>
      ts.isIdentifier(node) && node.text === "Deno" && isReference(node) && !isInType(node)
        ? "Deno may not be used here"
        : undefined,
  );

/** Time, chance and timers come through the interfaces of os/, so that a simulator can give them. */
export const checkClock: Rule = (sources) =>
  search(
    sources.filter(({ path }) => !MACHINE_ALLOWED.test(path) && !isTestPath(path)),
    "clock",
    (node) => {
      if (isMathRandom(node)) return "Math.random may not be used here";
      if (ts.isNewExpression(node) && node.expression.getText() === "Date") {
        return (node.arguments ?? []).length === 0 ? "new Date() may not be used here" : undefined;
      }
      if (ts.isPropertyAccessExpression(node) && node.getText() === "Date.now") {
        return "Date.now may not be used here";
      }
      const isName = ts.isIdentifier(node) && MACHINE_NAMES.has(node.text) && isReference(node);
      return isName ? `${node.text} may not be used here` : undefined;
    },
  );

/** No way around the compiler: any, x!, enum, namespace, private, a comment that switches it off. */
export const checkTypes: Rule = (sources) => [
  ...search(sources, "types", (node) => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) return "Type any";
    if (ts.isNonNullExpression(node)) return "Assertion x!";
    if (ts.isEnumDeclaration(node)) return "enum: use a union";
    if (ts.isModuleDeclaration(node)) return "namespace: use a file";
    if (node.kind === ts.SyntaxKind.PrivateKeyword) return "private: use #x";
    return undefined;
  }),
  ...searchText(
    sources,
    "types",
    new RegExp("@ts-" + "(ignore|expect-error|nocheck)"),
    "Compiler off",
  ),
];

/** A catch that does nothing hides a failure. */
export const checkCatches: Rule = (sources) =>
  search(
    sources,
    "empty-catch",
    (node) =>
      ts.isCatchClause(node) && node.block.statements.length === 0 ? "Empty catch" : undefined,
  );

/** Standard output belongs to the commands, log lines to telemetry. */
export const checkConsole: Rule = (sources) =>
  search(
    sources,
    "console",
    (node) =>
      ts.isIdentifier(node) && node.text === "console" && isReference(node)
        ? "console may not be used"
        : undefined,
  );

/** Numbers from disk pass 4 GiB; bit operators cut at 32 bits. */
export const checkBitOperators: Rule = (sources) =>
  search(sources, "bit-operator", (node) => {
    if (!ts.isBinaryExpression(node) || !BIT_OPERATORS.has(node.operatorToken.kind)) {
      return undefined;
    }
    const name = [node.left, node.right].map(lastName).find((each) => OFFSET_NAME.test(each));
    return name === undefined ? undefined : `Bit operator on ${name}, which may pass 32 bits`;
  });

/** Only SQLite opens SQLite's files (rule S1). */
export const checkDatabaseFiles: Rule = (sources) =>
  search(sources.filter(({ path }) => !isTestPath(path)), "database-file", (node) => {
    if (!ts.isCallExpression(node) || !OPENING_CALL.test(lastName(node.expression))) {
      return undefined;
    }
    if (/\bConnection\.open$/.test(node.expression.getText())) return undefined;
    const isOnDatabase = node.arguments.some((each) => SQLITE_FILE.test(each.getText()));
    return isOnDatabase ? "File call on a file of SQLite's" : undefined;
  });

/** A test that runs alone skips all others; a task without issue is forgotten. */
export const checkLeftovers: Rule = (sources) => [
  ...search(sources, "leftover", (node) => {
    if (
      ts.isPropertyAccessExpression(node) && /^(Deno\.test|describe|it)\.only$/.test(node.getText())
    ) {
      return ".only";
    }
    const isOnly = ts.isPropertyAssignment(node) && node.name.getText() === "only" &&
      node.initializer.kind === ts.SyntaxKind.TrueKeyword;
    return isOnly ? "only: true" : undefined;
  }),
  // Written so that these lines are no finding themselves.
  ...searchText(sources, "leftover", new RegExp("FIX" + "ME|XX" + "X:"), "Unfinished work"),
  ...searchText(sources, "leftover", new RegExp("TO" + "DO(?!\\(#\\d+\\):)"), "Task without issue"),
];

function search(
  sources: readonly Source[],
  rule: string,
  judge: (node: ts.Node) => string | undefined,
): Finding[] {
  const findings: Finding[] = [];
  for (const source of sources) {
    walk(source, (node) => {
      const message = judge(node);
      if (message !== undefined) findings.push(findingAt(source, node, { rule, message }));
    });
  }
  return findings;
}

/** For what stands in comments. String literals count too: use another spelling there. */
function searchText(
  sources: readonly Source[],
  rule: string,
  pattern: RegExp,
  message: string,
): Finding[] {
  return sources.flatMap((source) =>
    source.text.split("\n").flatMap((line, at) =>
      pattern.test(line) ? [{ rule, path: source.path, line: at + 1, message }] : []
    )
  );
}

function isMathRandom(node: ts.Node): boolean {
  return ts.isPropertyAccessExpression(node) && node.name.text === "random" &&
    ts.isIdentifier(node.expression) && node.expression.text === "Math";
}

/** Not the name of a member, a property or a declaration. */
function isReference(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return false;
  if (ts.isQualifiedName(parent) && parent.right === node) return false;
  if (ts.isPropertyAssignment(parent) && parent.name === node) return false;
  return !(ts.isPropertySignature(parent) || ts.isMethodSignature(parent));
}

/** Inside a type annotation; `instanceof Deno.errors.X` is none. */
function isInType(node: ts.Node): boolean {
  for (let at: ts.Node | undefined = node; at !== undefined; at = at.parent) {
    if (ts.isTypeNode(at)) return true;
    if (ts.isStatement(at)) return false;
  }
  return false;
}

/** `c` of `a.b.c`, `b` of `b(...)`; "" for what has no name. */
function lastName(node: ts.Expression): string {
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isPropertyAccessExpression(node)) return node.name.text;
  if (ts.isParenthesizedExpression(node)) return lastName(node.expression);
  return "";
}
