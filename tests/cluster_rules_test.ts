/**
 * Every rule of a cluster (cluster_rules.ts) is in the table, and each test that it names is in the project.
 */
import { deepStrictEqual, ok } from "node:assert/strict";
import { CLUSTER_RULES } from "./cluster_rules.ts";

const RULES = "M1 M2 M3 M4 M5 E1 E2 E3 E4 E5 V1 V2 X1 X2 T1 N1 N2 N3 N4 F1";
const ROOT = new URL("../", import.meta.url);

/** What tests are registered with, in double quotes or in plain backquotes. */
const TEST_CALL = /Deno\.test\(\s*(?:\{\s*name:\s*)?(?:"((?:[^"\\]|\\.)*)"|`((?:[^`\\$]|\\.)*)`)/g;

function* testNames(folder: URL): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* testNames(new URL(`${name}/`, folder));
    else if (name.endsWith("_test.ts")) {
      const text = Deno.readTextFileSync(new URL(name, folder));
      for (const [, quoted, plain] of text.matchAll(TEST_CALL)) {
        yield (quoted ?? plain ?? "").replaceAll("\\`", "`");
      }
    }
  }
}

Deno.test("Every rule of a cluster has its tests, and every test named is there", () => {
  deepStrictEqual(Object.keys(CLUSTER_RULES), RULES.split(" "));
  const names = new Set([
    ...testNames(new URL("src/", ROOT)),
    ...testNames(new URL("tests/", ROOT)),
  ]);
  for (const [rule, { tests }] of Object.entries(CLUSTER_RULES)) {
    ok(tests.length > 0, rule);
    deepStrictEqual(tests.filter((test) => !names.has(test)), [], rule);
  }
});
