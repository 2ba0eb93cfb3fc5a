import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { MEANING, meaningDigest } from "./meaning.ts";
import * as limits from "./replicated_limits.ts";
import { FUNCTION_RULES, PRAGMA_RULES } from "./sql_policy.ts";

/** As `value`, with another number, text or list at each of its leaves in turn, and the leaf's path. */
function* changed(value: unknown, path: string): Generator<readonly [string, unknown]> {
  if (value !== null && typeof value === "object" && !Array.isArray(value)) {
    for (const [name, part] of Object.entries(value)) {
      for (const [at, other] of changed(part, `${path}.${name}`)) {
        yield [at, { ...value, [name]: other }];
      }
    }
  } else if (Array.isArray(value)) yield [path, value.slice(1)];
  else yield [path, typeof value === "number" ? value + 1 : `${value}x`];
}

Deno.test("meaningDigest() differs when any limit or any line of the policy does (Q16, S30)", () => {
  const ours = meaningDigest();
  match(ours, /^[0-9a-f]{12}$/);
  const paths: string[] = [];
  for (const [path, meaning] of changed(MEANING, "")) {
    paths.push(path);
    notStrictEqual(meaningDigest(meaning as typeof MEANING), ours, path);
  }
  ok(paths.length > 300, `Only ${paths.length} leaves`);
  ok(paths.includes(".limits.SQL_LIMITS.expressionDepth"));
});

Deno.test("MEANING covers every replicated limit and the whole policy", () => {
  deepStrictEqual(MEANING["limits"], { ...limits });
  for (const [name, size] of [["functions", FUNCTION_RULES.size], ["pragmas", PRAGMA_RULES.size]]) {
    strictEqual(Object.keys(Object(MEANING[String(name)])).length, size);
  }
});

Deno.test("meaningDigest() does not ask in which order things are written down", () => {
  strictEqual(
    meaningDigest({ a: 1, b: { c: 2, d: 3 } }),
    meaningDigest({ b: { d: 3, c: 2 }, a: 1 }),
  );
});
