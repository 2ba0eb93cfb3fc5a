/**
 * The engine's messages as protobuf (proto/dust.proto) and back. What is read is checked: a message
 * that cannot be the engine's is a `WireError`, which ends its stream and nothing else.
 * Payloads are never copied here: an append of up to DETACH_BYTES carries them, as views of what arrived
 * on the other side; a larger one only announces them, and they follow in pieces (payload_pieces.ts).
 */
import { unreachable } from "../base/assert.ts";
import { logIndex, type NodeId, nodeId, term } from "../base/ids.ts";
import type { Message } from "../raft/message.ts";
import type { ConfState, Entry, ProposedEntry, SnapshotMetadata } from "../raft/types.ts";
import type {
  Configuration,
  Entry as WireEntry,
  Message as WireMessage,
} from "./generated/dust.ts";
import { DETACH_BYTES } from "./limits.ts";

/** What arrived is not of the protocol. The peer's bug, or damage on the way; never shown to clients. */
export class WireError extends Error {
  override readonly name = "WireError";
}

type WireKind = Exclude<WireMessage["kind"], undefined>;
type EntryMessage = Extract<Message, { readonly kind: "append" | "propose" }>;

/** Bytes of the payloads that a message carries; 0 for all without entries. */
export function payloadBytes(message: Message): number {
  if (message.kind !== "append" && message.kind !== "propose") return 0;
  let bytes = 0;
  for (const { payload } of message.entries) bytes += payload?.length ?? 0;
  return bytes;
}

/** Whether the payloads of a message go in packets of their own, behind it. */
export function isDetached(message: Message): boolean {
  return payloadBytes(message) > DETACH_BYTES;
}

/** A message for the wire; its payloads are shared, or left out when it is detached. */
export function toWire(message: Message): WireMessage {
  const { from, to, term } = message;
  return { from, to, term, kind: kindToWire(message) };
}

function kindToWire(message: Message): WireKind {
  switch (message.kind) {
    case "append": {
      const { prevIndex, prevTerm, commit } = message;
      const value = { prevIndex, prevTerm, commit, entries: entriesToWire(message) };
      return { $case: "append", value };
    }
    case "append_response": {
      const { index, rejection } = message;
      return { $case: "appendResponse", value: { index, rejection } };
    }
    case "vote_request": {
      const { lastIndex, lastTerm, isTransfer, commit, commitTerm } = message;
      const isPreVote = message.ballot === "pre_vote";
      const value = { isPreVote, lastIndex, lastTerm, isTransfer, commit, commitTerm };
      return { $case: "voteRequest", value };
    }
    case "vote_response": {
      const { isGranted, commit, commitTerm } = message;
      const isPreVote = message.ballot === "pre_vote";
      const value = { isPreVote, isGranted, commit, commitTerm, wallMs: wallMsToWire(message) };
      return { $case: "voteResponse", value };
    }
    case "heartbeat": {
      const { commit, readRound } = message;
      return { $case: "heartbeat", value: { commit, readRound } };
    }
    case "heartbeat_response":
      return {
        $case: "heartbeatResponse",
        value: { readRound: message.readRound, wallMs: wallMsToWire(message) },
      };
    case "snapshot": {
      const { index, term, configuration } = message.snapshot;
      const value = { index, term, configuration: configurationToWire(configuration) };
      return { $case: "snapshot", value };
    }
    case "snapshot_request":
      return { $case: "snapshotRequest", value: { indexMin: message.indexMin } };
    case "propose":
      return { $case: "propose", value: { entries: entriesToWire(message) } };
    case "read_index":
      return { $case: "readIndex", value: { requestId: message.requestId } };
    case "read_index_response": {
      const { requestId, index } = message;
      return { $case: "readIndexResponse", value: { requestId, index } };
    }
    case "timeout_now":
      return { $case: "timeoutNow", value: {} };
    case "transfer_leader":
      return { $case: "transferLeader", value: { transferee: message.transferee } };
    default:
      return unreachable(message);
  }
}

function entriesToWire(message: EntryMessage): WireEntry[] {
  const detached = isDetached(message);
  return message.entries.map((entry: Entry | ProposedEntry): WireEntry => ({
    index: "index" in entry ? entry.index : 0,
    term: "term" in entry ? entry.term : 0,
    isConfChange: entry.kind === "conf_change",
    size: entry.size,
    payload: detached ? undefined : entry.payload,
    isDetached: detached && entry.payload !== undefined,
  }));
}

function configurationToWire(state: ConfState): Configuration {
  return {
    voters: [...state.voters],
    votersOutgoing: [...state.votersOutgoing],
    learners: [...state.learners],
    learnersNext: [...state.learnersNext],
    autoLeave: state.autoLeave,
  };
}

/**
 * A message from the wire. `payloads` are those of the detached entries, in order; undefined when they
 * have not been read, which leaves those entries without. @throws {WireError}
 */
export function fromWire(wire: WireMessage, payloads?: readonly Uint8Array[]): Message {
  const { kind } = wire;
  if (kind === undefined) throw new WireError("A message of an unknown kind");
  const envelope = { from: nodeId(wire.from), to: nodeId(wire.to), term: term(wire.term) };
  switch (kind.$case) {
    case "append":
    case "propose":
      return entriesFromWire(envelope, { kind, payloads });
    case "appendResponse": {
      const { index, rejection } = kind.value;
      const hint = rejection === undefined ? undefined : {
        hintIndex: logIndex(rejection.hintIndex),
        hintTerm: term(rejection.hintTerm),
      };
      return { kind: "append_response", ...envelope, index: logIndex(index), rejection: hint };
    }
    case "voteRequest": {
      const { isPreVote, lastIndex, lastTerm, isTransfer, commit, commitTerm } = kind.value;
      return {
        kind: "vote_request",
        ...envelope,
        ballot: isPreVote ? "pre_vote" : "vote",
        lastIndex: logIndex(lastIndex),
        lastTerm: term(lastTerm),
        isTransfer,
        commit: logIndex(commit),
        commitTerm: term(commitTerm),
      };
    }
    case "voteResponse": {
      const { isPreVote, isGranted, commit, commitTerm, wallMs } = kind.value;
      return {
        kind: "vote_response",
        ...envelope,
        ballot: isPreVote ? "pre_vote" : "vote",
        isGranted,
        commit: logIndex(commit),
        commitTerm: term(commitTerm),
        ...wallMsFromWire(wallMs),
      };
    }
    case "heartbeat": {
      const { commit, readRound } = kind.value;
      return { kind: "heartbeat", ...envelope, commit: logIndex(commit), readRound };
    }
    case "heartbeatResponse": {
      const { readRound, wallMs } = kind.value;
      return { kind: "heartbeat_response", ...envelope, readRound, ...wallMsFromWire(wallMs) };
    }
    case "snapshot":
      return { kind: "snapshot", ...envelope, snapshot: snapshotFromWire(kind.value) };
    case "snapshotRequest":
      return { kind: "snapshot_request", ...envelope, indexMin: logIndex(kind.value.indexMin) };
    case "readIndex":
      return { kind: "read_index", ...envelope, requestId: kind.value.requestId };
    case "readIndexResponse": {
      const { requestId, index } = kind.value;
      return { kind: "read_index_response", ...envelope, requestId, index: logIndex(index) };
    }
    case "timeoutNow":
      return { kind: "timeout_now", ...envelope };
    case "transferLeader":
      return { kind: "transfer_leader", ...envelope, transferee: nodeId(kind.value.transferee) };
    default:
      return unreachable(kind);
  }
}

type Envelope = Pick<Message, "from" | "to" | "term">;

function entriesFromWire(
  envelope: Envelope,
  { kind, payloads }: {
    readonly kind: Extract<WireKind, { readonly $case: "append" | "propose" }>;
    readonly payloads: readonly Uint8Array[] | undefined;
  },
): Message {
  let next = 0;
  const proposed = (wire: WireEntry): ProposedEntry => {
    const payload = wire.isDetached ? payloads?.[next++] : wire.payload;
    if (payload !== undefined && payload.length !== wire.size) {
      throw new WireError(`Entry ${wire.index} has ${payload.length} bytes, not ${wire.size}`);
    }
    return { kind: wire.isConfChange ? "conf_change" : "normal", size: wire.size, payload };
  };
  if (kind.$case === "propose") {
    return { kind: "propose", ...envelope, entries: kind.value.entries.map(proposed) };
  }
  const { prevIndex, prevTerm, commit } = kind.value;
  const entries = kind.value.entries.map((wire, place): Entry => {
    if (wire.index !== prevIndex + 1 + place) throw new WireError("Entries with a gap");
    return { index: logIndex(wire.index), term: term(wire.term), ...proposed(wire) };
  });
  return {
    kind: "append",
    ...envelope,
    prevIndex: logIndex(prevIndex),
    prevTerm: term(prevTerm),
    entries,
    commit: logIndex(commit),
  };
}

function snapshotFromWire(
  wire: Extract<WireKind, { readonly $case: "snapshot" }>["value"],
): SnapshotMetadata {
  const { index, configuration } = wire;
  if (configuration === undefined || index === 0) throw new WireError("A snapshot of nothing");
  return {
    index: logIndex(index),
    term: term(wire.term),
    configuration: {
      voters: idsFromWire(configuration.voters),
      votersOutgoing: idsFromWire(configuration.votersOutgoing),
      learners: idsFromWire(configuration.learners),
      learnersNext: idsFromWire(configuration.learnersNext),
      autoLeave: configuration.autoLeave,
    },
  };
}

function idsFromWire(ids: readonly number[]): readonly NodeId[] {
  const isAscending = ids.every((id, place) => id > (ids[place - 1] ?? 0));
  if (!isAscending) throw new WireError("Members out of order");
  return ids.map(nodeId);
}

/** 0 says that there is none. */
function wallMsToWire({ wallMs = 0 }: { readonly wallMs?: number }): number {
  return Math.max(0, wallMs);
}

function wallMsFromWire(wallMs: number): { readonly wallMs?: number } {
  return wallMs === 0 ? {} : { wallMs };
}
