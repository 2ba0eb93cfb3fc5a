/**
 * Tidy rules about the shape of files (style guide, "Files", "Functions"): a header that says what
 * the file is, bounded length of file and function, names that say what is inside.
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

const FILE_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 70;
const HEADER_LINES_MIN = 3;
const HEADER_LINES_MAX = 25;
const FILE_NAME = /^[a-z][a-z0-9_]*\.ts$/;
const EMPTY_NAMES: ReadonlySet<string> = new Set([
  "utils.ts",
  "util.ts",
  "helpers.ts",
  "helper.ts",
  "index.ts",
  "mod.ts",
  "common.ts",
  "misc.ts",
]);

/** A `/** ... *\/` of 3 to 25 lines opens each file; unit tests beside their file need none. */
export const checkHeaders: Rule = (sources) =>
  sources.flatMap((source): Finding[] => {
    if (!source.path.startsWith("tests/") && source.path.endsWith("_test.ts")) return [];
    const say = (message: string): Finding[] => [
      { rule: "header", path: source.path, line: 1, message },
    ];
    const match = /^(?:#![^\n]*\n)?\/\*\*\n([\s\S]*?)\*\//.exec(source.text);
    if (match === null) return say("File must open with a header comment");
    const lines = match[0].split("\n").filter((line) => !line.startsWith("#!")).length;
    if (lines < HEADER_LINES_MIN || lines > HEADER_LINES_MAX) {
      return say(`Header has ${lines} lines, not ${HEADER_LINES_MIN} to ${HEADER_LINES_MAX}`);
    }
    return [];
  });

/** At most 600 lines. */
export const checkFileSize: Rule = (sources) =>
  sources.flatMap((source): Finding[] => {
    const lines = source.text.split("\n").length - 1;
    if (lines <= FILE_LINES_MAX) return [];
    const message = `File has ${lines} lines, ${FILE_LINES_MAX} at most`;
    return [{ rule: "file-size", path: source.path, line: 1, message }];
  });

/** At most 70 lines from a function's first line to its last, comments above it not counted. */
export const checkFunctionLength: Rule = (sources) => {
  const findings: Finding[] = [];
  for (const source of sources) {
    walk(source, (node) => {
      if (!ts.isFunctionLike(node) || !("body" in node) || node.body === undefined) return;
      const from = lineOf(source, node.getStart(source.tree));
      const lines = lineOf(source, node.getEnd()) - from + 1;
      if (lines <= FUNCTION_LINES_MAX) return;
      const message = `Function ${nameOf(node)} has ${lines} lines, ${FUNCTION_LINES_MAX} at most`;
      findings.push(findingAt(source, node, { rule: "function-length", message }));
    });
  }
  return findings;
};

/** snake_case, and not a name for whatever is left over. */
export const checkFileNames: Rule = (sources) =>
  sources.flatMap((source): Finding[] => {
    const name = source.path.split("/").at(-1) ?? "";
    const isBad = !FILE_NAME.test(name) || EMPTY_NAMES.has(name);
    const message = `File name ${name} must be snake_case and say what is inside`;
    return isBad ? [{ rule: "file-name", path: source.path, line: 1, message }] : [];
  });

/** Every export of the product has a docstring. */
export const checkDocstrings: Rule = (sources) => {
  const findings: Finding[] = [];
  for (const source of sources.filter(({ path }) => !isTestPath(path))) {
    const documented = new Set<string>();
    for (const statement of source.tree.statements) {
      if (!isExported(statement)) continue;
      const name = exportedName(statement);
      // A group such as `A_MAX` and `A_BYTES_MAX` may share the comment above its first line.
      const sharesComment = ts.isVariableStatement(statement) &&
        documented.has(previousName(source, statement)) && !hasBlankLineBefore(source, statement);
      if (hasDocstring(statement) || sharesComment || documented.has(name)) documented.add(name);
      else {
        const message = `Export ${name} has no docstring`;
        findings.push(findingAt(source, statement, { rule: "docstring", message }));
      }
    }
  }
  return findings;
};

function isExported(statement: ts.Statement): boolean {
  return ts.canHaveModifiers(statement) &&
    (ts.getModifiers(statement) ?? []).some((each) => each.kind === ts.SyntaxKind.ExportKeyword);
}

function hasDocstring(statement: ts.Statement): boolean {
  return ts.getJSDocCommentsAndTags(statement).length > 0;
}

function exportedName(statement: ts.Statement): string {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations[0]?.name.getText() ?? "";
  }
  return "name" in statement ? nameOf(statement) : "";
}

function previousName(source: Source, statement: ts.Statement): string {
  const at = source.tree.statements.indexOf(statement);
  const previous = source.tree.statements[at - 1];
  return previous === undefined ? "" : exportedName(previous);
}

function hasBlankLineBefore(source: Source, statement: ts.Statement): boolean {
  return source.text.slice(statement.pos, statement.getStart(source.tree)).includes("\n\n");
}

function lineOf(source: Source, position: number): number {
  return source.tree.getLineAndCharacterOfPosition(position).line;
}

function nameOf(node: ts.Node): string {
  if ("name" in node && node.name !== undefined) {
    const name = node.name as ts.Node;
    return name.getText();
  }
  const parent = node.parent;
  return parent !== undefined && ts.isVariableDeclaration(parent)
    ? parent.name.getText()
    : "(anonymous)";
}
