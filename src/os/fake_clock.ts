/**
 * A clock for tests: time moves only when the test says so, and timers fire in order.
 */
import type { Clock, Timer } from "./clock.ts";

interface Pending {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** Starts at zero on both clocks. */
export class FakeClock implements Clock {
  #nowMs = 0;
  #pending: Pending[] = [];

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  /** How many timers are armed. */
  get timerCount(): number {
    return this.#pending.length;
  }

  startTimer(delayMs: number, callback: () => void): Timer {
    const pending = { dueMs: this.#nowMs + delayMs, callback };
    this.#pending.push(pending);
    return {
      cancel: () => {
        this.#pending = this.#pending.filter((each) => each !== pending);
      },
    };
  }

  sleep(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.startTimer(delayMs, resolve);
    return promise;
  }

  /** Lets time pass, and fires what becomes due on the way. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const next = this.#pending.toSorted((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined || next.dueMs > untilMs) break;
      this.#pending = this.#pending.filter((each) => each !== next);
      this.#nowMs = next.dueMs;
      next.callback();
    }
    this.#nowMs = untilMs;
  }
}
