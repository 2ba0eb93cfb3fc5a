/**
 * The Raft scenario files, byte for byte, with every election timeout drawn at its minimum and again at
 * its maximum: nothing in them may depend on the draw. Skipped where the files are not there.
 */
import { ok, strictEqual } from "node:assert/strict";
import { findScripts } from "./raft_data/files.ts";
import { replay } from "./raft_data/replay.ts";
import { parseArguments, parseScript } from "./raft_data/script.ts";

const DIRECTORY = new URL("../../shared/raft-testdata", import.meta.url).pathname;
const DRAWS = { minimum: 0, maximum: 1 - Number.EPSILON };

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

for (const [name, draw] of Object.entries(DRAWS)) {
  Deno.test({
    name: `Raft scenario files are reproduced, ${name} timeouts (needs ${DIRECTORY})`,
    ignore: !exists(DIRECTORY),
    fn: () => {
      const paths = findScripts(DIRECTORY);
      ok(paths.length > 0);
      for (const path of paths) {
        strictEqual(
          replay({ name: path, text: Deno.readTextFileSync(path) }, () => draw),
          undefined,
        );
      }
    },
  });
}

Deno.test("parseScript() reads continuations, comments, input and doubled separators", () => {
  const text = [
    "# comment",
    "one a \\",
    "  b=(1,2, 3)",
    "in put",
    "----",
    "out",
    "",
    "",
    "two",
    "----",
    "----",
    "first",
    "",
    "last",
    "----",
    "----",
    "",
    "subtest end",
    "three",
    "----",
    "",
  ].join("\n");
  const cases = parseScript(text);
  strictEqual(cases.length, 3);
  strictEqual(cases[0]?.input, "in put");
  strictEqual(cases[0]?.expected, "out\n");
  strictEqual(cases[0]?.args[1]?.values.join("|"), "1|2|3");
  strictEqual(cases[1]?.line, 9);
  strictEqual(cases[1]?.expected, "first\n\nlast\n");
  strictEqual(cases[2]?.expected, "");
});

Deno.test("parseArguments() takes keys raw, one value up to a space, lists with nesting", () => {
  const args = parseArguments('1 "foo" a= b=(x ,(y,z)) c=d');
  strictEqual(
    args.map(({ key, values }) => `${key}:${values.join(";")}`).join(" "),
    '1: "foo": a: b:x ;(y,z) c:d',
  );
});

Deno.test("replay() reports the line and the difference when an output is not as expected", () => {
  const text = "vote cfg=(1,2) votes=(y,n)\n----\nVoteWon\n";
  const failure = replay({ name: "f", text }, () => 0);
  strictEqual(failure, "f:1: vote\n- VoteWon\n+ VoteLost");
});

Deno.test("replay() counts an unknown message type or a missing node as a failure", () => {
  ok(replay({ name: "f", text: "campaign 7\n----\nok\n" }, () => 0)?.includes("no node 7"));
  ok(replay({ name: "f", text: "campaign x\n----\nok\n" }, () => 0)?.includes("not a number"));
});
