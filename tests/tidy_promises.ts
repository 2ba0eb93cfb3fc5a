/**
 * Tidy rule about promises (style guide, "Functions and asynchrony"): each is awaited, returned, kept,
 * or given to `runInBackground`. Found with the compiler's own types, since only they know what a call
 * returns. Two-handler `then` and `catch` pass: there the failure has an owner.
 * Packages and Node's modules are not resolved: what they return is unknown here and passes.
 */
import ts from "typescript";
import { type Finding, findingAt, type Rule, type Source } from "./tidy_source.ts";

const RUNTIME_TYPES = "/runtime/deno.d.ts";
const ROOT = "/project/";

/** Statements that drop a promise, and asynchronous functions where nobody looks at the result. */
export const checkPromises: Rule = (sources) => {
  const program = createProgram(sources);
  const checker = program.getTypeChecker();
  const findings: Finding[] = [];
  for (const source of sources) {
    const tree = program.getSourceFile(ROOT + source.path);
    if (tree === undefined) continue;
    const typed: Source = { ...source, tree };
    const visit = (node: ts.Node): void => {
      const message = judge(node, checker);
      if (message !== undefined) {
        findings.push(findingAt(typed, node, { rule: "promise", message }));
      }
      ts.forEachChild(node, visit);
    };
    visit(tree);
  }
  return findings;
};

function judge(node: ts.Node, checker: ts.TypeChecker): string | undefined {
  if (ts.isExpressionStatement(node)) {
    const expression = unwrap(node.expression);
    const isFloating = !ts.isAwaitExpression(expression) && !isHandled(expression) &&
      !isAssignment(expression) && isPromise(checker.getTypeAtLocation(expression));
    return isFloating ? `Promise is dropped: ${shortText(node)}` : undefined;
  }
  if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) {
    const isAsync = node.modifiers?.some((each) => each.kind === ts.SyntaxKind.AsyncKeyword);
    if (isAsync && expectsNothing(node, checker)) {
      return `Promise is dropped by the caller of this function: ${shortText(node)}`;
    }
  }
  return undefined;
}

/** `void f()`, `(f())` and `a, f()` drop what `f()` does. */
function unwrap(expression: ts.Expression): ts.Expression {
  if (ts.isVoidExpression(expression) || ts.isParenthesizedExpression(expression)) {
    return unwrap(expression.expression);
  }
  const isComma = ts.isBinaryExpression(expression) &&
    expression.operatorToken.kind === ts.SyntaxKind.CommaToken;
  return isComma ? unwrap(expression.right) : expression;
}

/** `.then(a, b)` and `.catch(a)`. */
function isHandled(expression: ts.Expression): boolean {
  if (!ts.isCallExpression(expression)) return false;
  const callee = expression.expression;
  if (!ts.isPropertyAccessExpression(callee)) return false;
  const handlers = expression.arguments.length;
  return (callee.name.text === "then" && handlers === 2) ||
    (callee.name.text === "catch" && handlers === 1);
}

function isAssignment(expression: ts.Expression): boolean {
  return ts.isBinaryExpression(expression) &&
    expression.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
    expression.operatorToken.kind <= ts.SyntaxKind.LastAssignment;
}

/** The function is an argument where one is expected whose result is `void` and nothing else. */
function expectsNothing(node: ts.Expression, checker: ts.TypeChecker): boolean {
  if (!ts.isCallExpression(node.parent) && !ts.isNewExpression(node.parent)) return false;
  const expected = checker.getContextualType(node);
  const signatures = expected?.getCallSignatures() ?? [];
  return signatures.length > 0 && signatures.every((signature) => {
    const result = checker.getReturnTypeOfSignature(signature);
    return result.flags === ts.TypeFlags.Void;
  });
}

function isPromise(type: ts.Type): boolean {
  const parts = type.isUnion() ? type.types : [type];
  return parts.some((part) => part.getProperty("then")?.valueDeclaration !== undefined);
}

function shortText(node: ts.Node): string {
  return node.getText().split("\n")[0]?.slice(0, 60) ?? "";
}

function createProgram(sources: readonly Source[]): ts.Program {
  const texts = new Map(sources.map(({ path, text }) => [ROOT + path, text]));
  texts.set(RUNTIME_TYPES, runtimeTypes());
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    allowImportingTsExtensions: true,
    noEmit: true,
    strict: true,
    lib: ["lib.esnext.d.ts"],
    types: [],
    skipLibCheck: true,
  };
  const WITH_PARENTS = true;
  const host = ts.createCompilerHost(options, WITH_PARENTS);
  const readLibrary = host.getSourceFile.bind(host);
  host.getSourceFile = (name, version) => {
    const text = texts.get(name);
    return text === undefined
      ? readLibrary(name, version)
      : ts.createSourceFile(name, text, version, WITH_PARENTS);
  };
  host.resolveModuleNameLiterals = (literals, containing) =>
    literals.map(({ text }) => ({ resolvedModule: resolveModule(text, containing, texts) }));
  return ts.createProgram({ rootNames: [...texts.keys()], options, host });
}

function resolveModule(
  specifier: string,
  containing: string,
  texts: ReadonlyMap<string, string>,
): ts.ResolvedModuleFull | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const resolvedFileName = new URL(specifier, `file://${containing}`).pathname;
  if (!texts.has(resolvedFileName)) return undefined;
  return { resolvedFileName, extension: ts.Extension.Ts, isExternalLibraryImport: false };
}

/** The declarations of this very runtime. */
function runtimeTypes(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["types"] }).outputSync();
  return new TextDecoder().decode(stdout);
}
