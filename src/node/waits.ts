/**
 * Waits for the applied index: reads that must not run before this node has applied an index.
 * Each has a deadline on the monotonic clock; all of them end when the node stops.
 */
import { OperatingError } from "../base/errors.ts";
import type { LogIndex } from "../base/ids.ts";

interface Wait {
  readonly index: LogIndex;
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: (error: OperatingError) => void;
}

/** See the file's header. Bounded by the requests in flight, which the HTTP room limits. */
export class AppliedWaits {
  #waits: Wait[] = [];

  /**
   * Resolves once `advance` has reached `index`.
   * @throws {OperatingError} `timeout` when `deadlineMs` passes first.
   */
  until(index: LogIndex, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waits.push({ index, deadlineMs, resolve, reject });
    });
  }

  /** The node has applied up to `index`. */
  advance(index: LogIndex): void {
    if (this.#waits.length === 0) return;
    const done = this.#waits.filter((wait) => wait.index <= index);
    if (done.length === 0) return;
    this.#waits = this.#waits.filter((wait) => wait.index > index);
    for (const wait of done) wait.resolve();
  }

  /** Ends waits whose deadline has passed. */
  expire(nowMs: number): void {
    const late = this.#waits.filter((wait) => wait.deadlineMs <= nowMs);
    if (late.length === 0) return;
    this.#waits = this.#waits.filter((wait) => wait.deadlineMs > nowMs);
    for (const wait of late) {
      const text = `index ${wait.index}: timeout waiting for fsm`;
      wait.reject(new OperatingError("timeout", text));
    }
  }

  /** Ends all waits with `error`. */
  abandon(error: OperatingError): void {
    const waits = this.#waits;
    this.#waits = [];
    for (const wait of waits) wait.reject(error);
  }
}
