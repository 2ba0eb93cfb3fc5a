/**
 * What arrives from peers, and who takes it: the node's side implements this, the transport calls it, on
 * the main thread. The engine's messages come only from streams whose handshake matched (peer_identity.ts).
 * A call that throws an `OperatingError` is answered with its code and text; anything else is a bug and
 * goes to `onBug`.
 */
import type { NodeId } from "../base/ids.ts";
import type { Message, SnapshotMessage } from "../raft/message.ts";
import type { PeerAnswers, PeerRequest } from "./peer_calls.ts";
import type { RemoteIdentity } from "./peer_identity.ts";

/** `finished`: the receiver has it, durable. `failed`: the engine has to decide anew. */
export type SnapshotTransferOutcome = "finished" | "failed";

/** Who calls, as it says itself; its cluster id, where it has one, is this node's. */
export interface CallContext {
  readonly caller: RemoteIdentity;
  /** Aborts when the caller is gone or its time is over. */
  readonly signal: AbortSignal;
}

/** What a sender says of a snapshot before its content. */
export interface SnapshotOffer {
  readonly message: SnapshotMessage;
  /** Bytes of the content. */
  readonly sizeBytes: number;
  /** CRC-32C of the content; with the index it names the file that a transfer may go on with (rule N3). */
  readonly checksum: number;
  /** The sender's own words about it, such as the entry chain at its index. */
  readonly note: Uint8Array;
}

/** Takes the content of one snapshot, in order and without gaps. One call at a time. */
export interface SnapshotSink {
  /** Bytes that are here already from an earlier transfer of the same content; the next comes from there. */
  readonly resumeOffset: number;
  /** `chunk` has been checked against its own checksum; it is the sink's. @throws {OperatingError} `disk_full` */
  write(chunk: Uint8Array, position: number): Promise<void>;
  /** All is there: verifies the whole and makes it durable. @throws {OperatingError} when it is not what was offered. */
  commit(): Promise<void>;
  /** The transfer ended early; what is here may be kept for `resumeOffset`. Last call. */
  abort(): Promise<void>;
}

/** Implemented on the node's side. */
export interface PeerServices {
  /** A message of a member for this node. After a snapshot's `commit`, its message. Must not throw. */
  receive(message: Message): void;
  /** Something for this member was dropped, or its stream broke: the engine sends anew when it answers. */
  onUnreachable(nodeId: NodeId): void;
  /** What became of a snapshot that was sent. */
  onSnapshotReport(nodeId: NodeId, outcome: SnapshotTransferOutcome): void;
  /**
   * Evidence that the process of a member has ended (rule E2): its streams ended and its address refused
   * two connections, or another process has its identity now. `bootNonce` is the process that is gone, in hex.
   */
  onLeaderGone(nodeId: NodeId, bootNonce: string): void;
  /** A process is there (again): the evidence, if there was any for `bootNonce`, was false or is over. */
  onLeaderBack(nodeId: NodeId, bootNonce: string): void;
  /** Two processes with one identity are alive (faults M5). Told again at most every few seconds. */
  onDuplicate(nodeId: NodeId): void;
  /** A stream with this member was refused, by it or by this node; the text says why and what to do. */
  onRefused(nodeId: NodeId, reason: string): void;
  /** A snapshot is offered; undefined when it is not wanted now. Its `to` is this node. */
  receiveSnapshot(offer: SnapshotOffer): Promise<SnapshotSink | undefined>;
  /** Answers a call. @throws {OperatingError} */
  answer<Kind extends PeerRequest["kind"]>(
    request: Extract<PeerRequest, { readonly kind: Kind }>,
    context: CallContext,
  ): Promise<PeerAnswers[Kind]>;
  /** An error that is nobody's answer: the process must end. */
  onBug(error: unknown): void;
}
