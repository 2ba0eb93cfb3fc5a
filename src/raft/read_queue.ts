/**
 * Linearizable reads on their way (Raft thesis 6.4): bookkeeping only, read_index.ts has the rules.
 *
 * A leader confirms its leadership by rounds of heartbeats, numbered by itself within its term. A read
 * gets the round that starts behind it; an answer to round r says that the sender still followed this
 * leader after every read of rounds up to r. Numbers of callers are never used for this: late answers to
 * an earlier try could confirm a later one on a deposed leader (etcd issue 20418).
 */
import type { LogIndex, NodeId } from "../base/ids.ts";
import { READS_PENDING_MAX } from "./limits.ts";
import { jointIndex, type JointVoters } from "./quorum.ts";
import type { ReadContext, ReadState } from "./types.ts";

/** Who asked. */
export type ReadRequest =
  | { readonly kind: "local"; readonly context: ReadContext }
  | { readonly kind: "remote"; readonly from: NodeId; readonly requestId: number };

/** A read whose index is fixed and whose leader must still be confirmed. */
interface PendingRead {
  readonly request: ReadRequest;
  readonly index: LogIndex;
  readonly round: number;
}

/** A read that was passed on to the leader. */
interface ForwardedRead {
  readonly context: ReadContext;
  /** When, by the queue's own count of ticks. */
  readonly tick: number;
}

/** A read that may be answered. */
export interface ConfirmedRead {
  readonly request: ReadRequest;
  readonly index: LogIndex;
}

/** See the file's header. */
export class ReadQueue {
  #round = 0;
  #isRoundOpen = false;
  #pending: PendingRead[] = [];
  #early: ReadRequest[] = [];
  #answeredRounds = new Map<NodeId, number>();
  /** By request id, in the order in which they were passed on. */
  #forwarded = new Map<number, ForwardedRead>();
  #ticks = 0;
  #nextRequestId: number;
  #states: ReadState[] = [];
  #dropped: ReadContext[] = [];

  /** `random` in [0, 1) fixes where request ids start, so that a restarted node does not repeat them. */
  constructor(random: number) {
    this.#nextRequestId = 1 + Math.floor(random * 2 ** 52);
  }

  /** Whether no further read can be taken. */
  get isFull(): boolean {
    return this.#pending.length + this.#early.length + this.#forwarded.size >= READS_PENDING_MAX;
  }

  /** The round that heartbeats must ask for, 0 when no read waits. */
  get pendingRound(): number {
    return this.#pending.length === 0 ? 0 : this.#round;
  }

  /** Keeps a read until an entry of the leader's term is committed. */
  addEarly(request: ReadRequest): void {
    this.#early.push(request);
  }

  /** Gives the early reads back and forgets them. */
  takeEarly(): readonly ReadRequest[] {
    const early = this.#early;
    this.#early = [];
    return early;
  }

  /** Adds a read. @returns whether it opened a round, whose heartbeats must be sent now. */
  add(read: ConfirmedRead): boolean {
    const opens = !this.#isRoundOpen;
    if (opens) this.#round++;
    this.#isRoundOpen = true;
    this.#pending.push({ ...read, round: this.#round });
    return opens;
  }

  /** The heartbeats of the present round have left: the next read needs another one. */
  closeRound(): void {
    this.#isRoundOpen = false;
  }

  /** A peer answered a heartbeat of `round`. */
  answered(answer: { readonly from: NodeId; readonly round: number }): void {
    if (answer.round > (this.#answeredRounds.get(answer.from) ?? 0)) {
      this.#answeredRounds.set(answer.from, answer.round);
    }
  }

  /** Takes out the reads that a quorum has confirmed. The leader itself confirms everything. */
  takeConfirmed(voters: JointVoters, self: NodeId): readonly ConfirmedRead[] {
    if (this.#pending.length === 0) return [];
    const confirmed = jointIndex(
      voters,
      (id) => id === self ? this.#round : this.#answeredRounds.get(id) ?? 0,
    );
    const count = this.#pending.findIndex((read) => read.round > confirmed);
    return this.#pending.splice(0, count < 0 ? this.#pending.length : count);
  }

  /** Notes a read that was passed on to the leader. @returns its id. */
  addForwarded(context: ReadContext): number {
    const requestId = this.#nextRequestId;
    this.#nextRequestId = requestId >= Number.MAX_SAFE_INTEGER ? 1 : requestId + 1;
    this.#forwarded.set(requestId, { context, tick: this.#ticks });
    return requestId;
  }

  /** The leader answered. Answers that nobody waits for are ignored. */
  finishForwarded(answer: { readonly requestId: number; readonly index: LogIndex }): void {
    const read = this.#forwarded.get(answer.requestId);
    if (read === undefined) return;
    this.#forwarded.delete(answer.requestId);
    this.finishLocal({ context: read.context, index: answer.index });
  }

  /**
   * One tick has passed. What was passed on `ticksMax` ticks ago is lost, or its answer is, and the leader may
   * stay for good: it is forgotten, or such reads would fill the queue in the end.
   */
  tick(ticksMax: number): void {
    this.#ticks++;
    for (const [requestId, { tick }] of this.#forwarded) {
      if (this.#ticks - tick < ticksMax) break;
      this.#forwarded.delete(requestId);
    }
  }

  /** A read of this node's own may run at `state.index`. */
  finishLocal(state: ReadState): void {
    this.#states.push(state);
  }

  /** Gives up all that waits: the term or the leader changed. */
  reset(): void {
    for (const read of this.#pending) this.#drop(read.request);
    for (const request of this.#early) this.#drop(request);
    this.dropForwarded();
    this.#pending = [];
    this.#early = [];
    this.#answeredRounds.clear();
    this.#round = 0;
    this.#isRoundOpen = false;
  }

  /** Gives up what was passed on: the leader is another one, or none is known. */
  dropForwarded(): void {
    for (const { context } of this.#forwarded.values()) this.#dropped.push(context);
    this.#forwarded.clear();
  }

  #drop(request: ReadRequest): void {
    if (request.kind === "local") this.#dropped.push(request.context);
  }

  /** Whether there is something for the next Ready. */
  get hasOutcomes(): boolean {
    return this.#states.length > 0 || this.#dropped.length > 0;
  }

  /** Hands out what was decided since the last call. */
  takeOutcomes(): { readonly states: readonly ReadState[]; readonly dropped: readonly number[] } {
    const outcomes = { states: this.#states, dropped: this.#dropped };
    if (this.hasOutcomes) {
      this.#states = [];
      this.#dropped = [];
    }
    return outcomes;
  }
}
