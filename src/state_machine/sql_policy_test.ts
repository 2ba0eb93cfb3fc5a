/**
 * Every function, pragma, module and action of the build has a rule, and no rule is about something else.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Action } from "../sqlite/authorizer.ts";
import { SOURCE } from "../sqlite/pinned_build.ts";
import { openMemory } from "../sqlite/testing.ts";
import {
  ACTION_RULES,
  actionRule,
  ALLOWED_MODULES,
  FUNCTION_RULES,
  functionRule,
  LOCAL_MODULES,
  PRAGMA_RULES,
  pragmaRules,
} from "./sql_policy.ts";

function names(sql: string): string[] {
  using connection = openMemory();
  return connection.query(sql).map(([name]) => String(name));
}

Deno.test("FUNCTION_RULES names every function of the build, and no other", () => {
  const built = new Set(names("SELECT DISTINCT name FROM pragma_function_list"));
  deepStrictEqual([...built].filter((name) => !FUNCTION_RULES.has(name)), []);
  deepStrictEqual([...FUNCTION_RULES.keys()].filter((name) => !built.has(name)), []);
});

Deno.test("PRAGMA_RULES names every pragma of the build, and no other", () => {
  const built = new Set(names("SELECT name FROM pragma_pragma_list"));
  deepStrictEqual([...built].filter((name) => !PRAGMA_RULES.has(name)), []);
  deepStrictEqual([...PRAGMA_RULES.keys()].filter((name) => !built.has(name)), []);
});

Deno.test("Every module of the build is either allowed or a local fact", () => {
  const built = names("SELECT name FROM pragma_module_list");
  ok(built.length > 8);
  const unknown = built.filter((name) => !ALLOWED_MODULES.has(name) && !LOCAL_MODULES.has(name));
  deepStrictEqual(unknown, []);
});

Deno.test("No rule is about a module that the build does not have", () => {
  const built = new Set(names("SELECT name FROM pragma_module_list"));
  using connection = openMemory();
  for (const name of [...ALLOWED_MODULES, ...LOCAL_MODULES]) {
    // Modules of pragmas are made when they are first used.
    if (name.startsWith("pragma_")) connection.query(`SELECT * FROM ${name} LIMIT 0`);
    else ok(built.has(name), name);
  }
});

/** The actions that the pinned source knows, by its own names and numbers. */
function actionsOfSource(): Record<string, number> {
  const manifest = import.meta.resolve(`${SOURCE.package}/package.json`);
  const source = readFileSync(new URL(SOURCE.file, manifest), "utf8");
  const [block = ""] = /#define SQLITE_CREATE_INDEX [^]*?\n\n/.exec(source) ?? [];
  const found = [...block.matchAll(/^#define SQLITE_(\w+) +(\d+)/gm)];
  return Object.fromEntries(found.map(([, name, action]) => [String(name), Number(action)]));
}

Deno.test("ACTION_RULES names every action of the pinned source, by its number, and no other", () => {
  // 0 is what SQLite once asked about a COPY, and no longer does.
  const { COPY: _unused, ...actions } = actionsOfSource();
  deepStrictEqual(actions, { ...Action });
  deepStrictEqual(Object.keys(ACTION_RULES), Object.keys(actions));
});

Deno.test("actionRule() refuses what leaves the file, what is temporary and what it does not know", () => {
  for (const name of ["ATTACH", "DETACH", "CREATE_TEMP_TABLE", "DROP_TEMP_VIEW"] as const) {
    strictEqual(actionRule(Action[name]), "refuse", name);
  }
  for (const action of [0, -1, 34, 1000]) strictEqual(actionRule(action), "refuse");
  strictEqual(actionRule(Action.READ), "check");
});

Deno.test("functionRule() and pragmaRules() refuse what they do not know, in any case of letters", () => {
  strictEqual(functionRule("no_such"), "refuse");
  strictEqual(functionRule("RANDOM"), "freeze");
  deepStrictEqual(pragmaRules("no_such"), { write: "refuse", read: "refuse" });
  deepStrictEqual(pragmaRules("Table_Info"), { write: "any", read: "any" });
});
