/**
 * The time that a leader proposes for its entries (rule T1). Apply only ever moves time forward, so one
 * leader whose clock is a year ahead would take everybody's time there for good: what is proposed is the
 * lower median of the voters' wall clocks, as far as they are known. Where time is ahead of that, it
 * goes on at half speed until the clocks have caught up.
 *
 * Clocks come with votes and with the answers to heartbeats, so that a leader has a majority's from its first
 * entry on, and are carried on by this node's monotonic clock: late by the way of the answer. No safety
 * property rests on any of this.
 */
import type { NodeId } from "../base/ids.ts";

/** Further ahead of the voters' clocks than this is worth an alarm. */
export const TIME_AHEAD_MS_MAX = 60_000;

/** This node's two clocks at one moment, in milliseconds. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/** See the file's header. One per event loop. */
export class ProposedTime {
  /** Of each voter that was heard: its wall clock less this node's monotonic clock. */
  readonly #offsets = new Map<NodeId, number>();
  #lastMs = 0;
  #lastAtMs = 0;

  /** A voter's wall clock, as it has just said it. */
  heard(voter: NodeId, clock: Moment): void {
    this.#offsets.set(voter, clock.wallMs - clock.monotonicMs);
  }

  /** What was heard before the next election is old by then. */
  reset(): void {
    this.#offsets.clear();
  }

  /** What it gave before does not count any more: an operator sets the time back. */
  forget(): void {
    this.#lastMs = 0;
  }

  /**
   * The time to propose now, in whole milliseconds. Never less than what it gave before, until that is forgotten.
   * `stateMs`: the time that the state has reached.
   */
  next(
    now: Moment,
    cluster: { readonly others: readonly NodeId[]; readonly stateMs: number },
  ): number {
    const elapsedMs = Math.max(0, now.monotonicMs - this.#lastAtMs);
    const goneOnMs = Math.max(this.#lastMs + elapsedMs / 2, cluster.stateMs);
    this.#lastMs = Math.max(goneOnMs, this.#medianMs(now, cluster.others));
    this.#lastAtMs = now.monotonicMs;
    return Math.floor(this.#lastMs);
  }

  /** How far the time of the state is ahead of the voters' clocks; 0 when it is not. Milliseconds. */
  aheadMs(
    now: Moment,
    cluster: { readonly others: readonly NodeId[]; readonly stateMs: number },
  ): number {
    return Math.max(0, Math.floor(cluster.stateMs - this.#medianMs(now, cluster.others)));
  }

  #medianMs({ wallMs, monotonicMs }: Moment, others: readonly NodeId[]): number {
    const clocks = [wallMs];
    for (const voter of others) {
      const offset = this.#offsets.get(voter);
      if (offset !== undefined) clocks.push(monotonicMs + offset);
    }
    clocks.sort((left, right) => left - right);
    return clocks[Math.floor((clocks.length - 1) / 2)] ?? wallMs;
  }
}
