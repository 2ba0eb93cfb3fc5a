/**
 * What nodes ask of each other besides the engine's messages: one request and one answer each, told apart
 * by `kind`. They go to an address rather than to a member, since a joiner is none yet.
 * Here are the words; their bytes are in call_codec.ts, who answers is in peer_services.ts.
 */
import type { NodeId } from "../base/ids.ts";
import type { Answer, QueryRequest, ResultFormat } from "../command/request.ts";
import type { RemoteIdentity } from "./peer_identity.ts";

/** Who is there, and who leads. Answered by any node at any time. */
export interface IdentifyRequest {
  readonly kind: "identify";
}

/** @see IdentifyRequest */
export interface IdentifyAnswer {
  readonly kind: "identify";
  readonly identity: RemoteIdentity;
  /** Where the leader is, or undefined while none is known. */
  readonly leader: LeaderAddress | undefined;
  /** Whether its data directory holds a log already: it takes part in no forming (rule M2). */
  readonly hasData: boolean;
}

/** Where the leader is reached. */
export interface LeaderAddress {
  readonly nodeId: NodeId;
  readonly raftAddress: string;
  readonly apiUrl: string;
}

/** To become a member, or to change one's own name or addresses. Repeating it changes nothing. */
export interface JoinRequest {
  readonly kind: "join";
  readonly name: string;
  /** 16 bytes. */
  readonly incarnation: Uint8Array;
  readonly raftAddress: string;
  readonly apiUrl: string;
  /** Stays a learner (`--raft-non-voter`). */
  readonly isReadOnly: boolean;
  readonly sqliteFingerprint: string;
  readonly featureLevel: number;
  /** `user:password` of `--join-as`, to be judged by the leader; undefined for nobody. */
  readonly credentials: string | undefined;
}

/** @see JoinRequest */
export interface JoinAnswer {
  readonly kind: "join";
  /** 16 bytes. */
  readonly clusterId: Uint8Array;
  /** The joiner's number. */
  readonly nodeId: NodeId;
  /** How the cluster began (command/genesis.ts), to begin in the same way. */
  readonly genesis: Uint8Array;
}

/** To take a member out. One that is none any more is fine. */
export interface RemoveRequest {
  readonly kind: "remove";
  /** The member's name (`--node-id`). */
  readonly name: string;
  readonly credentials: string | undefined;
}

/** Whoever proposes a cluster asks each of its first members to promise itself (rule M2). */
export interface PledgeRequest {
  readonly kind: "pledge";
  /** 16 bytes, chosen by the proposer. */
  readonly clusterId: Uint8Array;
  /** All first members, the proposer among them, in the order of their names. */
  readonly members: readonly PledgedMember[];
}

/** A first member of a proposed cluster. */
export interface PledgedMember {
  readonly name: string;
  /** 16 bytes. */
  readonly incarnation: Uint8Array;
  readonly raftAddress: string;
  readonly apiUrl: string;
}

/** `pledged`: durable, and nobody else gets one until the proposer's abort. */
export interface PledgeAnswer {
  readonly kind: "pledge";
  readonly outcome:
    | { readonly kind: "pledged" }
    /** To another proposal. */
    | { readonly kind: "taken"; readonly clusterId: Uint8Array }
    /** It belongs to a cluster already. */
    | { readonly kind: "member"; readonly clusterId: Uint8Array };
}

/** The proposer lets those go who pledged themselves to `clusterId`. */
export interface AbortPledgeRequest {
  readonly kind: "abort_pledge";
  readonly clusterId: Uint8Array;
}

/** All have pledged: the cluster exists from here on. Repeated until each has answered. */
export interface FormRequest {
  readonly kind: "form";
  readonly clusterId: Uint8Array;
  /** How the cluster begins (command/genesis.ts). */
  readonly genesis: Uint8Array;
  /** The receiver's number in it. */
  readonly nodeId: NodeId;
}

/** The leader hands over. */
export interface TransferLeaderRequest {
  readonly kind: "transfer_leader";
  /** undefined: whoever is most up to date. */
  readonly to: NodeId | undefined;
  readonly credentials: string | undefined;
}

/** The leader takes the state's time to that of the voters' clocks (rule T1). */
export interface SetTimeRequest {
  readonly kind: "set_time";
  readonly credentials: string | undefined;
}

/** The leader makes a snapshot and compacts its log (`POST /snapshot`). */
export interface SnapshotNowRequest {
  readonly kind: "snapshot_now";
  readonly credentials: string | undefined;
}

/** A member tells the leader what its state comes to behind the entry `compare` at `index` (rule V1). */
export interface ReportDigestRequest {
  readonly kind: "report_digest";
  readonly index: number;
  readonly resultChain: string;
  readonly content: string;
}

/**
 * A member whose state is wrong wants the leader's, of entry `indexMin` or later (rule V2). It comes as a snapshot;
 * `not_ready` while it is being made.
 */
export interface SendStateRequest {
  readonly kind: "send_state";
  readonly indexMin: number;
}

/** It is done; there is nothing more to say. */
export interface DoneAnswer {
  readonly kind: "done";
}

/** What a client wants that only the leader can do. */
export type ForwardedWork =
  /** `body` is an encoded command, retry name included. */
  | { readonly kind: "execute"; readonly format: ResultFormat }
  /** `body` is several of them, one after the other; the answer's results are one JSON array of outcomes. */
  | {
    readonly kind: "executes";
    readonly writes: readonly { readonly format: ResultFormat; readonly sizeBytes: number }[];
  }
  /** `body` is the UTF-8 of the client's own, unparsed. */
  | {
    readonly kind: "query" | "request";
    readonly bodyKind: "json" | "sql";
    readonly request: Omit<QueryRequest, "body">;
  };

/** A client's request, passed on to the leader. */
export interface ForwardRequest {
  readonly kind: "forward";
  readonly work: ForwardedWork;
  /** Not copied, not modified; any size up to an entry's. */
  readonly body: Uint8Array;
  /** The client's `Authorization`, as it came; undefined when it sent none. */
  readonly credentials: string | undefined;
  /** How often it was passed on before; past a limit it is refused (faults N15). */
  readonly hops: number;
}

/** @see ForwardRequest */
export interface ForwardAnswer {
  readonly kind: "forward";
  /** A large result is a stream: whoever takes it reads it to its end or cancels it. */
  readonly answer: Answer;
}

/** Everything that can be asked. */
export type PeerRequest =
  | IdentifyRequest
  | JoinRequest
  | RemoveRequest
  | PledgeRequest
  | AbortPledgeRequest
  | FormRequest
  | TransferLeaderRequest
  | SetTimeRequest
  | SnapshotNowRequest
  | ReportDigestRequest
  | SendStateRequest
  | ForwardRequest;

/** What each request is answered with. */
export interface PeerAnswers {
  readonly identify: IdentifyAnswer;
  readonly join: JoinAnswer;
  readonly remove: DoneAnswer;
  readonly pledge: PledgeAnswer;
  readonly abort_pledge: DoneAnswer;
  readonly form: DoneAnswer;
  readonly transfer_leader: DoneAnswer;
  readonly set_time: DoneAnswer;
  readonly snapshot_now: DoneAnswer;
  readonly report_digest: DoneAnswer;
  readonly send_state: DoneAnswer;
  readonly forward: ForwardAnswer;
}

/** Any answer. */
export type PeerAnswer = PeerAnswers[PeerRequest["kind"]];
