import { ok, strictEqual } from "node:assert/strict";
import { AssertionError } from "../base/assert.ts";
import { FatalError, OperatingError } from "../base/errors.ts";
import { describeError, exitStatusOf } from "./crash.ts";

Deno.test("exitStatusOf() tells bugs, lost ground and the operator's errors apart", () => {
  strictEqual(exitStatusOf(new AssertionError("x")), 70);
  strictEqual(exitStatusOf(new TypeError("x")), 70);
  strictEqual(exitStatusOf("x"), 70);
  strictEqual(exitStatusOf(new FatalError(74, "x")), 74);
  strictEqual(exitStatusOf(new FatalError(65, "x")), 65);
  strictEqual(exitStatusOf(new OperatingError("bad_request", "x")), 1);
});

Deno.test("describeError() is one sentence for operators, and a stack for bugs", () => {
  const cause = new Error("disk on fire");
  strictEqual(
    describeError(new FatalError(74, "Cannot sync log", { cause })),
    "fatal: Cannot sync log (cause: disk on fire)\n",
  );
  strictEqual(describeError(new OperatingError("timeout", "Too late")), "fatal: Too late\n");
  const bug = describeError(new AssertionError("commitTo: past last index"));
  ok(
    bug.startsWith("fatal: this is a bug in Dust: AssertionError: commitTo: past last index\n"),
    bug,
  );
  ok(bug.includes("crash_test.ts"));
  ok(describeError(new TypeError("odd", { cause })).endsWith("(cause: disk on fire)\n"));
  strictEqual(describeError("text"), "fatal: unexpected error: text\n");
});
