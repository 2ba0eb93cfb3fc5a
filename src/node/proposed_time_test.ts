import { strictEqual } from "node:assert/strict";
import { nodeId } from "../base/ids.ts";
import { ProposedTime } from "./proposed_time.ts";

const DAY_MS = 86_400_000;
const [B, C] = [nodeId(2), nodeId(3)];

/** A leader's clock that can jump; monotonic time starts at 1000. */
class Clocks {
  wallMs = 10 * DAY_MS;
  monotonicMs = 1000;

  pass(ms: number): void {
    this.wallMs += ms;
    this.monotonicMs += ms;
  }

  at(offsetMs: number): { wallMs: number; monotonicMs: number } {
    return { wallMs: this.wallMs + offsetMs, monotonicMs: this.monotonicMs };
  }
}

Deno.test("ProposedTime is the node's own clock where it is alone, and stands still at no jump back", () => {
  const time = new ProposedTime();
  const clocks = new Clocks();
  const alone = { others: [], stateMs: 0 };
  strictEqual(time.next(clocks, alone), clocks.wallMs);
  clocks.pass(500);
  const before = time.next(clocks, alone);
  strictEqual(before, clocks.wallMs);
  clocks.wallMs -= 10_000;
  clocks.pass(1000);
  strictEqual(time.next(clocks, alone), before + 500, "half speed while it is ahead");
  clocks.pass(30_000);
  strictEqual(time.next(clocks, alone), clocks.wallMs);
});

Deno.test("ProposedTime is the lower median: one clock that is far off moves nothing (T1)", () => {
  for (const offsetMs of [365 * DAY_MS, -365 * DAY_MS]) {
    const time = new ProposedTime();
    const clocks = new Clocks();
    const truth = clocks.wallMs;
    time.heard(B, { wallMs: truth + 7, monotonicMs: clocks.monotonicMs });
    time.heard(C, { wallMs: truth + 9, monotonicMs: clocks.monotonicMs });
    const proposed = time.next(clocks.at(offsetMs), { others: [B, C], stateMs: 0 });
    strictEqual(proposed - truth, offsetMs > 0 ? 9 : 7);
  }
});

Deno.test("ProposedTime takes the earlier of two clocks, and carries on one that was heard long ago", () => {
  const time = new ProposedTime();
  const clocks = new Clocks();
  time.heard(B, clocks.at(-50));
  clocks.pass(5000);
  const cluster = { others: [B, C], stateMs: 0 };
  strictEqual(time.next(clocks, cluster), clocks.wallMs - 50);
  time.reset();
  strictEqual(time.next(clocks, cluster), clocks.wallMs);
});

Deno.test("ProposedTime does not count who is no voter", () => {
  const time = new ProposedTime();
  const clocks = new Clocks();
  time.heard(B, clocks.at(-DAY_MS));
  strictEqual(time.next(clocks, { others: [C], stateMs: 0 }), clocks.wallMs);
});

Deno.test("ProposedTime begins where the state is, tells how far ahead that is, and waits for the clocks", () => {
  const time = new ProposedTime();
  const clocks = new Clocks();
  const cluster = { others: [], stateMs: clocks.wallMs + DAY_MS };
  strictEqual(time.aheadMs(clocks, cluster), DAY_MS);
  strictEqual(time.next(clocks, cluster), cluster.stateMs);
  clocks.pass(1000);
  strictEqual(time.next(clocks, cluster), cluster.stateMs + 500);
  strictEqual(time.aheadMs(clocks, { others: [], stateMs: 0 }), 0);
});
