/**
 * Callbacks that are due after one fixed delay and are nearly always cancelled before: the watch on
 * slow requests, bodies and readers. One timer serves all of them, because a timer for each request
 * would cost more than the request's own bookkeeping.
 *
 * Invariant: while any call waits, the timer is armed for the oldest one, or for an earlier one that
 * was cancelled since. A call comes between one and two delays after it was added at the latest.
 */
import type { Clock } from "../os/clock.ts";

/** A call that waits. */
export interface DelayedCall {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** Calls with one common delay. */
export class DelayedCalls {
  readonly #clock: Clock;
  readonly #delayMs: number;
  /** In the order in which they are due, since all have the same delay. */
  readonly #waiting = new Set<DelayedCall>();
  #armed = false;

  constructor(options: { readonly clock: Clock; readonly delayMs: number }) {
    this.#clock = options.clock;
    this.#delayMs = options.delayMs;
  }

  /** Calls `callback` after the delay unless cancelled. It must not throw. */
  add(callback: () => void): DelayedCall {
    const call = { dueMs: this.#clock.monotonicMs() + this.#delayMs, callback };
    this.#waiting.add(call);
    if (!this.#armed) this.#arm(this.#delayMs);
    return call;
  }

  /** The call will not come any more. Does nothing when it already has. */
  cancel(call: DelayedCall): void {
    this.#waiting.delete(call);
  }

  #arm(delayMs: number): void {
    this.#armed = true;
    this.#clock.startTimer(delayMs, () => this.#onTimer());
  }

  #onTimer(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const call of this.#waiting) {
      if (call.dueMs > nowMs) break;
      this.#waiting.delete(call);
      call.callback();
    }
    const oldest = this.#waiting.values().next().value;
    if (oldest === undefined) this.#armed = false;
    else this.#arm(Math.max(oldest.dueMs - nowMs, 0));
  }
}
