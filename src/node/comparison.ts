/**
 * One comparison of the members' states after the other, as the leader keeps it: when the next is due, who has
 * reported what, when it has waited long enough (rule V1). A new leader has no reports: it compares anew.
 * Reports may come before this node has applied the entry itself, so the newest of each member is kept.
 * Not here: what the reports mean (digest_judgement.ts), proposing and telling (replica_watch.ts).
 */
import type { LogIndex, NodeId } from "../base/ids.ts";
import { COMPARE_DURATION_FACTOR, COMPARE_OWN_MS_MAX } from "./limits.ts";
import type { StateDigest } from "./ports.ts";

/** How often states are compared, and how long members are waited for behind the leader. Milliseconds. */
export interface ComparisonTimes {
  readonly intervalMs: number;
  readonly waitMs: number;
}

/** A comparison that has ended. */
export interface ComparisonReports {
  readonly index: LogIndex;
  readonly reports: ReadonlyMap<NodeId, StateDigest>;
}

interface Running {
  readonly index: LogIndex;
  readonly startedMs: number;
  /** When the leader's own digest was done or given up. */
  ownEndedMs: number | undefined;
}

/** See the file's header. One per node; only the leader's counts. */
export class Comparison {
  readonly #times: ComparisonTimes;
  readonly #newest = new Map<NodeId, StateDigest>();
  #running: Running | undefined;
  #nextMs = -Infinity;

  constructor(times: ComparisonTimes) {
    this.#times = times;
  }

  /** Whether the next one is to be proposed. */
  isDue(nowMs: number): boolean {
    return this.#running === undefined && nowMs >= this.#nextMs;
  }

  /** It is being proposed; should that come to nothing, it is due again after the interval. */
  proposed(nowMs: number): void {
    this.#nextMs = nowMs + this.#times.intervalMs;
  }

  /** Its entry is applied here. One that still ran is given up. */
  begin(index: LogIndex, nowMs: number): void {
    this.#running = { index, startedMs: nowMs, ownEndedMs: undefined };
  }

  /** The leader's own digest is done, or will not come. The next comparison keeps a distance to a slow one. */
  ownEnded(index: LogIndex, nowMs: number): void {
    if (this.#running?.index !== index || this.#running.ownEndedMs !== undefined) return;
    const tookMs = nowMs - this.#running.startedMs;
    this.#running.ownEndedMs = nowMs;
    this.#nextMs = Math.max(this.#nextMs, nowMs + COMPARE_DURATION_FACTOR * tookMs);
  }

  /** A member's report. An older one than it has sent already is dropped. */
  hear(from: NodeId, digest: StateDigest): void {
    const known = this.#newest.get(from);
    if (known !== undefined && known.index >= digest.index) return;
    this.#newest.set(from, digest);
  }

  /**
   * Ends the comparison once all members that are `awaited` have reported, or were waited for long enough; once those
   * of `expected` have, when what they say `isUrgent`. The others' states were wrong: those may have been renewed
   * since, or be wrong again.
   */
  maybeEnd(
    nowMs: number,
    { members, awaited, expected, isUrgent }: {
      readonly members: readonly NodeId[];
      readonly awaited: readonly NodeId[];
      readonly expected: readonly NodeId[];
      readonly isUrgent: (reports: ComparisonReports["reports"]) => boolean;
    },
  ): ComparisonReports | undefined {
    const running = this.#running;
    if (running === undefined) return undefined;
    for (const id of this.#newest.keys()) if (!members.includes(id)) this.#newest.delete(id);
    const reports = new Map([...this.#newest].filter(([, { index }]) => index === running.index));
    const haveAll = (ids: readonly NodeId[]): boolean => ids.every((id) => reports.has(id));
    const isComplete = haveAll(awaited) || (haveAll(expected) && isUrgent(reports));
    if (!isComplete && nowMs < this.#deadlineMs(running)) return undefined;
    this.#running = undefined;
    return { index: running.index, reports };
  }

  /** This node leads no more, or anew. */
  abandon(): void {
    this.#running = undefined;
    this.#nextMs = -Infinity;
    this.#newest.clear();
  }

  #deadlineMs({ startedMs, ownEndedMs }: Running): number {
    const { waitMs } = this.#times;
    return ownEndedMs === undefined ? startedMs + COMPARE_OWN_MS_MAX : ownEndedMs + waitMs;
  }
}
