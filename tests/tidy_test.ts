/**
 * The tidy test: the house rules that neither the formatter nor lint nor the compiler knows, over all
 * files of the project. A finding fails unless tidy_exceptions.ts allows it; an exception without its
 * finding fails too. That each rule can fail is shown in tidy_rules_test.ts.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
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
import { EXCEPTIONS } from "./tidy_exceptions.ts";
import { checkCircles, checkExports, checkFolders, checkPackages } from "./tidy_imports.ts";
import { checkPromises } from "./tidy_promises.ts";
import {
  checkDocstrings,
  checkFileNames,
  checkFileSize,
  checkFunctionLength,
  checkHeaders,
} from "./tidy_shape.ts";
import { describeFinding, type Finding, loadSources, type Rule } from "./tidy_source.ts";

const RULES: readonly (readonly [string, Rule])[] = [
  ["folders import one way", checkFolders],
  ["no file imports itself in a circle", checkCircles],
  ["packages stay where the machine is", checkPackages],
  ["no default exports and no re-exports", checkExports],
  ["every file has a header", checkHeaders],
  ["files have at most 600 lines", checkFileSize],
  ["functions have at most 70 lines", checkFunctionLength],
  ["file names say what is inside", checkFileNames],
  ["every export has a docstring", checkDocstrings],
  ["raft and command are pure", checkPurity],
  ["Deno only where the machine is", checkMachine],
  ["clock, chance and timers only where the machine is", checkClock],
  ["no way around the compiler", checkTypes],
  ["no empty catch", checkCatches],
  ["no console", checkConsole],
  ["no bit operators on offsets", checkBitOperators],
  ["only SQLite opens SQLite's files", checkDatabaseFiles],
  ["nothing left over", checkLeftovers],
  ["every test asserts something", checkAssertions],
  ["no promise is dropped", checkPromises],
];

const sources = loadSources(fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, ""));

/** Findings beyond the exceptions, as lines; and exceptions beyond the findings. */
function judge(findings: readonly Finding[]): string[] {
  const complaints: string[] = [];
  const groups = Map.groupBy(findings, ({ rule, path }) => `${rule} ${path}`);
  for (const [key, group] of groups) {
    const allowed = EXCEPTIONS.find(({ rule, path }) => `${rule} ${path}` === key)?.count ?? 0;
    if (group.length > allowed) complaints.push(...group.map(describeFinding));
  }
  return complaints.sort();
}

const found: Finding[] = [];

for (const [name, rule] of RULES) {
  Deno.test(`tidy: ${name}`, () => {
    const findings = rule(sources);
    found.push(...findings);
    deepStrictEqual(judge(findings), []);
  });
}

Deno.test("tidy: no exception is larger than it must be", () => {
  const stale = EXCEPTIONS.filter(({ rule, path, count }) =>
    found.filter((finding) => finding.rule === rule && finding.path === path).length < count
  );
  deepStrictEqual(stale.map(({ rule, path }) => `${path} ${rule}`), []);
});

Deno.test("tidy: the whole project is looked at", () => {
  ok(sources.length > 100);
  for (const path of ["main.ts", "src/base/assert.ts", "tests/tidy_test.ts", "scripts/test.ts"]) {
    ok(sources.some((source) => source.path === path), path);
  }
});
