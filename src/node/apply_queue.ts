/**
 * Feeds committed entries to the state machine, in order, in batches, a few batches ahead.
 *
 * Invariant: entries in `(applied, next)` are with the state machine; `next <= target + 1`; the
 * target never passes min(commit index, locally durable index) (rule D1), which the caller ensures.
 * Two things stop the flow: an entry that waits for its verdict (rule A4; verdict.ts finds it), and a
 * full disk, after which the same entries are offered again until they fit (rule A3).
 */
import { assert } from "../base/assert.ts";
import { runInBackground } from "../base/background.ts";
import { type LogIndex, logIndex } from "../base/ids.ts";
import {
  APPLY_BATCH_BYTES_MAX,
  APPLY_BATCH_ENTRIES_MAX,
  APPLY_BATCHES_IN_FLIGHT_MAX,
} from "../base/limits.ts";
import type { VerdictCommand } from "../command/command.ts";
import type { Clock } from "../os/clock.ts";
import type { EntryTail } from "./entry_tail.ts";
import type { ApplyEntry, ApplyOutcome, LogEntry, LogPort, StateMachinePort } from "./ports.ts";
import { VerdictSearch } from "./verdict_search.ts";

/** How long to wait before entries that met a full disk are offered again. */
const DISK_FULL_RETRY_MS = 250;

/** What the queue asks of, and tells, the node's loop. */
export interface ApplyListener {
  /** Completes an entry on its way to the state machine: who waits for it, and its configuration. */
  prepareEntry(entry: LogEntry): ApplyEntry;
  /** Entries up to `outcome.appliedIndex` are applied and committed; `entries` are those of this batch. */
  onApplied(entries: readonly ApplyEntry[], outcome: ApplyOutcome): void;
  /** The entry at `index` waits for a verdict and the log so far has none: the leader proposes one. */
  onVerdictMissing(parked: { readonly index: LogIndex; readonly timeoutMs: number }): void;
  /** The node cannot go on. */
  onFatal(error: unknown): void;
}

/** See the file's header. One per node; all methods are called on the node's loop. */
export class ApplyQueue {
  readonly #stateMachine: StateMachinePort;
  readonly #log: LogPort;
  readonly #tail: EntryTail;
  readonly #clock: Clock;
  readonly #listener: ApplyListener;
  #next: number;
  #target: number;
  #applied: number;
  #inFlight = 0;
  #reading = false;
  #paused = false;
  #stopped = false;
  #cutAtConfiguration = false;
  #search: VerdictSearch | undefined;
  #found: VerdictCommand | undefined;

  /** Starts behind what the state machine has applied. */
  constructor(options: {
    readonly stateMachine: StateMachinePort;
    readonly log: LogPort;
    readonly tail: EntryTail;
    readonly clock: Clock;
    readonly listener: ApplyListener;
  }) {
    this.#stateMachine = options.stateMachine;
    this.#log = options.log;
    this.#tail = options.tail;
    this.#clock = options.clock;
    this.#listener = options.listener;
    this.#applied = options.stateMachine.applied.index;
    this.#target = this.#applied;
    this.#next = this.#applied + 1;
  }

  /** True while the disk is too full to apply: new writes must be refused before they are proposed. */
  get isDiskFull(): boolean {
    return this.#paused;
  }

  /** The last index applied and committed. */
  get appliedIndex(): LogIndex {
    return logIndex(this.#applied);
  }

  /** Entries up to `index` may be applied. Smaller values than before are ignored. */
  advance(index: LogIndex): void {
    if (index <= this.#target) return;
    this.#target = index;
    this.#search?.advance(index);
    this.#pump();
  }

  /** No more batches are sent; those in flight still report. */
  stop(): void {
    this.#stopped = true;
  }

  #pump(): void {
    while (this.#maySend()) {
      const entries = this.#tail.slice({
        from: logIndex(this.#next),
        to: logIndex(this.#target + 1),
        countMax: APPLY_BATCH_ENTRIES_MAX,
        sizeBytesMax: APPLY_BATCH_BYTES_MAX,
      });
      if (entries.length === 0) return this.#readFromLog();
      this.#send(entries);
    }
  }

  #maySend(): boolean {
    if (this.#stopped || this.#reading || this.#paused || this.#search !== undefined) return false;
    if (this.#cutAtConfiguration && this.#inFlight > 0) return false;
    return this.#inFlight < APPLY_BATCHES_IN_FLIGHT_MAX && this.#next <= this.#target;
  }

  #readFromLog(): void {
    this.#reading = true;
    const read = this.#log.read({
      from: logIndex(this.#next),
      to: logIndex(this.#target + 1),
      sizeBytesMax: APPLY_BATCH_BYTES_MAX,
    }).then((entries) => {
      this.#reading = false;
      assert(entries.length > 0, "ApplyQueue: the log has lost a committed entry");
      if (this.#maySend()) this.#send(entries.slice(0, APPLY_BATCH_ENTRIES_MAX));
      this.#pump();
    });
    runInBackground(read, (error) => this.#listener.onFatal(error));
  }

  /** A batch ends behind a configuration change, which counts only once it is applied (rule D2). */
  #send(entries: readonly LogEntry[]): void {
    const change = entries.findIndex((entry) => entry.kind === "conf_change");
    const batch = (change < 0 ? entries : entries.slice(0, change + 1))
      .map((entry) => this.#listener.prepareEntry(entry));
    assert(batch[0]?.index === this.#next, "ApplyQueue: entries are not in order");
    this.#cutAtConfiguration = change >= 0;
    this.#next += batch.length;
    this.#inFlight += 1;
    const applied = this.#stateMachine.apply(batch).then((outcome) =>
      this.#onOutcome(batch, outcome)
    );
    runInBackground(applied, (error) => this.#listener.onFatal(error));
  }

  #onOutcome(batch: readonly ApplyEntry[], outcome: ApplyOutcome): void {
    this.#inFlight -= 1;
    if (outcome.appliedIndex > this.#applied) {
      this.#applied = outcome.appliedIndex;
      this.#tail.dropBefore(logIndex(this.#applied + 1));
      this.#listener.onApplied(batch, outcome);
    }
    if (outcome.parked !== undefined) this.#park(outcome.parked);
    if (outcome.diskFull) this.#pause();
    // What was sent behind the stopping point comes back untouched; it is sent again from there.
    const stoppedShort = this.#search !== undefined || this.#paused;
    if (stoppedShort && this.#inFlight === 0) this.#next = this.#applied + 1;
    if (this.#found !== undefined) this.#obey(this.#found);
    this.#pump();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#clock.startTimer(DISK_FULL_RETRY_MS, () => {
      if (this.#inFlight > 0) return this.#resumeLater();
      this.#paused = false;
      this.#pump();
    });
  }

  #resumeLater(): void {
    this.#paused = false;
    this.#pause();
  }

  #park(parked: { readonly index: LogIndex; readonly timeoutMs: number }): void {
    if (this.#search !== undefined) return;
    assert(parked.index === this.#applied + 1, "ApplyQueue: parked at another entry than the next");
    this.#search = new VerdictSearch({
      parked,
      log: this.#log,
      onFound: (verdict) => this.#obey(verdict),
      onMissing: () => this.#listener.onVerdictMissing(parked),
      onFatal: (error) => this.#listener.onFatal(error),
    });
    this.#search.advance(logIndex(this.#target));
  }

  /** Batches behind the parked entry may still be coming back; nothing is sent before they have. */
  #obey(verdict: VerdictCommand): void {
    if (this.#inFlight > 0) {
      this.#found = verdict;
      return;
    }
    this.#found = undefined;
    this.#stateMachine.verdict({
      index: logIndex(verdict.index),
      verdict: verdict.verdict,
      reason: verdict.reason,
    });
    this.#search = undefined;
    this.#next = this.#applied + 1;
    this.#pump();
  }
}
