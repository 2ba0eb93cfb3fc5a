/**
 * Runs the golden tables against whole nodes, one fresh node for each block.
 */
import { HTTP_BLOCKS } from "./golden_http.ts";
import { STATEMENT_BLOCKS } from "./golden_statements.ts";
import { checkStep } from "./golden_step.ts";
import { VALUE_BLOCKS } from "./golden_values.ts";
import { startNode } from "./process.ts";

for (const block of [...STATEMENT_BLOCKS, ...VALUE_BLOCKS, ...HTTP_BLOCKS]) {
  Deno.test(`golden: ${block.name}`, async (test) => {
    await using node = await startNode();
    let number = 0;
    for (const step of block.steps) {
      number++;
      const title = `${number} ${step.method} ${step.path} ${(step.body ?? "").slice(0, 60)}`;
      await test.step(title, async () => await checkStep(node, step));
    }
  });
}
