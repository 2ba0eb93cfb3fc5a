/**
 * Whether a cluster can go on with the nodes that are left, and what would be lost (rules D5, M3). Pure.
 *
 * What was acknowledged is on a majority of the voters. So when fewer than a majority are missing, the newest log of
 * the others has all of it (Raft paper 5.4.1); otherwise the missing ones may have had more, and nobody can tell. A
 * node that forgot what it promised (amnesic), or is damaged, counts as missing: nothing can be read from it.
 */
import { nameOf, type NodeReport, titleOf } from "./inspection_report.ts";

/** A line of raft/peers.json. */
export interface PeerLine {
  readonly id: string;
  readonly address: string;
}

/** What can be done. */
export type RecoveryPlan =
  /** A majority is there: starting the nodes is all it takes. */
  | { readonly kind: "not_needed"; readonly newest: NodeReport }
  /** `missing` are voters nobody can read from; `isLossy` when they may have had what nobody else has. */
  | {
    readonly kind: "possible";
    readonly newest: NodeReport;
    readonly missing: readonly string[];
    readonly isLossy: boolean;
  }
  | { readonly kind: "impossible"; readonly reason: string };

/** What an operator says about the newest and the missing. */
export type PeersOutcome =
  | { readonly kind: "write"; readonly peers: readonly PeerLine[] }
  | { readonly kind: "refused"; readonly reason: string };

/** Whose log is furthest, as the nodes themselves settle it when they start; only of whole ones. */
export function newestOf(reports: readonly NodeReport[]): NodeReport | undefined {
  return reports.filter(isUsable).sort((left, right) =>
    lastTerm(right) - lastTerm(left) || lastIndex(right) - lastIndex(left) ||
    (titleOf(left) < titleOf(right) ? -1 : 1)
  )[0];
}

/** Judges the nodes that are left, one report for each. */
export function planRecovery(reports: readonly NodeReport[]): RecoveryPlan {
  const clusters = new Set(reports.flatMap(({ log }) => log === null ? [] : [log.cluster]));
  if (clusters.size > 1) {
    return { kind: "impossible", reason: "the directories belong to different clusters" };
  }
  const ids = reports.flatMap(({ log }) => log === null ? [] : [log.nodeId]);
  if (new Set(ids).size < ids.length) {
    return { kind: "impossible", reason: "two of the directories are of the same node" };
  }
  const newest = newestOf(reports);
  if (newest === undefined) {
    return { kind: "impossible", reason: "none of the nodes is whole; put back a backup" };
  }
  const usableIds = new Set(reports.filter(isUsable).map(({ log }) => log?.nodeId));
  const halves = newest.state?.voters ?? [];
  const lost = halves.map((half) => {
    const count = half.filter((nodeId) => !usableIds.has(nodeId)).length;
    return { count, left: half.length - count, majority: Math.floor(half.length / 2) + 1 };
  });
  if (lost.every(({ left, majority }) => left >= majority)) return { kind: "not_needed", newest };
  const missing =
    newest.state?.members.filter(({ nodeId, isVoter }) => isVoter && !usableIds.has(nodeId)).map((
      { name },
    ) => name) ?? [];
  const isBehind = reports.some(({ log }) => (log?.commitIndex ?? 0) > lastIndex(newest));
  const isLossy = isBehind || lost.some(({ count, majority }) => count >= majority);
  return { kind: "possible", newest, missing, isLossy };
}

/** The words that accept a loss; undefined when there is none to accept. */
export function acceptanceOf(
  plan: RecoveryPlan,
  peers: readonly PeerLine[] | undefined,
): string | undefined {
  if (plan.kind !== "possible") return undefined;
  const newest = titleOf(plan.newest);
  const withoutNewest = peers !== undefined && !peers.some(({ id }) => id === newest);
  const losers = [
    ...(plan.isLossy ? plan.missing : []),
    ...(withoutNewest ? [newest] : []),
  ];
  return losers.length === 0 ? undefined : `lose what only ${losers.join(", ")} had`;
}

/**
 * The lines of peers.json, if they may be written. Each of `listed` is `host:port` of a member, or `name=host:port`.
 * Only nodes that were looked at can be listed; a loss has to be accepted in the words of `acceptanceOf`.
 */
export function peersFor(
  reports: readonly NodeReport[],
  request: { readonly listed: readonly string[]; readonly accepted: string },
): PeersOutcome {
  const plan = planRecovery(reports);
  if (plan.kind === "impossible") return { kind: "refused", reason: plan.reason };
  if (plan.kind === "not_needed") {
    return { kind: "refused", reason: "a majority is there, so start the nodes and write nothing" };
  }
  const peers: PeerLine[] = [];
  for (const text of request.listed) {
    const peer = peerOf(text, plan.newest);
    if (peer === undefined) {
      return { kind: "refused", reason: `${text} is no member's address; say name=host:port` };
    }
    const report = reports.find((each) => nameOf(each) === peer.id);
    if (report === undefined) {
      return { kind: "refused", reason: `${peer.id} was not looked at; give its directory too` };
    }
    if (!isUsable(report)) {
      return {
        kind: "refused",
        reason: `${peer.id} is ${stateWord(report)}, so it cannot take part; leave it out`,
      };
    }
    if (peers.some(({ id }) => id === peer.id)) {
      return { kind: "refused", reason: `${peer.id} is listed twice` };
    }
    peers.push(peer);
  }
  const words = acceptanceOf(plan, peers);
  if (words === undefined || words === request.accepted) return { kind: "write", peers };
  return {
    kind: "refused",
    reason: `writes that were acknowledged may be lost; if that is what you want: ` +
      `--accept-data-loss="${words}"`,
  };
}

/** Whether it can take part: whole, and not taken out of its cluster. */
export function isUsable(report: NodeReport): boolean {
  return report.verdict === "whole" && report.log !== null && report.state !== null &&
    !report.isRemoved;
}

/** How a node is, in a word. */
export function stateWord(report: NodeReport): string {
  return report.verdict === "whole" && report.isRemoved ? "removed" : report.verdict;
}

function peerOf(text: string, newest: NodeReport): PeerLine | undefined {
  const at = text.indexOf("=");
  if (at > 0) return { id: text.slice(0, at), address: text.slice(at + 1) };
  const member = newest.state?.members.find(({ address }) => address === text);
  return member === undefined ? undefined : { id: member.name, address: text };
}

function lastTerm({ log }: NodeReport): number {
  return log?.lastTerm ?? 0;
}

function lastIndex({ log }: NodeReport): number {
  return log?.lastIndex ?? 0;
}
