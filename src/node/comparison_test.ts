import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { logIndex, nodeId } from "../base/ids.ts";
import { Comparison, type ComparisonReports } from "./comparison.ts";
import { COMPARE_DURATION_FACTOR, COMPARE_OWN_MS_MAX } from "./limits.ts";
import type { StateDigest } from "./ports.ts";

const TIMES = { intervalMs: 1_000, waitMs: 300 };
const THREE = [1, 2, 3].map(nodeId);

function digest(index: number, content = "a"): StateDigest {
  return { index: logIndex(index), resultChain: "r", content };
}

function end(
  comparison: Comparison,
  nowMs: number,
  expected = THREE,
  awaited = THREE,
): string | undefined {
  const ended: ComparisonReports | undefined = comparison.maybeEnd(nowMs, {
    members: THREE,
    awaited,
    expected,
    isUrgent: (reports) => {
      const contents = [...reports.values()].map(({ content }) => content);
      return contents.includes("wrong");
    },
  });
  if (ended === undefined) return undefined;
  const reports = [...ended.reports].sort().map(([id, { content }]) => `${id}${content}`);
  return `${ended.index}: ${reports.join(" ")}`;
}

function started(index = 10): Comparison {
  const comparison = new Comparison(TIMES);
  comparison.proposed(0);
  comparison.begin(logIndex(index), 0);
  return comparison;
}

Deno.test("Comparison ends as soon as all have reported, those before the leader applied it too (V1)", () => {
  const comparison = new Comparison(TIMES);
  ok(comparison.isDue(0));
  comparison.proposed(0);
  comparison.hear(nodeId(2), digest(10));
  comparison.begin(logIndex(10), 0);
  strictEqual(end(comparison, 1), undefined);
  comparison.hear(nodeId(1), digest(10));
  comparison.hear(nodeId(3), digest(10, "b"));
  strictEqual(end(comparison, 2), "10: 1a 2a 3b");
  strictEqual(end(comparison, 3), undefined, "once");
});

Deno.test("Comparison waits for members so long behind its own digest, and not for ever for that (V1)", () => {
  const comparison = started();
  strictEqual(end(comparison, COMPARE_OWN_MS_MAX - 1), undefined);
  strictEqual(end(comparison, COMPARE_OWN_MS_MAX), "10: ");
  const next = started();
  next.hear(nodeId(1), digest(10));
  next.ownEnded(logIndex(10), 500);
  strictEqual(end(next, 799), undefined);
  strictEqual(end(next, 800), "10: 1a");
});

Deno.test("Comparison does not wait for members that are gone, and takes what they have reported (V1)", () => {
  const alive = [1, 2].map(nodeId);
  for (const [reporting, result] of [[[1, 2], "10: 1a 2a"], [[1, 3, 2], "10: 1a 2a 3a"]] as const) {
    const comparison = started();
    for (const id of reporting) {
      strictEqual(end(comparison, 1, alive, alive), undefined);
      comparison.hear(nodeId(id), digest(10));
    }
    strictEqual(end(comparison, 1, alive, alive), result);
  }
});

Deno.test("Comparison takes no report of another entry, of nobody's, or an older one (V1)", () => {
  const comparison = started();
  comparison.hear(nodeId(1), digest(10));
  comparison.hear(nodeId(1), digest(9, "old"));
  comparison.hear(nodeId(2), digest(9));
  comparison.hear(nodeId(9), digest(10));
  comparison.ownEnded(logIndex(10), 0);
  strictEqual(end(comparison, 300), "10: 1a");
});

Deno.test("Comparison waits for one that was wrong, unless what the others say is urgent (V1, V2)", () => {
  const expected = [1, 2].map(nodeId);
  const comparison = started();
  for (const id of expected) comparison.hear(id, digest(10));
  comparison.ownEnded(logIndex(10), 0);
  strictEqual(end(comparison, 299, expected), undefined);
  // It was renewed, and is wrong again.
  comparison.hear(nodeId(3), digest(10, "b"));
  strictEqual(end(comparison, 299, expected), "10: 1a 2a 3b");
  const silent = started();
  for (const id of expected) silent.hear(id, digest(10));
  silent.ownEnded(logIndex(10), 0);
  strictEqual(end(silent, 300, expected), "10: 1a 2a");
  const urgent = started();
  urgent.hear(nodeId(1), digest(10));
  strictEqual(end(urgent, 1, expected), undefined);
  urgent.hear(nodeId(2), digest(10, "wrong"));
  strictEqual(end(urgent, 1, expected), "10: 1a 2wrong");
});

Deno.test("Comparison comes every interval, and keeps ten times its own time between two", () => {
  const comparison = started();
  ok(!comparison.isDue(5_000), "one at a time");
  comparison.ownEnded(logIndex(10), 50);
  end(comparison, 1_000);
  deepStrictEqual([comparison.isDue(999), comparison.isDue(1_000)], [false, true]);
  const slow = started();
  slow.ownEnded(logIndex(10), 400);
  end(slow, 1_000);
  const dueMs = 400 + COMPARE_DURATION_FACTOR * 400;
  deepStrictEqual([slow.isDue(dueMs - 1), slow.isDue(dueMs)], [false, true]);
});

Deno.test("Comparison of a leader that leads no more comes to nothing, and the next begins anew (V1)", () => {
  const comparison = started();
  for (const id of THREE) comparison.hear(id, digest(10));
  comparison.abandon();
  strictEqual(end(comparison, 1), undefined);
  ok(comparison.isDue(1));
  comparison.begin(logIndex(10), 1);
  comparison.ownEnded(logIndex(10), 1);
  strictEqual(end(comparison, 301), "10: ", "it has no reports");
});
