/**
 * The term of every entry held, as runs of equal terms: memory grows with elections, not with entries.
 * Invariant: runs ascend strictly in first index and in term; the first run begins at the point before
 * the log, so that the term there is known too.
 */
import { assert, assertDefined } from "../base/assert.ts";
import type { LogIndex, Term } from "../base/ids.ts";

interface TermRun {
  readonly firstIndex: number;
  readonly term: Term;
}

/** Terms of the indexes from the start on; the caller knows which is the last. */
export class TermRuns {
  #runs: TermRun[] = [];

  /** Forgets all; knows only `index` then. */
  reset(index: LogIndex, term: Term): void {
    this.#runs = [{ firstIndex: index, term }];
  }

  /** Adds the entry behind the last one. */
  add(index: LogIndex, term: Term): void {
    const last = assertDefined(this.#runs.at(-1), "TermRuns.add: not reset yet");
    assert(index > last.firstIndex, "TermRuns.add: index goes back");
    assert(term >= last.term, "TermRuns.add: term goes back");
    if (term > last.term) this.#runs.push({ firstIndex: index, term });
  }

  /** Forgets the entries behind `index`, which stays. */
  truncateBehind(index: LogIndex): void {
    while (this.#runs.length > 1 && (this.#runs.at(-1)?.firstIndex ?? 0) > index) this.#runs.pop();
  }

  /** Forgets what is below `index`, where a run begins then. */
  dropBelow(index: LogIndex): void {
    const term = this.find(index);
    if (term === undefined) return;
    const kept = this.#runs.findIndex((run) => run.firstIndex > index);
    this.#runs.splice(0, kept < 0 ? this.#runs.length : kept, { firstIndex: index, term });
  }

  /** The term at `index`, at most the last one; undefined below the start. */
  find(index: LogIndex): Term | undefined {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (assertDefined(this.#runs[middle], "TermRuns.find: hole").firstIndex <= index) {
        low = middle + 1;
      } else high = middle;
    }
    return this.#runs[low - 1]?.term;
  }
}
