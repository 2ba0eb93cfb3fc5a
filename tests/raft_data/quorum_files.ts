/**
 * Quorum files: commit index and vote result of majority and joint quorums (the files' README, section
 * 10). Every case stands for itself.
 */
import { type NodeId, nodeId } from "../../src/base/ids.ts";
import { ascending } from "../../src/raft/configuration.ts";
import { EVERYTHING, jointIndex, jointVote, type JointVoters } from "../../src/raft/quorum.ts";
import { type Case, parseNumber, ScriptError, valuesOf } from "./script.ts";

const RESULT_NAMES = { won: "VoteWon", lost: "VoteLost", pending: "VotePending" } as const;

/** The output of one case. */
export function runQuorumCase(example: Case): string {
  const joint = { voters: voters(example, "cfg"), votersOutgoing: voters(example, "cfgj") };
  const given = [...new Set([...joint.voters, ...joint.votersOutgoing])];
  const values = valuesOf(example.args, example.command === "vote" ? "votes" : "idx");
  if (values.length !== given.length) {
    const map = given.map((id) => `${id}:{}`).join(" ");
    return `error: mismatched input (explicit or _) for voters map[${map}]: [${values.join(" ")}]`;
  }
  if (example.command === "vote") return voteOutput(joint, given, values);
  if (example.command === "committed") return committedOutput(joint, given, values);
  throw new ScriptError(`unknown command: ${example.command}`);
}

/** Ids as written, each once: values belong to them in this order. */
function voters(example: Case, key: string): readonly NodeId[] {
  const values = valuesOf(example.args, key);
  if (key === "cfgj" && values[0] === "zero") return [];
  return [...new Set(values.map((value) => nodeId(parseNumber(value))))];
}

function voteOutput(
  joint: JointVoters,
  ids: readonly NodeId[],
  values: readonly string[],
): string {
  const votes = new Map<NodeId, boolean>();
  values.forEach((value, i) => {
    if (value === "y" || value === "n") votes.set(ids[i] as NodeId, value === "y");
    else if (value !== "_") throw new ScriptError(`unknown vote: ${value}`);
  });
  return RESULT_NAMES[jointVote(joint, (id) => votes.get(id))];
}

function committedOutput(
  joint: JointVoters,
  ids: readonly NodeId[],
  values: readonly string[],
): string {
  const indexes = new Map<NodeId, number>();
  values.forEach((value, i) => {
    if (value !== "_") indexes.set(ids[i] as NodeId, parseNumber(value));
  });
  const committed = jointIndex(joint, (id) => indexes.get(id) ?? 0);
  return tableText(ids, indexes) + (committed === EVERYTHING ? "∞" : `${committed}`);
}

/** One bar for each voter, as long as the number of voters behind it. */
function tableText(ids: readonly NodeId[], indexes: ReadonlyMap<NodeId, number>): string {
  const count = ids.length;
  if (count === 0) return "<empty majority quorum>";
  const sorted = ids.map((id) => indexes.get(id) ?? 0).sort((left, right) => left - right);
  const lines = ascending(ids).map((id) => {
    const index = indexes.get(id);
    const length = sorted.indexOf(index ?? 0);
    const bar = index === undefined
      ? `?${" ".repeat(count)}`
      : `${"x".repeat(length)}>${" ".repeat(count - length)}`;
    return `${bar} ${`${index ?? 0}`.padStart(5)}    (id=${id.toString(16)})\n`;
  });
  return `${" ".repeat(count)}    idx\n${lines.join("")}`;
}
