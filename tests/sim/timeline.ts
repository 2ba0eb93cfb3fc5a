/**
 * Simulated time: a heap of things to come, in order of time and then of scheduling. Nothing moves but
 * by `step`, so a run takes as long as its events, not as its hours.
 * Time is in whole microseconds, so that sums are exact.
 */
import { assert } from "../../src/base/assert.ts";

/** Something to come. */
export interface Planned {
  readonly dueUs: number;
  readonly order: number;
  /** Undefined once cancelled. */
  run: (() => void) | undefined;
}

/** See the file's header. */
export class Timeline {
  readonly #heap: Planned[] = [];
  #nowUs = 0;
  #order = 0;

  /** Microseconds since the start. */
  get nowUs(): number {
    return this.#nowUs;
  }

  /** Milliseconds since the start, with fractions. */
  get nowMs(): number {
    return this.#nowUs / 1000;
  }

  /** Plans `run`; set its `run` to undefined to cancel. */
  after(delayMs: number, run: () => void): Planned {
    return this.atUs(this.#nowUs + Math.max(0, Math.round(delayMs * 1000)), run);
  }

  /** Plans `run` for a time that is not past. */
  atUs(dueUs: number, run: () => void): Planned {
    const planned = { dueUs: Math.max(dueUs, this.#nowUs), order: ++this.#order, run };
    this.#heap.push(planned);
    this.#rise(this.#heap.length - 1);
    return planned;
  }

  /** Moves to the next thing and does it. @returns false when there is none by `untilUs`. */
  step(untilUs: number): boolean {
    const next = this.#heap[0];
    if (next === undefined || next.dueUs > untilUs) {
      this.#nowUs = Math.max(this.#nowUs, untilUs);
      return false;
    }
    const last = this.#heap.pop();
    assert(last !== undefined, "Timeline.step: empty");
    if (last !== next) {
      this.#heap[0] = last;
      this.#sink();
    }
    if (next.run !== undefined) {
      this.#nowUs = next.dueUs;
      next.run();
    }
    return true;
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const item = heap[from] as Planned;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Planned;
      if (isBefore(above, item)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = item;
  }

  #sink(): void {
    const heap = this.#heap;
    const item = heap[0] as Planned;
    const count = heap.length;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      if (child + 1 < count && isBefore(heap[child + 1] as Planned, heap[child] as Planned)) {
        child++;
      }
      if (isBefore(item, heap[child] as Planned)) break;
      heap[at] = heap[child] as Planned;
      at = child;
    }
    heap[at] = item;
  }
}

function isBefore(left: Planned, right: Planned): boolean {
  return left.dueUs < right.dueUs || (left.dueUs === right.dueUs && left.order < right.order);
}
