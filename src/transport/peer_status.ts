/**
 * What the transport tells of each peer, for /status and /metrics. Plain figures, counted since the start
 * of the process; a peer that left takes its figures with it.
 */
import type { NodeId } from "../base/ids.ts";
import type { Outgoing } from "./outbound_queue.ts";

/** One of the two connections to a peer (rule N1). */
export interface StreamStatus {
  readonly isConnected: boolean;
  /** Messages that wait to be written. */
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  /** How often it was connected. */
  readonly connects: number;
  /** Packets (proto/dust.proto) that went out, and their bytes. */
  readonly sentPackets: number;
  readonly sentBytes: number;
}

/** One peer. */
export interface PeerStatus {
  readonly nodeId: NodeId;
  readonly address: string;
  readonly control: StreamStatus;
  readonly bulk: StreamStatus;
  /** Of the last ping on the control stream, there and back; undefined before the first. */
  readonly roundTripMs: number | undefined;
  /** The peer's build, as it said; undefined before the first handshake. */
  readonly version: string | undefined;
  /** The format that its build writes (rule F1), as it said; undefined before the first handshake. */
  readonly featureLevel: number | undefined;
  readonly sentMessages: Readonly<Partial<Record<Outgoing["kind"], number>>>;
  readonly receivedMessages: Readonly<Partial<Record<Outgoing["kind"], number>>>;
  readonly sentBytes: number;
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  /** Messages that found no room or no connection. */
  readonly droppedMessages: number;
  /** Why it cannot be talked to, the last time that was so; undefined when all is well. */
  readonly lastError: string | undefined;
}
