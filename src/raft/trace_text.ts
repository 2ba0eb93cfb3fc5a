/**
 * Words for the facts of trace.ts: a level and one line each, as the scenario files fix them (their
 * README, section 8). Node ids are hex here, terms and indexes decimal.
 */
import { unreachable } from "../base/assert.ts";
import type { NodeId } from "../base/ids.ts";
import type { ConfChange, ConfChangeTransition, ConfChangeType } from "./conf_change.ts";
import { allVoters, configurationText } from "./configuration.ts";
import type { Ballot, Message } from "./message.ts";
import type {
  ElectionEvent,
  LifeEvent,
  LogEvent,
  LogPosition,
  ReplicationEvent,
  TraceEvent,
  TransferEvent,
} from "./trace.ts";
import type { Role } from "./types.ts";

/** How much a fact matters to an operator. */
export type TraceLevel = "DEBUG" | "INFO" | "WARN" | "ERROR";

/** One line, without a line end. */
export interface TraceLine {
  readonly level: TraceLevel;
  readonly text: string;
}

/** Words `event`, which happened at node `id`. */
export function traceLine(id: NodeId, event: TraceEvent): TraceLine {
  return { level: levelOf(event), text: textOf(hex(id), event) };
}

/** The kind of a message in the scenario files. */
export function messageTypeName(message: Message): string {
  switch (message.kind) {
    case "vote_request":
      return BALLOT_NAMES[message.ballot];
    case "vote_response":
      return `${BALLOT_NAMES[message.ballot]}Resp`;
    default:
      return MESSAGE_NAMES[message.kind];
  }
}

const BALLOT_NAMES: Readonly<Record<Ballot, string>> = { vote: "MsgVote", pre_vote: "MsgPreVote" };

const MESSAGE_NAMES = {
  append: "MsgApp",
  append_response: "MsgAppResp",
  heartbeat: "MsgHeartbeat",
  heartbeat_response: "MsgHeartbeatResp",
  snapshot: "MsgSnap",
  snapshot_request: "MsgSnapRequest",
  propose: "MsgProp",
  read_index: "MsgReadIndex",
  read_index_response: "MsgReadIndexResp",
  timeout_now: "MsgTimeoutNow",
  transfer_leader: "MsgTransferLeader",
} as const;

const ROLE_NAMES: Readonly<Record<Role, string>> = {
  follower: "follower",
  pre_candidate: "pre-candidate",
  candidate: "candidate",
  leader: "leader",
};

const TRANSITION_NAMES: Readonly<Record<ConfChangeTransition, string>> = {
  auto: "ConfChangeTransitionAuto",
  implicit: "ConfChangeTransitionJointImplicit",
  explicit: "ConfChangeTransitionJointExplicit",
};

const TYPE_NAMES: Readonly<Record<ConfChangeType, string>> = {
  add_voter: "ConfChangeAddNode",
  add_learner: "ConfChangeAddLearnerNode",
  remove: "ConfChangeRemoveNode",
  update: "ConfChangeUpdateNode",
};

function hex(id: NodeId): string {
  return id.toString(16);
}

function place(position: LogPosition): string {
  return `[logterm: ${position.term}, index: ${position.index}]`;
}

function levelOf(event: TraceEvent): TraceLevel {
  switch (event.kind) {
    case "forget_leader_refused":
      return "ERROR";
    case "quorum_lost":
    case "snapshot_refused":
      return "WARN";
    case "election_refused":
      return event.reason === "leader" ? "DEBUG" : "WARN";
    case "proposal_dropped":
      return event.peer === 0 || event.reason === "not_leader" ? "INFO" : "DEBUG";
    case "append_rejected":
    case "rejection_received":
    case "progress_decreased":
    case "progress_paused":
    case "progress_recovered":
    case "snapshot_sent":
    case "snapshot_not_sent":
    case "snapshot_succeeded":
    case "snapshot_failed":
    case "peer_unreachable":
    case "transfer_refused":
    case "auto_leave_postponed":
      return "DEBUG";
    default:
      return "INFO";
  }
}

function textOf(id: string, event: TraceEvent): string {
  switch (event.kind) {
    case "started":
    case "role_changed":
    case "configuration_switched":
    case "conf_change_ignored":
    case "auto_leave_proposed":
    case "auto_leave_postponed":
    case "higher_term_seen":
    case "lower_term_ignored":
    case "quorum_lost":
    case "leader_forgotten":
    case "forget_leader_refused":
    case "proposal_dropped":
      return lifeText(id, event);
    case "election_started":
    case "election_refused":
    case "vote_requested":
    case "vote_received":
    case "votes_counted":
    case "vote_answered":
      return electionText(id, event);
    case "transfer_started":
    case "transfer_repeated":
    case "transfer_replaced":
    case "transfer_refused":
    case "timeout_now_sent":
    case "timeout_now_received":
      return transferText(id, event);
    case "append_rejected":
    case "rejection_received":
    case "snapshot_sent":
    case "snapshot_not_sent":
    case "progress_decreased":
    case "progress_paused":
    case "progress_recovered":
    case "snapshot_succeeded":
    case "snapshot_failed":
    case "peer_unreachable":
      return replicationText(id, event);
    default:
      return logText(id, event);
  }
}

function lifeText(id: string, event: LifeEvent): string {
  switch (event.kind) {
    case "started": {
      const peers = allVoters(event.configuration).map(hex).join(",");
      return `newRaft ${id} [peers: [${peers}], term: ${event.term}, commit: ${event.commit}, ` +
        `applied: ${event.applied}, lastindex: ${event.last.index}, lastterm: ${event.last.term}]`;
    }
    case "role_changed":
      return `${id} became ${ROLE_NAMES[event.role]} at term ${event.term}`;
    case "configuration_switched":
      return `${id} switched to configuration ${configurationText(event.configuration)}`;
    case "conf_change_ignored":
      return `${id} ignoring conf change ${changeText(event.change)} at config ` +
        `${configurationText(event.configuration)}: ${event.reason}`;
    case "auto_leave_proposed":
      return "initiating automatic transition out of joint configuration " +
        configurationText(event.configuration);
    case "auto_leave_postponed":
      return "not initiating automatic transition out of joint configuration " +
        `${configurationText(event.configuration)}: raft proposal dropped`;
    case "higher_term_seen":
      return `${id} [term: ${event.term}] received a ${
        messageTypeName(event.message)
      } message with ` +
        `higher term from ${hex(event.message.from)} [term: ${event.message.term}]`;
    case "lower_term_ignored":
      return `${id} [term: ${event.term}] ignored a ${
        messageTypeName(event.message)
      } message with ` +
        `lower term from ${hex(event.message.from)} [term: ${event.message.term}]`;
    case "quorum_lost":
      return `${id} stepped down to follower since quorum is not active`;
    case "leader_forgotten":
      return `${id} forgetting leader ${hex(event.leader)} at term ${event.term}`;
    case "forget_leader_refused":
      return "ignoring MsgForgetLeader due to ReadOnlyLeaseBased";
    case "proposal_dropped":
      return droppedText(id, event);
    default:
      return unreachable(event);
  }
}

function droppedText(id: string, event: LifeEvent & { readonly kind: "proposal_dropped" }): string {
  switch (event.reason) {
    case "no_leader":
      return `${id} no leader at term ${event.term}; dropping proposal`;
    case "not_leader":
      return `${id} not forwarding to leader ${hex(event.peer)} at term ${event.term}; ` +
        "dropping proposal";
    case "transferring":
      return `${id} [term ${event.term}] transfer leadership to ${
        hex(event.peer)
      } is in progress; ` +
        "dropping proposal";
    case "uncommitted_limit":
      return `${id} appending new entries to log would exceed uncommitted entry size limit; ` +
        "dropping proposal";
    default:
      return unreachable(event.reason);
  }
}

function changeText(change: ConfChange): string {
  const changes = change.changes.map((single) =>
    ` changes:{type:${TYPE_NAMES[single.type]} node_id:${single.nodeId}}`
  );
  return `transition:${TRANSITION_NAMES[change.transition]}${changes.join("")}`;
}

function electionText(id: string, event: ElectionEvent): string {
  switch (event.kind) {
    case "election_started":
      return `${id} is starting a new election at term ${event.term}`;
    case "election_refused":
      if (event.reason === "leader") return `${id} ignoring MsgHup because already leader`;
      if (event.reason === "unpromotable") return `${id} is unpromotable and can not campaign`;
      return `${id} cannot campaign at term ${event.term} since there are still pending ` +
        "configuration changes to apply";
    case "vote_requested":
      return `${id} ${place(event.last)} sent ${BALLOT_NAMES[event.ballot]} request to ` +
        `${hex(event.to)} at term ${event.term}`;
    case "vote_received":
      return `${id} received ${BALLOT_NAMES[event.ballot]}Resp${
        event.isGranted ? "" : " rejection"
      } from ${hex(event.from)} at term ${event.term}`;
    case "votes_counted":
      return `${id} has received ${event.granted} ${BALLOT_NAMES[event.ballot]}Resp votes and ` +
        `${event.rejected} vote rejections`;
    case "vote_answered":
      return answerText(id, event);
    default:
      return unreachable(event);
  }
}

function answerText(id: string, event: ElectionEvent & { readonly kind: "vote_answered" }): string {
  const { decision, last, candidateLast } = event;
  const link = decision.kind === "cast" ? "for" : "from";
  const lease = decision.kind === "ignored"
    ? `: lease is not expired (remaining ticks: ${decision.leaseTicksLeft})`
    : "";
  return `${id} [logterm: ${last.term}, index: ${last.index}, vote: ${hex(event.vote)}] ` +
    `${decision.kind} ${BALLOT_NAMES[event.ballot]} ${link} ${hex(event.candidate)} ` +
    `${place(candidateLast)} at term ${event.term}${lease}`;
}

function transferText(id: string, event: TransferEvent): string {
  switch (event.kind) {
    case "transfer_started":
      return `${id} [term ${event.term}] starts to transfer leadership to ${hex(event.to)}`;
    case "transfer_repeated":
      return `${id} [term ${event.term}] transfer leadership to ${hex(event.to)} is in progress, ` +
        `ignores request to same node ${hex(event.to)}`;
    case "transfer_replaced":
      return `${id} [term ${event.term}] abort previous transferring leadership to ${
        hex(event.to)
      }`;
    case "transfer_refused":
      return `${hex(event.to)} is no voter. Ignored transferring leadership`;
    case "timeout_now_sent":
      return event.isImmediate
        ? `${id} sends MsgTimeoutNow to ${hex(event.to)} immediately as ${hex(event.to)} already ` +
          "has up-to-date log"
        : `${id} sent MsgTimeoutNow to ${hex(event.to)} after received MsgAppResp`;
    case "timeout_now_received":
      return `${id} [term ${event.term}] received MsgTimeoutNow from ${
        hex(event.from)
      } and starts ` +
        "an election to get leadership.";
    default:
      return unreachable(event);
  }
}

function replicationText(id: string, event: ReplicationEvent): string {
  switch (event.kind) {
    case "append_rejected":
      return `${id} [logterm: ${event.ownTerm}, index: ${event.prev.index}] rejected MsgApp ` +
        `${place(event.prev)} from ${hex(event.from)}`;
    case "rejection_received":
      return `${id} received MsgAppResp(rejected, hint: (index ${event.hint.index}, term ` +
        `${event.hint.term})) from ${hex(event.from)} for index ${event.rejected}`;
    case "snapshot_sent":
      return `${id} [firstindex: ${event.firstIndex}, commit: ${event.commit}] sent ` +
        `snapshot[index: ${event.snapshot.index}, term: ${event.snapshot.term}] to ` +
        `${hex(event.peer)} [${event.progress}]`;
    case "snapshot_not_sent":
      return event.reason === "not recently active"
        ? `ignore sending snapshot to ${hex(event.peer)} since it is not recently active`
        : `${id} failed to send snapshot to ${hex(event.peer)} because snapshot is ${event.reason}`;
    case "progress_decreased":
      return `${id} decreased progress of ${hex(event.peer)} to [${event.progress}]`;
    case "progress_paused":
      return `${id} paused sending replication messages to ${hex(event.peer)} [${event.progress}]`;
    case "progress_recovered":
      return `${id} recovered from needing snapshot, resumed sending replication messages to ` +
        `${hex(event.peer)} [${event.progress}]`;
    case "snapshot_succeeded":
      return `${id} snapshot succeeded, resumed sending replication messages to ` +
        `${hex(event.peer)} [${event.progress}]`;
    case "snapshot_failed":
      return `${id} snapshot failed, resumed sending replication messages to ` +
        `${hex(event.peer)} [${event.progress}]`;
    case "peer_unreachable":
      return `${id} failed to send message to ${hex(event.peer)} because it is unreachable ` +
        `[${event.progress}]`;
    default:
      return unreachable(event);
  }
}

function logText(id: string, event: LogEvent): string {
  switch (event.kind) {
    case "log_conflict":
      return `found conflict at index ${event.index} [existing term: ${event.existingTerm}, ` +
        `conflicting term: ${event.conflictingTerm}]`;
    case "unstable_replaced":
      return `replace the unstable entries from index ${event.index}`;
    case "unstable_truncated":
      return `truncate the unstable entries before index ${event.index}`;
    case "acknowledgement_missing":
      return `entry at index ${event.index} missing from unstable log; ignoring`;
    case "acknowledgement_of_snapshot":
      return `entry at index ${event.index} matched unstable snapshot; ignoring`;
    case "acknowledgement_mismatched":
      return `entry at (index,term)=(${event.acknowledged.index},${event.acknowledged.term}) ` +
        `mismatched with entry at (${event.found.index},${event.found.term}) in unstable log; ignoring`;
    case "acknowledgement_of_older_term":
      return `${id} [term: ${event.term}] ignored entry appends from a MsgStorageAppendResp ` +
        `message with lower term [term: ${event.acknowledgedTerm}]`;
    default:
      return snapshotText(id, event);
  }
}

type SnapshotEvent = LogEvent & {
  readonly kind:
    | "restore_started"
    | "restored"
    | "restore_fast_forwarded"
    | "snapshot_accepted"
    | "snapshot_ignored"
    | "snapshot_refused";
};

function snapshotText(id: string, event: SnapshotEvent): string {
  if (event.kind === "snapshot_refused") {
    return `${id} attempted to restore snapshot but it is not in the ConfState ` +
      `${configurationText(event.configuration)}; should never happen`;
  }
  const snapshot = `snapshot [index: ${event.snapshot.index}, term: ${event.snapshot.term}]`;
  switch (event.kind) {
    case "restore_started":
      return `log [committed=${event.commit}, applied=${event.applied}, applying=${event.applying}, ` +
        `unstable.offset=${event.unstableOffset}, ` +
        `unstable.offsetInProgress=${event.unstableOffsetInProgress}, ` +
        `len(unstable.Entries)=${event.unstableCount}] starts to restore ${snapshot}`;
    case "restored":
    case "restore_fast_forwarded":
      return `${id} [commit: ${event.commit}, lastindex: ${event.last.index}, lastterm: ` +
        `${event.last.term}] ${
          event.kind === "restored" ? "restored" : "fast-forwarded commit to"
        } ${snapshot}`;
    case "snapshot_accepted":
      return `${id} [commit: ${event.commit}] restored ${snapshot}`;
    case "snapshot_ignored":
      return `${id} [commit: ${event.commit}] ignored ${snapshot}`;
    default:
      return unreachable(event);
  }
}
