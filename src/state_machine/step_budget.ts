/**
 * How long an entry may run (rule A4), counted in steps of SQLite's virtual machine. The count is not
 * the same on every replica, so passing the soft limit is never a result: the entry is rolled back and
 * waits for the log's verdict. While the leader tries such an entry, the clock counts too, but not before
 * the entry is so far past that limit that no replica can have stayed below it.
 */
import { assert } from "../base/assert.ts";
import type { Connection } from "../sqlite/connection.ts";
import { setProgressHandler } from "../sqlite/progress_handler.ts";
import { type Statement, StatementStatus } from "../sqlite/statement.ts";
import type { EntryWatch } from "./entry_watch.ts";
import { Interruption } from "./interruption.ts";
import { PROGRESS_STEPS } from "./limits.ts";
import { HARD_LIMIT_FACTOR, STEPS_PER_TIMEOUT_MS, TIMEOUT_STEPS_MIN } from "./replicated_limits.ts";

const RESET = { reset: true } as const;

/** How an entry is run: as the log has it, as a trial before a verdict, or after the verdict `run`. */
export type RunMode = "apply" | "trial" | "unlimited";

/** See the file's header. One per writer. */
export class StepBudget {
  readonly #nowMs: () => number;
  #limit = Infinity;
  #deadlineMs = Infinity;
  /** Steps up to which the deadline does not count. */
  #deadlineSteps = 0;
  /** Steps of the entry's finished statements. */
  #steps = 0;
  /** Steps of the running statement that the handler has seen. */
  #running = 0;
  #isExhausted = false;

  readonly #watch: EntryWatch | undefined;
  readonly #stuckIndex: number;

  constructor(connection: Connection, options: {
    /** A monotonic clock; only trials read it. */
    readonly nowMs: () => number;
    /** Where to show that an entry gets on. */
    readonly watch?: EntryWatch | undefined;
    /** The entry from which an earlier process did not come back; 0 for none. */
    readonly stuckIndex?: number | undefined;
  }) {
    this.#nowMs = options.nowMs;
    this.#watch = options.watch;
    this.#stuckIndex = options.stuckIndex ?? 0;
    setProgressHandler(connection, PROGRESS_STEPS, () => this.#goOn());
  }

  /**
   * Begins an entry. `timeoutMs` 0 is none.
   * @throws {Interruption} for the one that nobody comes back from: it waits for its verdict unrun.
   */
  open(options: {
    readonly index: number;
    readonly mode: RunMode;
    readonly softLimitSteps: number;
    readonly timeoutMs: number;
  }): void {
    const { index, mode, softLimitSteps, timeoutMs } = options;
    if (index === this.#stuckIndex && mode !== "unlimited") {
      throw new Interruption({ kind: "exhausted" });
    }
    this.#watch?.enter(index);
    const byTimeout = timeoutMs === 0
      ? Infinity
      : Math.max(timeoutMs * STEPS_PER_TIMEOUT_MS, TIMEOUT_STEPS_MIN);
    const withoutVerdict = Math.min(softLimitSteps, byTimeout);
    this.#limit = mode === "apply"
      ? withoutVerdict
      : mode === "trial"
      ? softLimitSteps * HARD_LIMIT_FACTOR
      : Infinity;
    this.#deadlineSteps = withoutVerdict * HARD_LIMIT_FACTOR;
    this.#deadlineMs = mode === "trial" && timeoutMs > 0 ? this.#nowMs() + timeoutMs : Infinity;
    this.#steps = 0;
    this.#running = 0;
    this.#isExhausted = false;
  }

  /** Ends the entry, or what was left of it. Statements of our own between entries have no limit. */
  leave(): void {
    this.#watch?.enter(0);
    this.#limit = Infinity;
    this.#deadlineMs = Infinity;
    this.#isExhausted = false;
  }

  /** Counts a statement that has ended, however it did. */
  close(statement: Statement): void {
    this.#watch?.beat();
    this.#steps += Math.max(this.#running, statement.status(StatementStatus.VM_STEP, RESET));
    this.#running = 0;
    if (this.#steps > this.#limit) this.#isExhausted = true;
  }

  /** Whether the entry has used up its steps or its time. */
  get isExhausted(): boolean {
    return this.#isExhausted || this.#isLate();
  }

  #isLate(): boolean {
    return this.#deadlineMs !== Infinity && this.#steps + this.#running > this.#deadlineSteps &&
      this.#nowMs() >= this.#deadlineMs;
  }

  #goOn(): boolean {
    this.#watch?.beat();
    this.#running += PROGRESS_STEPS;
    assert(this.#running > 0, "StepBudget: count overflow");
    if (this.#steps + this.#running > this.#limit) this.#isExhausted = true;
    return !this.isExhausted;
  }
}
