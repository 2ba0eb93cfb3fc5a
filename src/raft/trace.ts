/**
 * Facts that the engine reports as they happen, for logs, metrics and the scenario files. Nothing is
 * formatted here and nothing is built when no sink is given: call `trace?.({...})`. trace_text.ts words them.
 */
import type { LogIndex, NodeId, Term } from "../base/ids.ts";
import type { ConfChange } from "./conf_change.ts";
import type { Ballot, Message } from "./message.ts";
import type { ConfState, Role } from "./types.ts";

/** Receives facts in the order in which they happen. Must not call the engine. */
export type TraceSink = (event: TraceEvent) => void;

/** A place in the log. */
export interface LogPosition {
  readonly index: LogIndex;
  readonly term: Term;
}

/** Every fact there is; `kind` tells them apart. */
export type TraceEvent = LifeEvent | ElectionEvent | LogEvent | ReplicationEvent | TransferEvent;

/** Start, roles, terms, membership. */
export type LifeEvent =
  | {
    readonly kind: "started";
    readonly configuration: ConfState;
    readonly term: Term;
    readonly commit: LogIndex;
    readonly applied: LogIndex;
    readonly last: LogPosition;
  }
  | { readonly kind: "role_changed"; readonly role: Role; readonly term: Term }
  | { readonly kind: "configuration_switched"; readonly configuration: ConfState }
  | {
    readonly kind: "conf_change_ignored";
    readonly change: ConfChange;
    readonly configuration: ConfState;
    readonly reason: string;
  }
  | {
    readonly kind: "auto_leave_proposed" | "auto_leave_postponed";
    readonly configuration: ConfState;
  }
  | {
    readonly kind: "higher_term_seen" | "lower_term_ignored";
    readonly message: Message;
    readonly term: Term;
  }
  | { readonly kind: "quorum_lost" }
  | { readonly kind: "leader_forgotten"; readonly leader: NodeId; readonly term: Term }
  | { readonly kind: "forget_leader_refused" }
  | {
    readonly kind: "proposal_dropped";
    readonly reason: "no_leader" | "not_leader" | "transferring" | "uncommitted_limit";
    readonly term: Term;
    /** The leader or the transferee that stands in the way, or 0. */
    readonly peer: NodeId;
  };

/** What became of a (pre-)vote request. `ignored`: the lease of the present leader holds. */
export type VoteDecision =
  | { readonly kind: "cast" | "rejected" }
  | { readonly kind: "ignored"; readonly leaseTicksLeft: number };

/** Campaigns and votes. */
export type ElectionEvent =
  | { readonly kind: "election_started"; readonly term: Term }
  | {
    readonly kind: "election_refused";
    readonly reason: "leader" | "unpromotable" | "unapplied_conf_change";
    readonly term: Term;
  }
  | {
    readonly kind: "vote_requested";
    readonly ballot: Ballot;
    readonly to: NodeId;
    readonly term: Term;
    readonly last: LogPosition;
  }
  | {
    readonly kind: "vote_received";
    readonly ballot: Ballot;
    readonly from: NodeId;
    readonly isGranted: boolean;
    readonly term: Term;
  }
  | {
    readonly kind: "votes_counted";
    readonly ballot: Ballot;
    readonly granted: number;
    readonly rejected: number;
  }
  | {
    readonly kind: "vote_answered";
    readonly ballot: Ballot;
    readonly candidate: NodeId;
    readonly candidateLast: LogPosition;
    readonly decision: VoteDecision;
    /** This node's own, before it decided. */
    readonly last: LogPosition;
    readonly vote: NodeId;
    readonly term: Term;
  };

/** The log and its acknowledgements from storage. */
export type LogEvent =
  | {
    readonly kind: "log_conflict";
    readonly index: LogIndex;
    readonly existingTerm: Term;
    readonly conflictingTerm: Term;
  }
  | { readonly kind: "unstable_replaced" | "unstable_truncated"; readonly index: LogIndex }
  | { readonly kind: "acknowledgement_missing"; readonly index: LogIndex }
  | { readonly kind: "acknowledgement_of_snapshot"; readonly index: LogIndex }
  | {
    readonly kind: "acknowledgement_mismatched";
    readonly acknowledged: LogPosition;
    readonly found: LogPosition;
  }
  | {
    readonly kind: "acknowledgement_of_older_term";
    readonly term: Term;
    readonly acknowledgedTerm: Term;
  }
  | {
    readonly kind: "restore_started";
    readonly snapshot: LogPosition;
    readonly commit: LogIndex;
    readonly applied: LogIndex;
    readonly applying: LogIndex;
    readonly unstableOffset: LogIndex;
    readonly unstableOffsetInProgress: LogIndex;
    readonly unstableCount: number;
  }
  | {
    readonly kind: "restored" | "restore_fast_forwarded";
    readonly snapshot: LogPosition;
    readonly commit: LogIndex;
    readonly last: LogPosition;
  }
  | {
    readonly kind: "snapshot_accepted" | "snapshot_ignored";
    readonly snapshot: LogPosition;
    readonly commit: LogIndex;
  }
  | { readonly kind: "snapshot_refused"; readonly configuration: ConfState };

/** What leader and follower say to each other about the log. `progress` is text. */
export type ReplicationEvent =
  | {
    readonly kind: "append_rejected";
    readonly from: NodeId;
    readonly prev: LogPosition;
    /** The term of this node's own entry there, 0 if none. */
    readonly ownTerm: Term;
  }
  | {
    readonly kind: "rejection_received";
    readonly from: NodeId;
    readonly rejected: LogIndex;
    readonly hint: LogPosition;
  }
  | {
    readonly kind: "snapshot_sent";
    readonly peer: NodeId;
    readonly snapshot: LogPosition;
    readonly firstIndex: LogIndex;
    readonly commit: LogIndex;
    readonly progress: string;
  }
  | { readonly kind: "snapshot_not_sent"; readonly peer: NodeId; readonly reason: string }
  | {
    readonly kind:
      | "progress_decreased"
      | "progress_paused"
      | "progress_recovered"
      | "snapshot_succeeded"
      | "snapshot_failed"
      | "peer_unreachable";
    readonly peer: NodeId;
    readonly progress: string;
  };

/** Leadership transfer (Raft thesis 3.10). */
export type TransferEvent =
  | {
    readonly kind:
      | "transfer_started"
      | "transfer_repeated"
      | "transfer_replaced"
      | "transfer_refused";
    readonly to: NodeId;
    readonly term: Term;
  }
  | { readonly kind: "timeout_now_sent"; readonly to: NodeId; readonly isImmediate: boolean }
  | { readonly kind: "timeout_now_received"; readonly from: NodeId; readonly term: Term };
