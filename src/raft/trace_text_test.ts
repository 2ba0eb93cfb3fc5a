import { deepStrictEqual } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import { votersOnly } from "./configuration.ts";
import { at, change } from "./test_cluster.ts";
import type { TraceEvent } from "./trace.ts";
import { traceLine } from "./trace_text.ts";

const PLACE = { index: at(7), term: term(2) };

/** Lines that the scenario files' README fixes and few or no files show. */
const LINES: readonly (readonly [TraceEvent, string])[] = [
  [
    { kind: "acknowledgement_of_older_term", term: term(5), acknowledgedTerm: term(4) },
    "INFO a [term: 5] ignored entry appends from a MsgStorageAppendResp message with lower term [term: 4]",
  ],
  [
    {
      kind: "acknowledgement_mismatched",
      acknowledged: PLACE,
      found: { index: at(7), term: term(3) },
    },
    "INFO entry at (index,term)=(7,2) mismatched with entry at (7,3) in unstable log; ignoring",
  ],
  [
    { kind: "unstable_truncated", index: at(7) },
    "INFO truncate the unstable entries before index 7",
  ],
  [
    { kind: "election_refused", reason: "unapplied_conf_change", term: term(3) },
    "WARN a cannot campaign at term 3 since there are still pending configuration changes to apply",
  ],
  [
    {
      kind: "conf_change_ignored",
      change: change("v4 l11 r1 u2", "explicit"),
      configuration: votersOnly([1, 16]),
      reason: "possible unapplied conf change at index 9 (applied to 8)",
    },
    "INFO a ignoring conf change transition:ConfChangeTransitionJointExplicit " +
    "changes:{type:ConfChangeAddNode node_id:4} " +
    "changes:{type:ConfChangeAddLearnerNode node_id:11} " +
    "changes:{type:ConfChangeRemoveNode node_id:1} " +
    "changes:{type:ConfChangeUpdateNode node_id:2} at config voters=(1 10): " +
    "possible unapplied conf change at index 9 (applied to 8)",
  ],
  [
    {
      kind: "vote_answered",
      ballot: "pre_vote",
      candidate: nodeId(17),
      candidateLast: PLACE,
      decision: { kind: "ignored", leaseTicksLeft: 2 },
      last: PLACE,
      vote: nodeId(11),
      term: term(4),
    },
    "INFO a [logterm: 2, index: 7, vote: b] ignored MsgPreVote from 11 [logterm: 2, index: 7] " +
    "at term 4: lease is not expired (remaining ticks: 2)",
  ],
  [
    { kind: "proposal_dropped", reason: "no_leader", term: term(4), peer: nodeId(0) },
    "INFO a no leader at term 4; dropping proposal",
  ],
];

Deno.test("traceLine() words facts as the scenario files have them", () => {
  for (const [event, expected] of LINES) {
    const { level, text } = traceLine(nodeId(10), event);
    deepStrictEqual(`${level} ${text}`, expected);
  }
});
