/**
 * The messages between nodes, one type each, told apart by `kind`. They are immutable: a message that
 * has been queued is never changed, so that nodes in one process may share it.
 *
 * `term` is the sender's, with two exceptions: a pre-vote asks (and is granted) for the next term, and
 * what a follower passes on for its client (`propose`, `read_index`) belongs to no term and has 0.
 * Order and delivery are not assumed: any message may be lost, repeated or overtaken.
 */
import type { LogIndex, NodeId, Term } from "../base/ids.ts";
import type { Entry, ProposedEntry, SnapshotMetadata } from "./types.ts";

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: Term;
}

/** AppendEntries (Raft figure 2). Without entries it only carries the commit index. */
export interface AppendMessage extends Envelope {
  readonly kind: "append";
  /** The entry before the first of `entries`. */
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  /** Contiguous from `prevIndex + 1`. Where `payload` is absent, the driver fetches it before it sends. */
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
}

/** The answer to an append or a snapshot, and to a leader of an older term (then `index` is 0). */
export interface AppendResponse extends Envelope {
  readonly kind: "append_response";
  /** Accepted: the last entry known to match the leader's. Rejected: the `prevIndex` that was not found. */
  readonly index: LogIndex;
  /** Where to try next: the follower's best guess and the term of its entry there, 0 if unknown. */
  readonly rejection: { readonly hintIndex: LogIndex; readonly hintTerm: Term } | undefined;
}

/** An election for the term, or the question whether one would succeed (Raft thesis 9.6). */
export type Ballot = "vote" | "pre_vote";

/** RequestVote (Raft figure 2). */
export interface VoteRequest extends Envelope {
  readonly kind: "vote_request";
  readonly ballot: Ballot;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** The leader itself asked for this election (Raft thesis 3.10): leases do not hold against it. */
  readonly isTransfer: boolean;
  /** The sender's commit index and the term of the entry there; 0 when it does not tell. */
  readonly commit: LogIndex;
  readonly commitTerm: Term;
}

/** The answer to a `vote_request`. */
export interface VoteResponse extends Envelope {
  readonly kind: "vote_response";
  readonly ballot: Ballot;
  readonly isGranted: boolean;
  /** As in the request. Only refusals tell. */
  readonly commit: LogIndex;
  readonly commitTerm: Term;
  /** As in a heartbeat's answer. */
  readonly wallMs?: number;
}

/** Keeps followers from campaigning, and confirms the leader for reads. */
export interface HeartbeatMessage extends Envelope {
  readonly kind: "heartbeat";
  /** At most what the receiver is known to hold. */
  readonly commit: LogIndex;
  /** The leader's running number of read confirmations in this term; 0 when no read waits. */
  readonly readRound: number;
}

/** The answer to a `heartbeat`. */
export interface HeartbeatResponse extends Envelope {
  readonly kind: "heartbeat_response";
  readonly readRound: number;
  /** The sender's wall clock, milliseconds since 1970: added and read by the driver (rule T1). */
  readonly wallMs?: number;
}

/** InstallSnapshot (Raft figure 13). The driver sends the content with it. */
export interface SnapshotMessage extends Envelope {
  readonly kind: "snapshot";
  readonly snapshot: SnapshotMetadata;
}

/** A follower asks for a snapshot to rebuild itself; `indexMin` is the end of its log, which must not be lost. */
export interface SnapshotRequest extends Envelope {
  readonly kind: "snapshot_request";
  readonly indexMin: LogIndex;
}

/** A follower passes a proposal on. Off in production: forwarding happens above the engine. */
export interface ProposeMessage extends Envelope {
  readonly kind: "propose";
  readonly entries: readonly ProposedEntry[];
}

/** A follower asks for a read index on behalf of a client. */
export interface ReadIndexRequest extends Envelope {
  readonly kind: "read_index";
  /** Chosen by the sender's engine, from a random start, so that a restart cannot repeat it. */
  readonly requestId: number;
}

/** The answer to a `read_index`. */
export interface ReadIndexResponse extends Envelope {
  readonly kind: "read_index_response";
  readonly requestId: number;
  readonly index: LogIndex;
}

/** The leader tells its chosen successor to campaign now (Raft thesis 3.10). */
export interface TimeoutNowMessage extends Envelope {
  readonly kind: "timeout_now";
}

/** A follower asks the leader to hand over to `transferee`. */
export interface TransferLeaderMessage extends Envelope {
  readonly kind: "transfer_leader";
  readonly transferee: NodeId;
}

/** Everything that engines say to each other. */
export type Message =
  | AppendMessage
  | AppendResponse
  | VoteRequest
  | VoteResponse
  | HeartbeatMessage
  | HeartbeatResponse
  | SnapshotMessage
  | SnapshotRequest
  | ProposeMessage
  | ReadIndexRequest
  | ReadIndexResponse
  | TimeoutNowMessage
  | TransferLeaderMessage;

/** Whether it is one that only a leader sends, and from `leader`. */
export function isWordOf(leader: NodeId, { kind, from }: Message): boolean {
  return from === leader && (kind === "append" || kind === "heartbeat" || kind === "snapshot");
}

/** Whether it is an answer that a leader has from a majority of the voters before it proposes anything. */
export function tellsTime(message: Message): message is HeartbeatResponse | VoteResponse {
  return message.kind === "heartbeat_response" || message.kind === "vote_response";
}
