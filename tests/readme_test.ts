/**
 * README.md tells the truth: each of its examples prints what stands below it. Needs `curl`, as its
 * readers do.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { serveHelp } from "../src/config/config.ts";
import { parseExamples, readReadme, runExamples } from "./readme_examples.ts";

Deno.test("README.md: every example prints what stands below it", async () => {
  const examples = parseExamples(readReadme());
  ok(examples.length >= 12, `only ${examples.length} examples found`);
  const outputs = await runExamples(examples);
  for (const [at, { command, expected }] of examples.entries()) {
    strictEqual(outputs[at], expected, command);
  }
});

Deno.test("README.md: every flag in its table exists", () => {
  const flags = [...readReadme().matchAll(/^\| `(--[a-z-]+)/gm)].map(([, flag]) => flag ?? "");
  ok(flags.length > 10);
  for (const flag of flags) ok(new RegExp(`^ +${flag}( |$)`, "m").test(serveHelp()), flag);
});

Deno.test("parseExamples() reads commands, continued lines and outputs, in console blocks only", () => {
  const text = "```sh\n$ no\n```\n```console\n$ a \\\n  b\none\ntwo\n$ c\n$ d\nthree\n```\n$ no\n";
  deepStrictEqual(parseExamples(text).map(({ command, expected }) => [command, expected]), [
    ["a b", "one\ntwo"],
    ["c", ""],
    ["d", "three"],
  ]);
});
