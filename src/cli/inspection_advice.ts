/**
 * What an operator can do about a report. The others of a cluster have everything that was acknowledged, so a damaged
 * member is replaced, never mended; a node by itself has the only copy, so nothing is removed before it is safe.
 */
import type { NodeReport } from "./inspection_report.ts";

/** Sentences, in the order of doing; none when nothing needs to be done. */
export function adviceFor(report: Omit<NodeReport, "advice">): readonly string[] {
  if (report.verdict === "whole") return [];
  const { directory, state } = report;
  const keep = `Move ${directory} aside, and delete it once all is well again.`;
  const never = report.verdict === "amnesic"
    ? ["What was durable is missing: the node must not go on as who it was, and does not start."]
    : [];
  const voters = state?.members.filter(({ isVoter }) => isVoter).length;
  const joinAgain =
    "Start the node with an empty directory, its old name and -join: the others have everything.";
  const alone =
    "This is the only copy: keep it as it is, and put back a backup of the whole directory, or " +
    "bring the disk's own copy of the damaged file back.";
  const majority =
    "If a majority of them is damaged or lost: dust recover, with the directories of all.";
  if (voters === undefined) {
    return [
      ...never,
      keep,
      `In a cluster: ${joinAgain}`,
      majority,
      `A node by itself: ${alone}`,
    ];
  }
  return voters > 1 ? [...never, keep, joinAgain, majority] : [...never, alone];
}
