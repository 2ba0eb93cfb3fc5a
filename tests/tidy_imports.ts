/**
 * Tidy rules about imports (architecture 3): folders import one way, the node's ports are only types
 * to their adapters, no file imports itself in a circle, and packages stay where the machine is.
 * Invariant: a folder that is not in the table is a finding, so that a new one must be placed.
 */
import ts from "typescript";
import { type Finding, findingAt, isTestPath, type Rule, type Source } from "./tidy_source.ts";

/** Each folder of src/, and the folders that it may import. */
const FOLDERS: ReadonlyMap<string, readonly string[]> = new Map([
  ["base", []],
  ["raft", ["base"]],
  ["command", ["base"]],
  ["telemetry", ["base"]],
  ["os", ["base"]],
  ["sqlite", ["base"]],
  ["config", ["base"]],
  ["node", ["base", "raft", "command", "telemetry", "os"]],
  ["log", ["base", "telemetry", "os", "node"]],
  ["state_machine", ["base", "command", "telemetry", "os", "node", "sqlite"]],
  ["transport", ["base", "raft", "command", "telemetry", "os", "node"]],
  ["http", ["base", "command", "telemetry", "os", "node"]],
  [
    "cli",
    [
      "base",
      "raft",
      "command",
      "telemetry",
      "os",
      "sqlite",
      "config",
      "node",
      "log",
      "state_machine",
      "transport",
      "http",
    ],
  ],
]);

/** Adapters know the node by its interfaces only. */
const ADAPTERS: ReadonlySet<string> = new Set(["log", "state_machine", "transport", "http"]);

/** Folders without anything of the runtime, not even Node's modules. */
const PURE: ReadonlySet<string> = new Set([
  "raft",
  "command",
  "base",
  "config",
  "telemetry",
  "node",
]);

/** Where `npm:` packages may be imported. */
const PACKAGES_ALLOWED =
  /^(src\/(sqlite|transport|cli)\/|src\/http\/server\.ts$|scripts\/|main\.ts$)/;

interface Import {
  readonly node: ts.Node;
  readonly specifier: string;
  readonly typeOnly: boolean;
}

/** Imports between folders follow the table. */
export const checkFolders: Rule = (sources) => {
  const findings: Finding[] = [];
  for (const source of sources) {
    const folder = folderOf(source.path);
    if (folder === undefined) continue;
    const allowed = FOLDERS.get(folder);
    for (const { node, specifier, typeOnly } of importsOf(source)) {
      const say = (message: string): void =>
        void findings.push(findingAt(source, node, { rule: "import-table", message }));
      if (allowed === undefined) {
        say(`Folder src/${folder} is not in the table of tests/tidy_imports.ts`);
        break;
      }
      const target = resolve(source.path, specifier);
      const targetFolder = target === undefined ? undefined : folderOf(target);
      if (target === undefined) continue;
      if (targetFolder === undefined) {
        if (!isTestPath(source.path)) say(`src/${folder} may not import ${target}`);
      } else if (targetFolder !== folder && !allowed.includes(targetFolder)) {
        say(`src/${folder} may not import src/${targetFolder}`);
      } else if (
        targetFolder === "node" && ADAPTERS.has(folder) && !typeOnly && !isTestPath(source.path)
      ) {
        say(`src/${folder} may import src/node only with "import type"`);
      }
    }
  }
  return findings;
};

/** No file is imported, over any number of steps, by what it imports; types do not count. */
export const checkCircles: Rule = (sources) => {
  const edges = new Map<string, string[]>();
  for (const source of sources) {
    const targets = importsOf(source).filter((each) => !each.typeOnly && !isDynamic(each.node))
      .map((each) => resolve(source.path, each.specifier)).filter((path) => path !== undefined);
    edges.set(source.path, targets);
  }
  const findings: Finding[] = [];
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (finished.has(path)) return;
    const start = trail.indexOf(path);
    if (start >= 0) {
      const message = `Import circle: ${[...trail.slice(start), path].join(" -> ")}`;
      findings.push({ rule: "import-circle", path, line: 1, message });
      return;
    }
    for (const target of edges.get(path) ?? []) visit(target, [...trail, path]);
    finished.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return findings;
};

/** Packages only where the machine is; no second SQLite; nothing of the runtime in pure folders. */
export const checkPackages: Rule = (sources) => {
  const findings: Finding[] = [];
  for (const source of sources) {
    for (const { node, specifier } of importsOf(source)) {
      if (specifier.startsWith(".")) continue;
      const say = (message: string): void =>
        void findings.push(findingAt(source, node, { rule: "package", message }));
      const folder = folderOf(source.path);
      if (specifier === "node:sqlite") {
        say("node:sqlite is a second copy of SQLite in the process (rule Q10)");
      } else if (isTestPath(source.path)) {
        continue;
      } else if (specifier.startsWith("node:")) {
        if (folder !== undefined && PURE.has(folder)) {
          say(`src/${folder} may not import ${specifier}`);
        }
      } else if (!PACKAGES_ALLOWED.test(source.path)) {
        say(`Package ${specifier} may not be imported here`);
      }
    }
  }
  return findings;
};

/** Import from the file that defines: no re-exports, no default exports, no catch-all files. */
export const checkExports: Rule = (sources) => {
  const findings: Finding[] = [];
  for (const source of sources) {
    for (const statement of source.tree.statements) {
      const say = (message: string): void =>
        void findings.push(findingAt(source, statement, { rule: "export", message }));
      if (ts.isExportAssignment(statement)) say("Default export");
      if (ts.isExportDeclaration(statement) && statement.moduleSpecifier) say("Re-export");
      if (isDefaultDeclaration(statement)) say("Default export");
    }
  }
  return findings;
};

function isDefaultDeclaration(statement: ts.Statement): boolean {
  return ts.canHaveModifiers(statement) &&
    (ts.getModifiers(statement) ?? []).some((each) => each.kind === ts.SyntaxKind.DefaultKeyword);
}

/** Static imports, re-exports and `import()` of a literal. */
function importsOf(source: Source): Import[] {
  const imports: Import[] = [];
  const visit = (node: ts.Node): void => {
    if (
      (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) &&
      node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)
    ) {
      const typeOnly = ts.isImportDeclaration(node) ? isTypeOnly(node) : node.isTypeOnly;
      imports.push({ node, specifier: node.moduleSpecifier.text, typeOnly });
    } else if (isDynamic(node)) {
      const argument = node.arguments[0];
      if (argument !== undefined && ts.isStringLiteral(argument)) {
        imports.push({ node, specifier: argument.text, typeOnly: false });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source.tree);
  return imports;
}

function isTypeOnly(node: ts.ImportDeclaration): boolean {
  const clause = node.importClause;
  if (clause === undefined) return false;
  if (clause.isTypeOnly) return true;
  const bindings = clause.namedBindings;
  return clause.name === undefined && bindings !== undefined && ts.isNamedImports(bindings) &&
    bindings.elements.length > 0 && bindings.elements.every((element) => element.isTypeOnly);
}

function isDynamic(node: ts.Node): node is ts.CallExpression {
  return ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
}

/** The folder of src/ that a path is in. */
function folderOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

/** A relative specifier as a path of the project; undefined for packages. */
function resolve(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}
