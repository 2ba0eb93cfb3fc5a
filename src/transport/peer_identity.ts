/**
 * Who a node is, as it tells its peers: checked in the handshake that opens every stream, in both
 * directions, so that no entry, vote or snapshot ever crosses between clusters, between an identity and
 * its successor, or between builds that would compute different states (faults M3 to M6, rule Q16).
 */
import type { NodeId } from "../base/ids.ts";

/** What a node says of itself. Byte strings are never modified. */
export interface LocalIdentity {
  /** 16 bytes; undefined until this node belongs to a cluster. */
  readonly clusterId: Uint8Array | undefined;
  /** The engine's number; 0 until this node belongs to a cluster. */
  readonly nodeId: NodeId;
  /** 16 bytes, born with the data directory. */
  readonly incarnation: Uint8Array;
  /** 8 random bytes of this process. */
  readonly bootNonce: Uint8Array;
  /** `--node-id`; a label. */
  readonly name: string;
  /** `host:port` at which peers reach this node. */
  readonly raftAddress: string;
  /** `http://host:port` for clients. */
  readonly apiUrl: string;
  /** What decides how SQL computes: equal on all members (rule Q16), compared as text. */
  readonly sqliteFingerprint: string;
  /** Lets a peer in whose `sqliteFingerprint` differs (`--allow-unpinned-sqlite`). */
  readonly allowsOtherSqlite: boolean;
  /** The newest format of entries and messages that this build understands (rule F1). */
  readonly featureLevel: number;
  /** For people. */
  readonly version: string;
}

/** A member to talk to. */
export interface Peer {
  readonly nodeId: NodeId;
  /** 16 bytes. */
  readonly incarnation: Uint8Array;
  /** `host:port`. */
  readonly address: string;
}

/** What another node said of itself. */
export interface RemoteIdentity {
  /** undefined when it belongs to no cluster yet. */
  readonly clusterId: Uint8Array | undefined;
  /** 0 when it belongs to no cluster yet. */
  readonly nodeId: NodeId;
  readonly incarnation: Uint8Array;
  readonly bootNonce: Uint8Array;
  readonly name: string;
  readonly raftAddress: string;
  readonly apiUrl: string;
  readonly sqliteFingerprint: string;
  readonly featureLevel: number;
  readonly version: string;
}
