/**
 * How long ago a quorum still followed this leader: the beginning of the last round of heartbeats that a
 * majority has answered (rule E4). Measured by this node's monotonic clock alone.
 *
 * An answer does not say which heartbeat it is for, so each peer's are taken to answer in order, the oldest
 * first: a lost one only makes the result older than it is. Not here: linearizable reads, which rest on
 * no clock (raft/read_index.ts).
 */
import type { NodeId } from "../base/ids.ts";
import type { ConfState } from "../raft/types.ts";

/** Heartbeats without an answer that are remembered of each peer; past it all of them count as lost. */
const UNANSWERED_MAX = 64;

interface Peer {
  /** When heartbeats were sent that have no answer yet, oldest first. */
  sentMs: number[];
  /** Answers to heartbeats that were given up are still to come, so many. */
  ignored: number;
  answeredMs: number;
}

/** See the file's header. One per node. */
export class QuorumClock {
  readonly #peers = new Map<NodeId, Peer>();

  /** A heartbeat leaves for `to`. */
  sent(to: NodeId, nowMs: number): void {
    const peer = this.#peer(to);
    if (peer.sentMs.length >= UNANSWERED_MAX) {
      peer.ignored += peer.sentMs.length;
      peer.sentMs = [];
    }
    peer.sentMs.push(nowMs);
  }

  /** An answer has come from `from`. */
  answered(from: NodeId): void {
    const peer = this.#peer(from);
    if (peer.ignored > 0) {
      peer.ignored -= 1;
      return;
    }
    const sentMs = peer.sentMs.shift();
    if (sentMs !== undefined) peer.answeredMs = Math.max(peer.answeredMs, sentMs);
  }

  /** What was sent to `peer` is lost: nothing of it will be answered. */
  lost(peer: NodeId): void {
    const known = this.#peers.get(peer);
    if (known === undefined) return;
    known.sentMs = [];
    known.ignored = 0;
  }

  /** A new term begins: answers to what an earlier one sent must not count in it. */
  reset(): void {
    this.#peers.clear();
  }

  /** When the last round began that majorities of all voters have answered; Infinity for a node alone. */
  confirmedMs(configuration: ConfState, self: NodeId): number {
    const { voters, votersOutgoing } = configuration;
    return Math.min(this.#majorityMs(voters, self), this.#majorityMs(votersOutgoing, self));
  }

  #majorityMs(voters: readonly NodeId[], self: NodeId): number {
    if (voters.length === 0) return Infinity;
    const times = voters.map((id) =>
      id === self ? Infinity : this.#peers.get(id)?.answeredMs ?? -Infinity
    );
    times.sort((left, right) => right - left);
    return times[Math.floor(voters.length / 2)] ?? -Infinity;
  }

  #peer(id: NodeId): Peer {
    let peer = this.#peers.get(id);
    if (peer === undefined) {
      peer = { sentMs: [], ignored: 0, answeredMs: -Infinity };
      this.#peers.set(id, peer);
    }
    return peer;
  }
}
