/**
 * Who the members are by the end of a log, and whose majorities count: a state, above all the copy of a node in memory,
 * may be from before most of them joined. A change that is not known to be committed here may be so elsewhere, so
 * each configuration from the commit index on counts.
 */
import { logIndex } from "../base/ids.ts";
import { APPLY_BATCH_BYTES_MAX } from "../base/limits.ts";
import { changeMembers, decodeMemberTable, NO_MEMBERS } from "../command/member_table.ts";
import type { SegmentedLog } from "../log/segmented_log.ts";
import { decodeConfChange } from "../raft/conf_change.ts";
import {
  allMembers,
  allVoters,
  decodeConfiguration,
  EMPTY_CONFIGURATION,
} from "../raft/configuration.ts";
import { changeConfiguration } from "../raft/configuration_changer.ts";
import type { ConfState } from "../raft/types.ts";
import type { StateIdentity } from "../state_machine/state_record.ts";
import type { ReportedState } from "./inspection_report.ts";

/**
 * Reads the entries behind `appliedIndex`, whose state says `identity`; without a log it is that state's word.
 * @throws {LogDamageError} when the log cannot be read.
 */
export async function membersByLog(
  log: SegmentedLog | undefined,
  state: { readonly identity: StateIdentity; readonly appliedIndex: number },
): Promise<Pick<ReportedState, "members" | "voters">> {
  let configuration = decodeConfiguration(state.identity.configuration) ?? EMPTY_CONFIGURATION;
  let table = state.identity.members;
  let counted = halvesOf(configuration);
  const to = log === undefined ? 0 : log.lastIndex + 1;
  for (let from = state.appliedIndex + 1; log !== undefined && from < to;) {
    const range = { from: logIndex(from), to: logIndex(to), sizeBytesMax: APPLY_BATCH_BYTES_MAX };
    const entries = await log.read(range);
    if (entries.length === 0) break;
    from += entries.length;
    for (const { index, kind, payload } of entries) {
      const change = kind === "conf_change" ? decodeConfChange(payload) : undefined;
      if (change === undefined) continue;
      const outcome = changeConfiguration(configuration, change);
      if (outcome.kind === "changed") configuration = outcome.configuration;
      const put = change.context.length === 0 ? NO_MEMBERS : decodeMemberTable(change.context);
      const memberIds = allMembers(configuration);
      table = changeMembers(table, { put: put?.members ?? [], memberIds });
      if (index <= log.hardState.commit) counted = [];
      counted.push(...halvesOf(configuration));
    }
  }
  const voters = allVoters(configuration);
  const members = table.members.map(({ nodeId, name, raftAddress: address }) => ({
    nodeId,
    name,
    address,
    isVoter: voters.some((id) => id === nodeId),
  }));
  return { members, voters: counted };
}

function halvesOf({ voters, votersOutgoing }: ConfState): (readonly number[])[] {
  return [voters, votersOutgoing].filter((half) => half.length > 0);
}
