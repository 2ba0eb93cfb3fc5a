/**
 * The clock of the machine. Timers keep the process alive until they ran or were cancelled.
 * Delays past what setTimeout can hold (2^31 ms) are a bug, not cut silently.
 */
import { assert } from "../base/assert.ts";
import type { Clock, Timer } from "./clock.ts";

const DELAY_MS_MAX = 0x7fff_ffff;

/** The clock of this process. */
export class DenoClock implements Clock {
  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  startTimer(delayMs: number, callback: () => void): Timer {
    assert(delayMs >= 0 && delayMs <= DELAY_MS_MAX, "DenoClock.startTimer: delay out of range");
    const id = setTimeout(callback, Math.ceil(delayMs));
    return { cancel: () => clearTimeout(id) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (signal?.aborted) {
      reject(signal.reason);
      return promise;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = this.startTimer(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    return promise;
  }
}
