/**
 * Every function, pragma and module of the build has a rule, and no rule is about something else.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { openMemory } from "../sqlite/testing.ts";
import {
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

Deno.test("functionRule() and pragmaRules() refuse what they do not know, in any case of letters", () => {
  strictEqual(functionRule("no_such"), "refuse");
  strictEqual(functionRule("RANDOM"), "freeze");
  deepStrictEqual(pragmaRules("no_such"), { write: "refuse", read: "refuse" });
  deepStrictEqual(pragmaRules("Table_Info"), { write: "any", read: "any" });
});
