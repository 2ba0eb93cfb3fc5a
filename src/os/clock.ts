/**
 * Time as Dust sees it: a monotonic clock for every duration and deadline, wall time only to be shown
 * or to be proposed as an entry's time (rule T1), and timers. No safety property rests on either.
 * The simulator has a clock of its own that moves only when told to.
 */

/** A running timer. */
export interface Timer {
  /** The callback will not run any more. After it ran, and a second time, this does nothing. */
  cancel(): void;
}

/** The source of time. */
export interface Clock {
  /** Milliseconds since an arbitrary start, with fractions down to the microsecond; never goes back. */
  monotonicMs(): number;
  /** Milliseconds since 1970 UTC, whole; jumps in either direction. */
  wallMs(): number;
  /** Calls back once, not before `delayMs` (at least 0) have passed, never within this call. */
  startTimer(delayMs: number, callback: () => void): Timer;
  /** Resolves after `delayMs`. @throws the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}
