/**
 * A node's clock: runs a little fast or slow against simulated time, and its wall time jumps. A timer
 * fires in the process that set it, if that still lives.
 */
import type { Clock, Timer } from "../../src/os/clock.ts";

/** Something planned; without `run` it is cancelled. */
export interface Plan {
  run: (() => void) | undefined;
}

/** What the clock needs of its process: planning that ends with the process. */
export interface ClockProcess {
  readonly nowMs: number;
  /** Plans `run` after simulated milliseconds. */
  plan(delayMs: number, run: () => void): Plan;
}

const EPOCH_MS = 1_700_000_000_000;

/** See the file's header. */
export class SimClock implements Clock {
  readonly #process: ClockProcess;
  readonly #rate: number;
  /** What jumps have added to the wall time. Milliseconds. */
  wallOffsetMs: number;

  /** `rate` is how many of its milliseconds pass in one simulated millisecond. */
  constructor(
    options: {
      readonly process: ClockProcess;
      readonly rate: number;
      readonly wallOffsetMs: number;
    },
  ) {
    this.#process = options.process;
    this.#rate = options.rate;
    this.wallOffsetMs = options.wallOffsetMs;
  }

  monotonicMs(): number {
    return this.#process.nowMs * this.#rate;
  }

  wallMs(): number {
    return Math.max(1, Math.floor(EPOCH_MS + this.monotonicMs() + this.wallOffsetMs));
  }

  startTimer(delayMs: number, callback: () => void): Timer {
    const planned = this.#process.plan(delayMs / this.#rate, callback);
    return {
      cancel: () => {
        planned.run = undefined;
      },
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.startTimer(delayMs, resolve);
    });
  }
}
