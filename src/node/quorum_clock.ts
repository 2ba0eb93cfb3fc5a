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

/** Heartbeats that leave within so long count as sent with the first of them. Milliseconds. */
const TOGETHER_MS = 20;

/**
 * Times of heartbeats without an answer that are remembered of each peer; past it all of them count as lost.
 * Together more than an election timeout, however many reads ask for rounds of their own.
 */
const UNANSWERED_MAX = 64;

interface Peer {
  /** When heartbeats were sent that have no answer yet, and how many, oldest first. */
  sent: { readonly ms: number; count: number }[];
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
    const newest = peer.sent.at(-1);
    if (newest !== undefined && nowMs - newest.ms < TOGETHER_MS) {
      newest.count += 1;
      return;
    }
    if (peer.sent.length >= UNANSWERED_MAX) {
      for (const { count } of peer.sent) peer.ignored += count;
      peer.sent = [];
    }
    peer.sent.push({ ms: nowMs, count: 1 });
  }

  /** An answer has come from `from`. */
  answered(from: NodeId): void {
    const peer = this.#peer(from);
    if (peer.ignored > 0) {
      peer.ignored -= 1;
      return;
    }
    const [oldest] = peer.sent;
    if (oldest === undefined) return;
    peer.answeredMs = Math.max(peer.answeredMs, oldest.ms);
    oldest.count -= 1;
    if (oldest.count === 0) peer.sent.shift();
  }

  /** What was sent to `peer` is lost: nothing of it will be answered. */
  lost(peer: NodeId): void {
    const known = this.#peers.get(peer);
    if (known === undefined) return;
    known.sent = [];
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
      peer = { sent: [], ignored: 0, answeredMs: -Infinity };
      this.#peers.set(id, peer);
    }
    return peer;
  }
}
