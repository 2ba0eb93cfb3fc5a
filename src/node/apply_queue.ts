/**
 * Feeds committed entries to the state machine, in order, in batches, a few batches ahead.
 *
 * Invariant: `backlog` holds, in order, what the engine handed out and is not applied yet; its first
 * `sent` entries are with the state machine. The engine bounds it (`applySizeBytesMax`) and hands out
 * nothing past min(commit index, locally durable index) (rule D1).
 * Two things stop the flow: an entry that waits for its verdict (rule A4; verdict_search.ts finds it),
 * and a full disk, after which the same entries are offered again until they fit (rule A3).
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
import type { Clock, Timer } from "../os/clock.ts";
import type { StorageApply } from "../raft/ready.ts";
import type { Entry } from "../raft/types.ts";
import type { ApplyEntry, ApplyOutcome, LogPort, StateMachinePort } from "./ports.ts";
import { VerdictSearch } from "./verdict_search.ts";

/** A batch is sent ahead of the running one's answer only when it is at least as large: a message costs. */
const APPLY_AHEAD_ENTRIES_MIN = 16;

/** How long to wait before entries that met a full disk are offered again. */
const DISK_FULL_RETRY_MS = 250;

/** An entry that waits for its verdict. */
export interface Parked {
  readonly index: LogIndex;
  readonly timeoutMs: number;
}

/** What the queue asks of, and tells, the node's loop. */
export interface ApplyListener {
  /** Completes an entry on its way to the state machine: who waits for it, and its configuration. */
  prepareEntry(entry: Entry): ApplyEntry;
  /** Entries up to `outcome.appliedIndex` are applied and committed; `entries` are those of this batch. */
  onApplied(entries: readonly ApplyEntry[], outcome: ApplyOutcome): void;
  /** All entries of this item, or of the next part of one, are applied. */
  onItemApplied(item: StorageApply): void;
  /** The entry at `parked.index` waits for a verdict and the log so far has none. Comes again and again. */
  onVerdictMissing(parked: Parked): void;
  /** The node cannot go on. */
  onFatal(error: unknown): void;
}

/** See the file's header. One per node; all methods are called on the node's loop. */
export class ApplyQueue {
  readonly #stateMachine: StateMachinePort;
  readonly #log: LogPort;
  readonly #clock: Clock;
  readonly #listener: ApplyListener;
  #backlog: Entry[] = [];
  #sent = 0;
  #items: StorageApply[] = [];
  #applied: number;
  #committed: number;
  #inFlight = 0;
  #stopped = false;
  #isDraining = false;
  #isHeld = false;
  /** The state holds everything up to here, whatever `#applied` says. */
  #skipTo = 0;
  #drained: (() => void)[] = [];
  #cutAtConfiguration = false;
  #retry: Timer | undefined;
  #isDiskFull = false;
  #search: VerdictSearch | undefined;
  #found: VerdictCommand | undefined;

  /** Starts behind what the state machine has applied. */
  constructor(options: {
    readonly stateMachine: StateMachinePort;
    readonly log: LogPort;
    readonly clock: Clock;
    readonly listener: ApplyListener;
  }) {
    this.#stateMachine = options.stateMachine;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#listener = options.listener;
    this.#applied = options.stateMachine.applied.index;
    this.#committed = this.#applied;
  }

  /** True while the disk is too full to apply: new writes must be refused before they are proposed. */
  get isDiskFull(): boolean {
    return this.#isDiskFull;
  }

  /** Whether a batch is with the state machine: its answer will come. */
  get isBusy(): boolean {
    return this.#inFlight > 0;
  }

  /** The last index applied and committed. */
  get appliedIndex(): LogIndex {
    return logIndex(this.#applied);
  }

  /** Takes the engine's next item. */
  add(item: StorageApply): void {
    const expected = (this.#backlog.at(-1)?.index ?? this.#applied) + 1;
    const first = item.entries[0]?.index;
    assert(first === expected, "ApplyQueue.add: gap");
    this.#items.push(item);
    for (const entry of item.entries) this.#backlog.push(entry);
    if (first <= this.#skipTo) this.#skip();
    this.#pump();
  }

  /** The log is committed and readable up to `index`: a verdict may stand there. */
  advanceCommitted(index: LogIndex): void {
    this.#committed = Math.max(this.#committed, index);
    this.#search?.advance(logIndex(this.#committed));
  }

  /** Says again that a verdict is missing, if one is. */
  lookAgain(): void {
    this.#search?.advance(logIndex(this.#committed));
  }

  /** Resolves when nothing is with the state machine; sends nothing more until `resumeAt`. */
  drain(): Promise<void> {
    this.#isDraining = true;
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained.push(resolve);
    });
  }

  /** The state was replaced by one at `index`: what is behind it goes on from there. */
  resumeAt(index: LogIndex): void {
    assert(this.#inFlight === 0, "ApplyQueue.resumeAt: not drained");
    this.#isDraining = false;
    this.#applied = Math.max(this.#applied, index);
    this.#backlog = this.#backlog.filter((entry) => entry.index > this.#applied);
    this.#sent = 0;
    this.#search?.end();
    this.#search = undefined;
    this.#found = undefined;
    this.#finishItems();
    this.#pump();
  }

  /** From now on nothing is sent, until `release`; what is in flight ends. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Goes on after `hold`. */
  release(): void {
    this.#isHeld = false;
    this.#pump();
  }

  /**
   * The state was replaced by one at `index`, which the log goes on behind (rule V2): entries up to there are
   * in it, and count as applied when the engine hands them out, in order, without going to the state machine.
   */
  skipTo(index: LogIndex): void {
    assert(this.#inFlight === 0, "ApplyQueue.skipTo: not drained");
    assert(index > this.#applied, "ApplyQueue.skipTo: the state goes back");
    this.#isDraining = false;
    this.#sent = 0;
    this.#search?.end();
    this.#search = undefined;
    this.#found = undefined;
    this.#skipTo = index;
    this.#skip();
    this.#pump();
  }

  /** In parts that end behind a configuration change, as batches do (rule D2). */
  #skip(): void {
    for (let first = this.#backlog[0]; first !== undefined; first = this.#backlog[0]) {
      if (first.index > this.#skipTo) return;
      const change = this.#backlog.findIndex(({ kind }) => kind === "conf_change");
      const count = Math.min(
        this.#skipTo + 1 - first.index,
        this.#backlog.length,
        change < 0 ? Infinity : change + 1,
      );
      const skipped = this.#backlog.splice(0, count).map(toSkipped);
      const appliedIndex = logIndex(first.index + count - 1);
      this.#applied = appliedIndex;
      const outcome = { appliedIndex, results: [], parked: undefined, diskFull: false };
      this.#listener.onApplied(skipped, outcome);
      this.#finishItems();
    }
  }

  /** No more batches are sent; those in flight still report. */
  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
    this.#search?.end();
  }

  #pump(): void {
    while (this.#maySend()) this.#send();
  }

  #maySend(): boolean {
    if (
      this.#stopped || this.#isDraining || this.#isHeld || this.#retry !== undefined ||
      this.#search !== undefined
    ) return false;
    if (this.#cutAtConfiguration && this.#inFlight > 0) return false;
    const unsent = this.#backlog.length - this.#sent;
    if (this.#inFlight === 0) return unsent > 0;
    return this.#inFlight < APPLY_BATCHES_IN_FLIGHT_MAX && unsent >= APPLY_AHEAD_ENTRIES_MIN;
  }

  #send(): void {
    const batch = this.#nextBatch().map((entry) => this.#listener.prepareEntry(entry));
    this.#cutAtConfiguration = batch.at(-1)?.kind === "conf_change";
    this.#sent += batch.length;
    this.#inFlight += 1;
    const applied = this.#stateMachine.apply(batch).then((outcome) =>
      this.#onOutcome(batch, outcome)
    );
    runInBackground(applied, (error) => this.#listener.onFatal(error));
  }

  /** A batch ends behind a configuration change, which counts only once it is applied (rule D2). */
  #nextBatch(): readonly Entry[] {
    const limit = Math.min(this.#backlog.length, this.#sent + APPLY_BATCH_ENTRIES_MAX);
    let bytes = 0;
    let end = this.#sent;
    while (end < limit) {
      const entry = this.#backlog[end];
      assert(entry !== undefined, "ApplyQueue: hole in the backlog");
      bytes += entry.size;
      if (end > this.#sent && bytes > APPLY_BATCH_BYTES_MAX) break;
      end += 1;
      if (entry.kind === "conf_change") break;
    }
    return this.#backlog.slice(this.#sent, end);
  }

  #onOutcome(batch: readonly ApplyEntry[], outcome: ApplyOutcome): void {
    this.#inFlight -= 1;
    const progress = outcome.appliedIndex - this.#applied;
    assert(progress >= 0 && progress <= this.#sent, "ApplyQueue: apply went back or too far");
    this.#isDiskFull = outcome.diskFull;
    if (progress > 0) {
      this.#applied = outcome.appliedIndex;
      this.#backlog.splice(0, progress);
      this.#sent -= progress;
      this.#listener.onApplied(batch, outcome);
      this.#finishItems();
    }
    if (outcome.parked !== undefined) this.#park(outcome.parked);
    if (outcome.diskFull) this.#retryLater();
    this.#resendOnceBack();
    if (this.#inFlight === 0) { for (const resolve of this.#drained.splice(0)) resolve(); }
    this.#pump();
  }

  /**
   * The engine is told batch by batch: an entry that waits for its verdict must not hide that a
   * configuration change before it is applied, or nobody could be elected who proposes the verdict (D2).
   */
  #finishItems(): void {
    for (let item = this.#items[0]; item !== undefined; item = this.#items[0]) {
      const { entries } = item;
      const first = entries[0]?.index ?? 0;
      const count = Math.min(entries.length, this.#applied + 1 - first);
      if (count <= 0) return;
      if (count === entries.length) this.#items.shift();
      else this.#items[0] = { entries: entries.slice(count) };
      const isWhole = count === entries.length;
      this.#listener.onItemApplied(isWhole ? item : { entries: entries.slice(0, count) });
    }
  }

  /** What was sent behind a stopping point comes back untouched; then all is sent again from there. */
  #resendOnceBack(): void {
    const stopped = this.#search !== undefined || this.#retry !== undefined;
    if (!stopped || this.#inFlight > 0) return;
    this.#sent = 0;
    if (this.#found !== undefined) this.#obey(this.#found);
  }

  #retryLater(): void {
    this.#retry ??= this.#clock.startTimer(DISK_FULL_RETRY_MS, () => {
      this.#retry = undefined;
      if (this.#inFlight > 0) return this.#retryLater();
      this.#pump();
    });
  }

  #park(parked: Parked): void {
    if (this.#search !== undefined || this.#stopped) return;
    assert(parked.index === this.#applied + 1, "ApplyQueue: parked at another entry than the next");
    this.#search = new VerdictSearch({
      parked,
      log: this.#log,
      onFound: (verdict) => {
        this.#found = verdict;
        this.#resendOnceBack();
        this.#pump();
      },
      onMissing: () => this.#listener.onVerdictMissing(parked),
      onFatal: (error) => this.#listener.onFatal(error),
    });
    this.#search.advance(logIndex(this.#committed));
  }

  #obey(verdict: VerdictCommand): void {
    this.#stateMachine.verdict({
      index: logIndex(verdict.index),
      verdict: verdict.verdict,
      reason: verdict.reason,
    });
    this.#search = undefined;
    this.#found = undefined;
  }
}

function toSkipped({ index, term, kind, payload }: Entry): ApplyEntry {
  assert(payload !== undefined, "ApplyQueue: an entry without its payload");
  return { index, term, kind, payload, format: undefined, configuration: undefined };
}
