/**
 * Who is newest, what would be lost, and which lists are refused.
 */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { type NodeReport, parseReport, REPORT_FORMAT } from "./inspection_report.ts";
import { acceptanceOf, newestOf, peersFor, planRecovery } from "./recovery_plan.ts";

const NAMES = ["a", "b", "c", "d", "e"];

/** A node's report in a cluster of so many voters. */
function report(
  name: string,
  facts: {
    readonly of: number;
    readonly last: number;
    readonly lastTerm?: number;
    readonly commit?: number;
    readonly verdict?: NodeReport["verdict"];
    readonly voters?: readonly (readonly number[])[];
  },
): NodeReport {
  const ids = NAMES.slice(0, facts.of).map((_, at) => at + 1);
  const voters = facts.voters ?? [ids];
  const members = ids.map((nodeId) => ({
    nodeId,
    name: NAMES[nodeId - 1] ?? "",
    address: `${NAMES[nodeId - 1]}:4002`,
    isVoter: voters.some((half) => half.includes(nodeId)),
  }));
  return {
    format: REPORT_FORMAT,
    directory: `/data/${name}`,
    verdict: facts.verdict ?? "whole",
    isRemoved: false,
    log: {
      cluster: "c1",
      incarnation: name,
      nodeId: NAMES.indexOf(name) + 1,
      term: 5,
      lastTerm: facts.lastTerm ?? 5,
      lastIndex: facts.last,
      firstIndex: 2,
      commitIndex: facts.commit ?? facts.last,
      generation: 1,
    },
    state: { cluster: "c1", appliedIndex: facts.last, members, voters },
    parts: [],
    advice: [],
  };
}

Deno.test("newestOf() goes by the term of the last entry before its index, and by whole nodes only", () => {
  const reports = [
    report("a", { of: 3, last: 90, lastTerm: 4 }),
    report("b", { of: 3, last: 70 }),
    report("c", { of: 3, last: 99, verdict: "amnesic" }),
  ];
  strictEqual(newestOf(reports)?.directory, "/data/b");
});

Deno.test("planRecovery() says that nothing is needed while a majority is there", () => {
  const reports = [report("a", { of: 3, last: 9 }), report("b", { of: 3, last: 8 })];
  strictEqual(planRecovery(reports).kind, "not_needed");
  const outcome = peersFor(reports, { listed: ["a:4002"], accepted: "" });
  strictEqual(outcome.kind, "refused");
});

Deno.test("planRecovery() sees a loss exactly when the missing are a majority of either half", () => {
  const lossy = (reports: readonly NodeReport[]): string => {
    const plan = planRecovery(reports);
    if (plan.kind !== "possible") return plan.kind;
    return plan.isLossy ? "loss" : "none";
  };
  strictEqual(lossy([report("a", { of: 3, last: 9 })]), "loss");
  const four = ["a", "b"].map((name) => report(name, { of: 4, last: 9 }));
  strictEqual(lossy(four), "none");
  const voters = [[1, 2, 3], [1, 2, 4]];
  strictEqual(lossy(["c", "d"].map((name) => report(name, { of: 4, last: 9, voters }))), "loss");
  const ahead = report("c", { of: 4, last: 12, verdict: "damaged" });
  strictEqual(lossy([...four, ahead]), "loss");
});

Deno.test("planRecovery() refuses directories of two clusters, twice the same node, and none whole", () => {
  const a = report("a", { of: 3, last: 9 });
  const other = report("b", { of: 3, last: 9 });
  const foreign = {
    ...other,
    log: other.log === null ? null : { ...other.log, cluster: "c2" },
  };
  for (
    const reports of [[a, foreign], [a, a], [report("a", { of: 3, last: 9, verdict: "damaged" })]]
  ) {
    strictEqual(planRecovery(reports).kind, "impossible");
  }
});

Deno.test("peersFor() writes after the very words, and refuses who is unknown, unseen, unfit, twice", () => {
  const reports = [
    report("a", { of: 5, last: 9 }),
    report("b", { of: 5, last: 7 }),
    report("c", { of: 5, last: 7, verdict: "amnesic" }),
  ];
  const words = "lose what only c, d, e had";
  strictEqual(acceptanceOf(planRecovery(reports), undefined), words);
  const refusal = (listed: readonly string[], accepted = words): string => {
    const outcome = peersFor(reports, { listed, accepted });
    return outcome.kind === "refused" ? outcome.reason : "written";
  };
  match(refusal(["a:4002", "b:4002"], ""), /--accept-data-loss="lose what only c, d, e had"/);
  match(refusal(["a:4002"], "yes"), /may be lost/);
  match(refusal(["x:1"]), /no member's address/);
  match(refusal(["d:4002"]), /not looked at/);
  match(refusal(["c:4002"]), /amnesic/);
  match(refusal(["a:4002", "a=new:4002"]), /twice/);
  // Without the newest log more is lost than those words say.
  match(refusal(["b:4002"]), /lose what only c, d, e, a had/);
  deepStrictEqual(peersFor(reports, { listed: ["a:4002", "b=new:4002"], accepted: words }), {
    kind: "write",
    peers: [{ id: "a", address: "a:4002" }, { id: "b", address: "new:4002" }],
  });
});

Deno.test("parseReport() takes what was printed, and nothing else", () => {
  const whole = report("a", { of: 3, last: 9 });
  deepStrictEqual(parseReport(JSON.stringify(whole)), whole);
  for (const text of ["", "{}", "[]", '{"format":2}', JSON.stringify({ ...whole, log: {} })]) {
    strictEqual(parseReport(text), undefined);
  }
});
