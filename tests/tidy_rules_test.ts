/**
 * Shows that each tidy rule can fail: a sample that breaks it is planted in a project of one or a few
 * files, beside a sample that comes close and is allowed. Samples that would break a rule of this very
 * file are put together from pieces.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import { checkAssertions } from "./tidy_assertions.ts";
import {
  checkBitOperators,
  checkCatches,
  checkClock,
  checkConsole,
  checkDatabaseFiles,
  checkLeftovers,
  checkMachine,
  checkPurity,
  checkTypes,
} from "./tidy_bans.ts";
import { checkCircles, checkExports, checkFolders, checkPackages } from "./tidy_imports.ts";
import { checkPromises } from "./tidy_promises.ts";
import {
  checkDocstrings,
  checkFileNames,
  checkFileSize,
  checkFunctionLength,
  checkHeaders,
} from "./tidy_shape.ts";
import { parseSource, type Rule } from "./tidy_source.ts";

/** What `rule` finds in `files` (path to text), as `path:line message`. */
function findings(rule: Rule, files: Readonly<Record<string, string>>): string[] {
  const sources = Object.entries(files).map(([path, text]) => parseSource({ path, text }));
  return rule(sources).map(({ path, line, message }) => `${path}:${line} ${message}`).sort();
}

/** The messages for one file. */
function judge(rule: Rule, path: string, text: string): string[] {
  return findings(rule, { [path]: text }).map((line) => line.slice(path.length + 1));
}

Deno.test("checkFolders() finds an import that goes up, sideways or out", () => {
  deepStrictEqual(judge(checkFolders, "src/base/a.ts", 'import { b } from "../raft/b.ts";'), [
    "1 src/base may not import src/raft",
  ]);
  deepStrictEqual(judge(checkFolders, "src/http/a.ts", 'const b = await import("../log/b.ts");'), [
    "1 src/http may not import src/log",
  ]);
  deepStrictEqual(judge(checkFolders, "src/http/a.ts", 'import "../../main.ts";'), [
    "1 src/http may not import main.ts",
  ]);
  deepStrictEqual(judge(checkFolders, "src/new/a.ts", 'import { b } from "../base/b.ts";'), [
    "1 Folder src/new is not in the table of tests/tidy_imports.ts",
  ]);
  deepStrictEqual(judge(checkFolders, "src/node/a.ts", 'import { b } from "../raft/b.ts";'), []);
  deepStrictEqual(judge(checkFolders, "src/node/a.ts", 'import { b } from "./b.ts";'), []);
});

Deno.test("checkFolders() lets adapters take only types from the node", () => {
  const path = "src/log/a.ts";
  const message = '1 src/log may import src/node only with "import type"';
  deepStrictEqual(judge(checkFolders, path, 'import { P } from "../node/ports.ts";'), [message]);
  deepStrictEqual(judge(checkFolders, path, 'import { type P, q } from "../node/p.ts";'), [
    message,
  ]);
  deepStrictEqual(judge(checkFolders, path, 'import type { P } from "../node/p.ts";'), []);
  deepStrictEqual(judge(checkFolders, path, 'import { type P } from "../node/p.ts";'), []);
  deepStrictEqual(
    judge(checkFolders, "src/log/a_test.ts", 'import { P } from "../node/p.ts";'),
    [],
  );
});

Deno.test("checkCircles() finds a circle over any number of steps, types left out", () => {
  const files = {
    "src/a/x.ts": 'import { y } from "./y.ts";',
    "src/a/y.ts": 'import { z } from "../b/z.ts";',
    "src/b/z.ts": 'import { x } from "../a/x.ts";',
  };
  deepStrictEqual(findings(checkCircles, files), [
    "src/a/x.ts:1 Import circle: src/a/x.ts -> src/a/y.ts -> src/b/z.ts -> src/a/x.ts",
  ]);
  const typed = { ...files, "src/b/z.ts": 'import type { x } from "../a/x.ts";' };
  deepStrictEqual(findings(checkCircles, typed), []);
  deepStrictEqual(findings(checkCircles, { "src/a/x.ts": 'import { x } from "./x.ts";' }), [
    "src/a/x.ts:1 Import circle: src/a/x.ts -> src/a/x.ts",
  ]);
});

Deno.test("checkPackages() finds packages, the runtime and a second SQLite out of place", () => {
  deepStrictEqual(judge(checkPackages, "src/log/a.ts", 'import x from "fast-check";'), [
    "1 Package fast-check may not be imported here",
  ]);
  deepStrictEqual(judge(checkPackages, "src/http/server.ts", 'import x from "npm:x@1";'), []);
  deepStrictEqual(judge(checkPackages, "src/raft/a.ts", 'import { b } from "node:fs";'), [
    "1 src/raft may not import node:fs",
  ]);
  deepStrictEqual(judge(checkPackages, "src/raft/a_test.ts", 'import { b } from "node:fs";'), []);
  deepStrictEqual(judge(checkPackages, "tests/a_test.ts", 'import { D } from "node:sqlite";'), [
    "1 node:sqlite is a second copy of SQLite in the process (rule Q10)",
  ]);
});

Deno.test("checkExports() finds default exports and re-exports", () => {
  deepStrictEqual(judge(checkExports, "src/a.ts", "export default 1;"), ["1 Default export"]);
  deepStrictEqual(judge(checkExports, "src/a.ts", "export default class A {}"), [
    "1 Default export",
  ]);
  deepStrictEqual(judge(checkExports, "src/a.ts", 'export { b } from "./b.ts";'), ["1 Re-export"]);
  deepStrictEqual(judge(checkExports, "src/a.ts", 'export * from "./b.ts";'), ["1 Re-export"]);
  deepStrictEqual(judge(checkExports, "src/a.ts", "const a = 1; export { a };"), []);
});

Deno.test("checkHeaders() wants 3 to 25 lines at the top", () => {
  const header = (lines: number): string => `/**\n${" * x\n".repeat(lines - 2)} */\nconst a = 1;\n`;
  const path = "src/a.ts";
  deepStrictEqual(judge(checkHeaders, path, "const a = 1;\n"), [
    "1 File must open with a header comment",
  ]);
  deepStrictEqual(judge(checkHeaders, path, `const a = 1;\n${header(3)}`).length, 1);
  deepStrictEqual(judge(checkHeaders, path, header(2)), ["1 Header has 2 lines, not 3 to 25"]);
  deepStrictEqual(judge(checkHeaders, path, header(26)), ["1 Header has 26 lines, not 3 to 25"]);
  for (const lines of [3, 25]) deepStrictEqual(judge(checkHeaders, path, header(lines)), []);
  deepStrictEqual(judge(checkHeaders, path, `#!/usr/bin/env deno\n${header(25)}`), []);
  deepStrictEqual(judge(checkHeaders, "src/a_test.ts", "const a = 1;\n"), []);
  deepStrictEqual(judge(checkHeaders, "tests/a_test.ts", "const a = 1;\n").length, 1);
});

Deno.test("checkFileSize() allows 600 lines", () => {
  deepStrictEqual(judge(checkFileSize, "src/a.ts", "a;\n".repeat(600)), []);
  deepStrictEqual(judge(checkFileSize, "src/a.ts", "a;\n".repeat(601)), [
    "1 File has 601 lines, 600 at most",
  ]);
});

Deno.test("checkFunctionLength() allows 70 lines, for functions of every kind", () => {
  const body = (lines: number): string => `{\n${"a;\n".repeat(lines - 2)}}`;
  const path = "src/a.ts";
  deepStrictEqual(judge(checkFunctionLength, path, `\nfunction f() ${body(70)}`), []);
  deepStrictEqual(judge(checkFunctionLength, path, `\nfunction f() ${body(71)}`), [
    "2 Function f has 71 lines, 70 at most",
  ]);
  deepStrictEqual(judge(checkFunctionLength, path, `const g = () => ${body(71)};`), [
    "1 Function g has 71 lines, 70 at most",
  ]);
  deepStrictEqual(judge(checkFunctionLength, path, `class A { #m() ${body(71)} }`), [
    "1 Function #m has 71 lines, 70 at most",
  ]);
  deepStrictEqual(judge(checkFunctionLength, path, `class A ${body(200)}`), []);
  const comment = `/**\n${" * x\n".repeat(100)} */\n`;
  deepStrictEqual(judge(checkFunctionLength, path, `${comment}function f() ${body(70)}`), []);
});

Deno.test("checkFileNames() wants snake_case and a meaning", () => {
  for (const name of ["utils.ts", "index.ts", "fileName.ts", "file-name.ts", "Segment.ts"]) {
    deepStrictEqual(judge(checkFileNames, `src/${name}`, ""), [
      `1 File name ${name} must be snake_case and say what is inside`,
    ]);
  }
  deepStrictEqual(judge(checkFileNames, "src/segmented_log2.ts", ""), []);
});

Deno.test("checkDocstrings() wants one for every export of the product", () => {
  const path = "src/a.ts";
  deepStrictEqual(judge(checkDocstrings, path, "export function f() {}"), [
    "1 Export f has no docstring",
  ]);
  deepStrictEqual(judge(checkDocstrings, path, "// Not one.\nexport type T = 1;"), [
    "2 Export T has no docstring",
  ]);
  deepStrictEqual(judge(checkDocstrings, path, "/** One. */\nexport const a = 1;"), []);
  deepStrictEqual(
    judge(checkDocstrings, path, "/** Two. */\nexport const a = 1;\nexport const b = 2;"),
    [],
  );
  deepStrictEqual(
    judge(checkDocstrings, path, "/** Two. */\nexport const a = 1;\n\nexport const b = 2;"),
    [
      "4 Export b has no docstring",
    ],
  );
  deepStrictEqual(judge(checkDocstrings, "src/a_test.ts", "export const a = 1;"), []);
});

Deno.test("checkPurity() finds the world in raft/ and command/", () => {
  const path = "src/raft/a.ts";
  const samples: readonly (readonly [string, string])[] = [
    ["const a = Date.now();", "1 Date may not be used here"],
    ["const a = new Date(0);", "1 Date may not be used here"],
    ["const a = Math.random();", "1 Math.random may not be used here"],
    ["setTimeout(f, 1);", "1 setTimeout may not be used here"],
    ["const a = Promise.all([]);", "1 Promise may not be used here"],
    ["const a = Deno.pid;", "1 Deno may not be used here"],
    ["const f = async () => 1;", "1 async may not be used here"],
  ];
  for (const [text, message] of samples) deepStrictEqual(judge(checkPurity, path, text), [message]);
  deepStrictEqual(
    judge(checkPurity, path, "const a = { Date: x.performance, b: Math.max(1) };"),
    [],
  );
  deepStrictEqual(judge(checkPurity, "src/node/a.ts", "const a = Date.now();"), []);
  deepStrictEqual(judge(checkPurity, "src/raft/a_test.ts", "const a = Date.now();"), []);
});

Deno.test("checkMachine() finds Deno out of place, and lets its types be", () => {
  const text = "const a = Deno.readFileSync(b);";
  for (const path of ["src/node/a.ts", "src/os/clock.ts", "src/http/a.ts", "src/config/a.ts"]) {
    deepStrictEqual(judge(checkMachine, path, text), ["1 Deno may not be used here"], path);
  }
  const allowed = [
    "src/os/deno_clock.ts",
    "src/sqlite/a.ts",
    "src/state_machine/writer_worker.ts",
    "src/http/server.ts",
    "src/cli/a.ts",
    "scripts/a.ts",
    "main.ts",
    "tests/a.ts",
    "src/log/a_test.ts",
  ];
  for (const path of allowed) deepStrictEqual(judge(checkMachine, path, text), [], path);
  deepStrictEqual(judge(checkMachine, "src/node/a.ts", "let a: Deno.FsFile | undefined;"), []);
});

Deno.test("checkClock() finds time, chance and timers that a simulator could not give", () => {
  const path = "src/node/a.ts";
  const samples: readonly (readonly [string, string])[] = [
    ["a = Date.now();", "1 Date.now may not be used here"],
    ["a = new Date();", "1 new Date() may not be used here"],
    ["a = Math.random();", "1 Math.random may not be used here"],
    ["a = performance.now();", "1 performance may not be used here"],
    ["setTimeout(f, 1);", "1 setTimeout may not be used here"],
    ["crypto.getRandomValues(a);", "1 crypto may not be used here"],
  ];
  for (const [text, message] of samples) {
    deepStrictEqual(judge(checkClock, path, text), [message]);
    deepStrictEqual(judge(checkClock, "src/os/deno_clock.ts", text), []);
  }
  deepStrictEqual(judge(checkClock, path, "a = new Date(ms); b = clock.setTimeout(f);"), []);
});

Deno.test("checkTypes() finds the ways around the compiler", () => {
  const samples: readonly (readonly [string, string])[] = [
    ["let a: " + "any;", "1 Type any"],
    ["f(a as " + "any);", "1 Type any"],
    ["f(a!);", "1 Assertion x!"],
    ["enum E { A }", "1 enum: use a union"],
    ["namespace N {}", "1 namespace: use a file"],
    ["class A { private a = 1; }", "1 private: use #x"],
    ["// @ts-" + "ignore\na;", "1 Compiler off"],
  ];
  for (const [text, message] of samples) {
    deepStrictEqual(judge(checkTypes, "src/a.ts", text), [message], text);
  }
  deepStrictEqual(judge(checkTypes, "src/a.ts", "let a: unknown; if (!a) b = a !== c;"), []);
});

Deno.test("checkCatches() finds an empty catch, a comment is no content", () => {
  const path = "src/a.ts";
  deepStrictEqual(judge(checkCatches, path, "try { a; } catch {}"), ["1 Empty catch"]);
  deepStrictEqual(judge(checkCatches, path, "try { a; } catch (e) { /* why */ }"), [
    "1 Empty catch",
  ]);
  deepStrictEqual(judge(checkCatches, path, "try { a; } catch { return; }"), []);
});

Deno.test("checkConsole() finds console", () => {
  deepStrictEqual(judge(checkConsole, "src/cli/a.ts", "console.log(1);"), [
    "1 console may not be used",
  ]);
  deepStrictEqual(judge(checkConsole, "src/cli/a.ts", "a.console.log(1);"), []);
});

Deno.test("checkBitOperators() finds them on offsets and positions", () => {
  const path = "src/log/a.ts";
  const samples = ["offset | 0", "this.#endOffset >>> 0", "1 << position", "(fileOffset) & 7"];
  for (const sample of samples) {
    const [finding] = judge(checkBitOperators, path, `a = ${sample};`);
    ok(finding?.startsWith("1 Bit operator on "), sample);
  }
  deepStrictEqual(judge(checkBitOperators, path, "offset |= 1;").length, 1);
  deepStrictEqual(
    judge(checkBitOperators, path, "a = offset + 1; b = flags | 1; c = a || offset;"),
    [],
  );
});

Deno.test("checkDatabaseFiles() finds file calls on SQLite's files (rule S1)", () => {
  const path = "src/state_machine/a.ts";
  const samples = [
    'Deno.readFileSync(join(dir, "db.sqlite"));',
    "files.openSync(`${path}-wal`);",
    'Deno.copyFile(a, b + "-shm");',
  ];
  for (const sample of samples) {
    deepStrictEqual(judge(checkDatabaseFiles, path, sample), ["1 File call on a file of SQLite's"]);
  }
  deepStrictEqual(
    judge(checkDatabaseFiles, path, 'Connection.open("db.sqlite"); stat(`${p}-wal`);'),
    [],
  );
  deepStrictEqual(judge(checkDatabaseFiles, "src/log/a.ts", 'files.openSync("0001.log");'), []);
});

Deno.test("checkLeftovers() finds lone tests and tasks without issue", () => {
  const path = "src/a_test.ts";
  deepStrictEqual(judge(checkLeftovers, path, 'Deno.test.only("a", f);'), ["1 .only"]);
  deepStrictEqual(judge(checkLeftovers, path, "Deno.test({ only: true });"), ["1 only: true"]);
  deepStrictEqual(judge(checkLeftovers, path, "// TO" + "DO: later"), ["1 Task without issue"]);
  deepStrictEqual(judge(checkLeftovers, path, "// FIX" + "ME: now"), ["1 Unfinished work"]);
  deepStrictEqual(judge(checkLeftovers, path, "// TO" + "DO(#12): later\nonly(1);"), []);
});

Deno.test("checkAssertions() finds a test that cannot fail", () => {
  const path = "src/a_test.ts";
  const header = 'import { ok } from "node:assert/strict";\nfunction holds(a) { ok(a); }\n';
  deepStrictEqual(judge(checkAssertions, path, 'Deno.test("a", () => { f(); });'), [
    '1 Test asserts nothing: "a"',
  ]);
  deepStrictEqual(judge(checkAssertions, path, `${header}Deno.test("a", () => f());`), [
    '3 Test asserts nothing: "a"',
  ]);
  deepStrictEqual(judge(checkAssertions, path, `${header}Deno.test("a", () => ok(1));`), []);
  deepStrictEqual(judge(checkAssertions, path, `${header}Deno.test("a", () => holds(1));`), []);
  const wrapper = "function each(name, fn) { Deno.test(name, fn); }\n";
  deepStrictEqual(judge(checkAssertions, path, `${header}${wrapper}each("a", () => ok(1));`), []);
  deepStrictEqual(judge(checkAssertions, path, `${header}${wrapper}each("a", () => f());`), [
    '4 Test asserts nothing: "a"',
  ]);
});

Deno.test("checkPromises() finds a promise that nobody waits for", () => {
  const text = [
    'import { f } from "./b.ts";',
    "export async function g(): Promise<void> {",
    "  f();",
    "  void f();",
    "  (f());",
    "  f().then(() => 1);",
    "  f().finally(() => 1);",
    "  maybe?.();",
    "  list.forEach(async (x) => void (await x));",
    "  await f(); const kept = f(); f().catch(() => 1); f().then(() => 1, () => 2); await kept;",
    "  let later = f(); later = f(); await Promise.all(list.map(async (x) => await x)); await later;",
    "  return f();",
    "}",
    "const list: number[] = [];",
    "const maybe: (() => Promise<void>) | undefined = undefined as (() => Promise<void>) | undefined;",
    'Deno.readTextFile("x");',
    'addEventListener("message", async () => await f());',
  ].join("\n");
  const other = "export async function f(): Promise<void> { await Promise.resolve(); }";
  const lines = findings(checkPromises, { "src/a.ts": text, "src/b.ts": other })
    .map((finding) => Number(finding.split(/[: ]/)[1]));
  deepStrictEqual(lines.sort((a, b) => a - b), [3, 4, 5, 6, 7, 8, 9, 16]);
});
