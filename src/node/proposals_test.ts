import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { logIndex } from "../base/ids.ts";
import { PROPOSALS_IN_FLIGHT_BYTES_MAX, PROPOSALS_IN_FLIGHT_MAX } from "../base/limits.ts";
import { type Proposal, Proposals } from "./proposals.ts";

/** A proposal that writes its fate into `fates`. */
function proposal(
  fates: string[],
  options: {
    readonly size?: number;
    readonly queueDeadlineMs?: number;
    readonly deadlineMs?: number;
    readonly isUrgent?: boolean;
  } = {},
): Proposal {
  return {
    isUrgent: options.isUrgent ?? false,
    payload: new Uint8Array(options.size ?? 10),
    format: 0,
    queueDeadlineMs: options.queueDeadlineMs ?? 1000,
    deadlineMs: options.deadlineMs ?? 1000,
    resolve: (outcome) => fates.push(`${outcome.index}: ${outcome.results}`),
    reject: (error) => fates.push(error.code),
  };
}

Deno.test("Proposals.settle() answers who waits at the index and nobody else", () => {
  const fates: string[] = [];
  const proposals = new Proposals();
  proposals.add(proposal(fates));
  proposals.add(proposal(fates));
  const taken = proposals.takeQueued(1000);
  taken.forEach((each, place) => proposals.place(logIndex(7 + place), each));
  proposals.settle(logIndex(6), "[]");
  proposals.settle(logIndex(8), "[{}]");
  proposals.settle(logIndex(7), { error: "no" });
  deepStrictEqual(fates, ["8: [{}]", "internal"]);
  strictEqual(proposals.count, 0);
});

Deno.test("Proposals.takeQueued() takes at least one and stops before the size", () => {
  const proposals = new Proposals();
  for (const size of [50, 5, 5]) proposals.add(proposal([], { size }));
  strictEqual(proposals.takeQueued(10).length, 1);
  strictEqual(proposals.takeQueued(10).length, 2);
  ok(!proposals.hasQueued);
});

Deno.test("Proposals.abandon() refuses what is queued and leaves open what was proposed", () => {
  const fates: string[] = [];
  const proposals = new Proposals();
  proposals.add(proposal(fates));
  proposals.takeQueued(100).forEach((each) => proposals.place(logIndex(3), each));
  proposals.add(proposal(fates));
  proposals.abandon({ refused: new OperatingError("not_leader", "gone"), unknown: "lost" });
  deepStrictEqual(fates, ["not_leader", "outcome_unknown"]);
  strictEqual(proposals.count, 0);
});

Deno.test("Proposals.expire() says refused before the log and unknown behind it", () => {
  const fates: string[] = [];
  const proposals = new Proposals();
  proposals.add(proposal(fates, { queueDeadlineMs: 5, deadlineMs: 20 }));
  proposals.takeQueued(100).forEach((each) => proposals.place(logIndex(3), each));
  proposals.add(proposal(fates, { queueDeadlineMs: 20, deadlineMs: 99 }));
  proposals.add(proposal(fates, { queueDeadlineMs: 30, deadlineMs: 99 }));
  // The first has had its turn: only its result is waited for.
  proposals.expire(19);
  deepStrictEqual(fates, []);
  proposals.expire(20);
  deepStrictEqual(fates, ["timeout", "outcome_unknown"]);
  strictEqual(proposals.count, 1);
});

Deno.test("Proposals.add() refuses at the limits of count and bytes, and takes again when room returns", () => {
  const many = new Proposals();
  for (let count = 0; count < PROPOSALS_IN_FLIGHT_MAX; count++) many.add(proposal([], { size: 0 }));
  throws(() => many.add(proposal([], { size: 0 })), { code: "overloaded" });

  const large = new Proposals();
  const payload = new Uint8Array(PROPOSALS_IN_FLIGHT_BYTES_MAX - 5);
  large.add({ ...proposal([]), payload });
  throws(() => large.add(proposal([], { size: 6 })), { code: "overloaded" });
  large.takeQueued(1).forEach((each) => large.place(logIndex(1), each));
  large.settle(logIndex(1), "[]");
  large.add(proposal([], { size: 6 }));
});

Deno.test("Proposals.add() takes what is urgent past all bounds; it goes first, and alone", () => {
  const fates: string[] = [];
  const proposals = new Proposals();
  proposals.add(proposal(fates, { size: PROPOSALS_IN_FLIGHT_BYTES_MAX }));
  throws(() => proposals.add(proposal(fates)), { code: "overloaded" });
  const urgent = proposal(fates, { isUrgent: true });
  proposals.add(urgent);
  // Not compared by content: that of the other one is large.
  const taken = proposals.takeQueued(2 * PROPOSALS_IN_FLIGHT_BYTES_MAX);
  ok(taken.length === 1 && taken[0] === urgent);
  taken.forEach((each) => proposals.place(logIndex(1), each));
  strictEqual(proposals.queuedBytes, PROPOSALS_IN_FLIGHT_BYTES_MAX);
  proposals.settle(logIndex(1), "[]");
  strictEqual(proposals.queuedBytes, PROPOSALS_IN_FLIGHT_BYTES_MAX);
});
