/**
 * One step of a golden table, sent to a node and compared with what the contract says. The requests are
 * sent as they stand, over a socket, because `fetch` would add a content type and tidy the path.
 */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { Step } from "./golden_table.ts";
import type { TestNode } from "./process.ts";
import { type RawAnswer, sendRaw } from "./raw_http.ts";

/** Sends a step to a node. @throws {AssertionError} when another answer comes than the table has. */
export async function checkStep(node: TestNode, step: Step): Promise<void> {
  compare(await send(node, step), step);
}

async function send(node: TestNode, step: Step): Promise<RawAnswer> {
  return await sendRaw({
    address: node.httpAddress,
    method: step.method,
    path: step.path,
    headers: step.contentType === undefined ? {} : { "Content-Type": step.contentType },
    ...(step.body === undefined ? {} : { body: step.body }),
  });
}

function compare(answer: RawAnswer, step: Step): void {
  if (typeof step.answer === "string") {
    deepStrictEqual(
      { status: answer.status, body: answer.body },
      { status: step.status, body: step.answer },
    );
  } else {
    match(answer.body, step.answer);
    strictEqual(answer.status, step.status);
  }
  for (const [name, expected] of Object.entries(step.headers)) {
    const actual = answer.headers.get(name) ?? "";
    if (typeof expected === "string") strictEqual(actual, expected, name);
    else match(actual, expected, name);
  }
}
