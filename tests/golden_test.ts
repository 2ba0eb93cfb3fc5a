/**
 * Runs the golden tables against whole nodes, one fresh node for each block. The requests are sent as
 * they stand, over a socket, because `fetch` would add a content type and tidy the path.
 */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { HTTP_BLOCKS } from "./golden_http.ts";
import { STATEMENT_BLOCKS } from "./golden_statements.ts";
import type { Step } from "./golden_table.ts";
import { VALUE_BLOCKS } from "./golden_values.ts";
import { startNode, type TestNode } from "./process.ts";
import { type RawAnswer, sendRaw } from "./raw_http.ts";

for (const block of [...STATEMENT_BLOCKS, ...VALUE_BLOCKS, ...HTTP_BLOCKS]) {
  Deno.test(`golden: ${block.name}`, async (test) => {
    await using node = await startNode();
    let number = 0;
    for (const step of block.steps) {
      number++;
      const title = `${number} ${step.method} ${step.path} ${(step.body ?? "").slice(0, 60)}`;
      await test.step(title, async () => check(await send(node, step), step));
    }
  });
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

function check(answer: RawAnswer, step: Step): void {
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
