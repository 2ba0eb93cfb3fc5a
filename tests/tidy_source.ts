/**
 * What the tidy rules look at: the project's files, parsed once, and what a rule says about them.
 * Paths are relative to the project, with `/`. A rule is a function from all files to findings, so
 * that a test can plant a sample (tidy_rules_test.ts) where tidy_test.ts has the real tree.
 */
import ts from "typescript";

/** One TypeScript file. */
export interface Source {
  readonly path: string;
  readonly text: string;
  readonly tree: ts.SourceFile;
}

/** One place that breaks a rule. */
export interface Finding {
  /** The rule's name, as exceptions give it. */
  readonly rule: string;
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

/** A rule: everything that breaks it, in any order. */
export type Rule = (sources: readonly Source[]) => Finding[];

/** Folders and files that the rules cover. */
const ROOTS = ["src", "tests", "scripts", "main.ts"] as const;

/** Written by a generator, not by people. */
const GENERATED = /^src\/transport\/generated\//;

/** Reads and parses the project under `root`, a path without a slash at its end. */
export function loadSources(root: string): Source[] {
  const paths = ROOTS.flatMap((part) => [...listFiles(root, part)]);
  return paths.filter((path) => path.endsWith(".ts") && !GENERATED.test(path)).sort().map((path) =>
    parseSource({ path, text: Deno.readTextFileSync(`${root}/${path}`) })
  );
}

/** One file from its text. */
export function parseSource(file: { readonly path: string; readonly text: string }): Source {
  const WITH_PARENTS = true;
  const tree = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.ESNext, WITH_PARENTS);
  return { ...file, tree };
}

/** Calls `visit` for every node of a file, parents before children. */
export function walk(source: Source, visit: (node: ts.Node) => void): void {
  const step = (node: ts.Node): void => {
    visit(node);
    ts.forEachChild(node, step);
  };
  step(source.tree);
}

/** A finding at a node. */
export function findingAt(
  source: Source,
  node: ts.Node,
  what: { readonly rule: string; readonly message: string },
): Finding {
  const { line } = source.tree.getLineAndCharacterOfPosition(node.getStart(source.tree));
  return { ...what, path: source.path, line: line + 1 };
}

/** `path:line rule: message`, as editors open it. */
export function describeFinding(finding: Finding): string {
  return `${finding.path}:${finding.line} ${finding.rule}: ${finding.message}`;
}

/** Whether the file holds tests or serves only them. */
export function isTestPath(path: string): boolean {
  return path.startsWith("tests/") || /(_test|_bench|\/testing)\.ts$/.test(path);
}

function* listFiles(root: string, part: string): Generator<string> {
  if (!Deno.statSync(`${root}/${part}`).isDirectory) {
    yield part;
    return;
  }
  for (const entry of Deno.readDirSync(`${root}/${part}`)) {
    const path = `${part}/${entry.name}`;
    if (entry.isDirectory) yield* listFiles(root, path);
    else yield path;
  }
}
