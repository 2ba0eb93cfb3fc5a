/**
 * Tells the operator of a leader whose state is far ahead of the voters' clocks (rule T1): a clock was
 * wrong once, and the time of the database goes on at half speed until the clocks have caught up.
 */
import type { Node, NodeObserver } from "./node.ts";
import { TIME_AHEAD_MS_MAX } from "./proposed_time.ts";

/** Between two alarms, and how often it is looked. Milliseconds. */
const ALARM_MS = 60_000;

/** See the file's header. One per node. */
export class TimeAlarm implements NodeObserver {
  readonly #node: Node;
  readonly #warn: (aheadMs: number) => void;
  #nextMs = 0;

  constructor(options: { readonly node: Node; readonly warn: (aheadMs: number) => void }) {
    this.#node = options.node;
    this.#warn = options.warn;
  }

  onTick(nowMs: number): void {
    if (nowMs < this.#nextMs || !this.#node.isLeader) return;
    this.#nextMs = nowMs + ALARM_MS;
    const { timeAheadMs } = this.#node.loop;
    if (timeAheadMs > TIME_AHEAD_MS_MAX) this.#warn(timeAheadMs);
  }
}
