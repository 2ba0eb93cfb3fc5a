/**
 * What the digests of one comparison mean (rule V1): the same on each node that applies the verdict, since it
 * depends on nothing but the verdict and the configuration at its place in the log.
 *
 * A state is right when a majority of all voters, those that are silent included, holds it: of both sets of
 * voters while the configuration is joint. Whoever reported another is diverged; so the diverged are never a
 * majority, and neither are they together with those in quarantine, which report nothing.
 */
import { assert } from "../base/assert.ts";
import { type NodeId, nodeId } from "../base/ids.ts";
import type { MemberDigest } from "../command/command.ts";
import { allMembers } from "../raft/configuration.ts";
import { jointVote } from "../raft/quorum.ts";
import type { ConfState } from "../raft/types.ts";

/** What came of a comparison. Members are in no order. */
export type DigestJudgement =
  /** Nobody differs, but too few have reported to know that they are right. */
  | { readonly kind: "unknown" }
  /** A majority of all voters holds `digest`. */
  | {
    readonly kind: "decided";
    readonly digest: string;
    readonly healthy: readonly NodeId[];
    readonly diverged: readonly NodeId[];
  }
  /** States differ, and nobody knows which of them is right. */
  | { readonly kind: "undecided"; readonly reported: readonly NodeId[] };

/** Judges what members have reported. Reports of who is no member any more do not count. */
export function judgeDigests(
  reports: readonly MemberDigest[],
  configuration: ConfState,
): DigestJudgement {
  const members = allMembers(configuration);
  const digests = new Map<NodeId, string>();
  for (const report of reports) {
    const id = nodeId(report.nodeId);
    // Of two reports of one member none would be to be trusted: the first holds, on each node alike.
    if (members.includes(id) && !digests.has(id)) digests.set(id, report.digest);
  }
  const reported = [...digests.keys()];
  const isDiffering = new Set(digests.values()).size > 1;
  const right = [...new Set(digests.values())].find((digest) =>
    jointVote(configuration, (id) => digests.get(id) === digest) === "won"
  );
  if (right === undefined) return isDiffering ? { kind: "undecided", reported } : UNKNOWN;
  const healthy = reported.filter((id) => digests.get(id) === right);
  const diverged = reported.filter((id) => digests.get(id) !== right);
  assert(
    jointVote(configuration, (id) => diverged.includes(id)) !== "won",
    "judgeDigests: a majority would go into quarantine",
  );
  return { kind: "decided", digest: right, healthy, diverged };
}

const UNKNOWN = { kind: "unknown" } as const;
