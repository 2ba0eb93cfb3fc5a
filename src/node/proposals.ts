/**
 * Writes that wait: first for their turn in the log, then for their result.
 *
 * The three outcomes are never mixed (architecture, section 5). `refused`: never proposed, nothing
 * happened. `done`: the state machine's result. `unknown`: proposed, and the answer is lost with the
 * leadership, the deadline or the node; it may still be applied.
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex } from "../base/ids.ts";
import { PROPOSALS_IN_FLIGHT_BYTES_MAX, PROPOSALS_IN_FLIGHT_MAX } from "../base/limits.ts";
import type { ResultFormat } from "../command/request.ts";
import type { EntryResult } from "./ports.ts";

/** What a write answers. */
export interface WriteOutcome {
  /** The results as the text of a JSON array; empty for a barrier. */
  readonly results: string;
  /** Of the entry; of the first one, when the write was sent again. */
  readonly index: LogIndex;
}

/** One waiting write. */
export interface Proposal {
  readonly payload: Uint8Array;
  readonly format: ResultFormat;
  /** How long it may wait for its turn in the log; on the monotonic clock, milliseconds. */
  readonly queueDeadlineMs: number;
  /** How long it may wait for its result; not before `queueDeadlineMs`. */
  readonly deadlineMs: number;
  readonly resolve: (outcome: WriteOutcome) => void;
  readonly reject: (error: OperatingError) => void;
  /** Called when the write leaves the queue, for the log or refused. */
  readonly onProposed?: () => void;
  /** What all others wait for (a verdict, rule A4): goes first, alone, and past all bounds. Small. */
  readonly isUrgent?: boolean;
}

/** Bounded by count and bytes over both stages; see the file's header. */
export class Proposals {
  #queue: Proposal[] = [];
  readonly #waiting = new Map<number, Proposal>();
  #sizeBytes = 0;
  /** Of those in the log. */
  #placedBytes = 0;

  /** Writes accepted and not answered. */
  get count(): number {
    return this.#queue.length + this.#waiting.size;
  }

  /** Bytes of the writes that wait for their turn in the log. */
  get queuedBytes(): number {
    return this.#sizeBytes - this.#placedBytes;
  }

  /** Whether writes wait for their turn in the log. */
  get hasQueued(): boolean {
    return this.#queue.length > 0;
  }

  /** Whether the next of them is what all others wait for. */
  get hasUrgent(): boolean {
    return this.#queue[0]?.isUrgent === true;
  }

  /** Queues a write. @throws {OperatingError} `overloaded`: refused, the bounds are reached. */
  add(proposal: Proposal): void {
    const full = this.count >= PROPOSALS_IN_FLIGHT_MAX ||
      (this.count > 0 && this.#sizeBytes + proposal.payload.length > PROPOSALS_IN_FLIGHT_BYTES_MAX);
    if (full && proposal.isUrgent !== true) {
      throw new OperatingError(
        "overloaded",
        `Cannot accept write: ${this.count} writes are waiting`,
      );
    }
    this.#sizeBytes += proposal.payload.length;
    if (proposal.isUrgent === true) this.#queue.unshift(proposal);
    else this.#queue.push(proposal);
  }

  /** Takes the next writes for the log: at least one if any, within `sizeBytesMax`. They wait from `place` on. */
  takeQueued(sizeBytesMax: number): readonly Proposal[] {
    let bytes = 0;
    let count = 0;
    for (const proposal of this.#queue) {
      bytes += proposal.payload.length;
      if (count > 0 && bytes > sizeBytesMax) break;
      count += 1;
      if (proposal.isUrgent === true) break;
    }
    if (count < this.#queue.length) return this.#queue.splice(0, count);
    const all = this.#queue;
    this.#queue = [];
    return all;
  }

  /** The log has taken `proposal` at `index`. */
  place(index: LogIndex, proposal: Proposal): void {
    assert(!this.#waiting.has(index), "Proposals.place: index is taken");
    this.#waiting.set(index, proposal);
    this.#placedBytes += proposal.payload.length;
  }

  /** Who waits for the entry at `index`, if anyone here does. */
  at(index: LogIndex): Proposal | undefined {
    return this.#waiting.get(index);
  }

  /** Answers the write at `index`, if anyone waits for it. */
  settle(index: LogIndex, result: EntryResult): void {
    const proposal = this.#remove(index);
    if (proposal === undefined) return;
    if (typeof result === "string") proposal.resolve({ results: result, index });
    else if ("error" in result) {
      proposal.reject(new OperatingError(result.code ?? "internal", result.error));
    } else proposal.resolve({ results: result.results, index: logIndex(result.index) });
  }

  /** Writes that were taken from the queue and could not be proposed: nothing happened. */
  refuse(proposals: readonly Proposal[], error: OperatingError): void {
    for (const proposal of proposals) {
      this.#sizeBytes -= proposal.payload.length;
      proposal.onProposed?.();
      proposal.reject(error);
    }
  }

  /** Refuses what is queued, but for what all others wait for. */
  refuseQueued(error: OperatingError): void {
    const refused = this.#queue.filter(({ isUrgent }) => isUrgent !== true);
    if (refused.length === 0) return;
    this.#queue = this.#queue.filter(({ isUrgent }) => isUrgent === true);
    this.refuse(refused, error);
  }

  /** Refuses what is queued; what is in the log already gets `unknown`. */
  abandon(options: { readonly refused: OperatingError; readonly unknown: string }): void {
    const queued = this.#queue;
    this.#queue = [];
    this.refuse(queued, options.refused);
    for (const index of [...this.#waiting.keys()]) {
      this.#remove(index)?.reject(new OperatingError("outcome_unknown", options.unknown));
    }
  }

  /** Ends waits whose deadline has passed. In order of acceptance, so it stops at the first that has not. */
  expire(nowMs: number): void {
    const due = this.#queue.findIndex((proposal) => proposal.queueDeadlineMs > nowMs);
    const late = this.#queue.splice(0, due < 0 ? this.#queue.length : due);
    if (late.length > 0) {
      this.refuse(late, new OperatingError("timeout", "timed out enqueuing operation"));
    }
    for (const [index, proposal] of this.#waiting) {
      if (proposal.deadlineMs > nowMs) break;
      this.#remove(index)?.reject(
        new OperatingError(
          "outcome_unknown",
          "timed out waiting for the write, which may still happen",
        ),
      );
    }
  }

  #remove(index: number): Proposal | undefined {
    const proposal = this.#waiting.get(index);
    if (proposal === undefined) return undefined;
    this.#waiting.delete(index);
    this.#sizeBytes -= proposal.payload.length;
    this.#placedBytes -= proposal.payload.length;
    return proposal;
  }
}
