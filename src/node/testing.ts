/**
 * The node's ports in memory, for its tests: a log whose disk can hang or be full, and a state machine
 * that parks, finds the disk full or waits when it is told to. Both check what a node must keep to (order,
 * rules D1 and D6) and fail at once when it does not.
 */
import { assert } from "../base/assert.ts";
import { FatalError, OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex, nodeId, type Term, term } from "../base/ids.ts";
import { APPLY_BATCHES_IN_FLIGHT_MAX } from "../base/limits.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import { encodeExecuteBody } from "../command/execute_body.ts";
import type { SyncOptions } from "../os/file_system.ts";
import { encodeConfiguration } from "../raft/configuration.ts";
import type {
  AppliedState,
  ApplyEntry,
  ApplyOutcome,
  HardState,
  LogEntry,
  LogMarker,
  LogPort,
  SnapshotOutcome,
  StateMachinePort,
} from "./ports.ts";

/** A cluster of node 1 alone. */
export const ALONE: Uint8Array = encodeConfiguration({
  voters: [nodeId(1)],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
});

/** A log that begins behind the genesis at index 1. */
export class MemoryLog implements LogPort {
  entries: LogEntry[] = [];
  firstIndex = logIndex(2);
  marker: LogMarker = {
    index: logIndex(1),
    term: term(1),
    entryChain: chainAt(1),
    configuration: ALONE,
    generation: 1,
  };
  hardState: HardState = { term: term(1), vote: nodeId(1), commit: logIndex(1) };
  sizeBytes = 0;
  /** While set, appends of entries find no room. */
  isFull = false;
  /** What was done to the log, but for syncs and reads. */
  readonly calls: string[] = [];
  readCount = 0;
  /** The entry that cannot be read; 0 for none. */
  damagedIndex = 0;
  /** Syncs that were allowed to block the thread. */
  blockingSyncCount = 0;
  #durable = 1;
  #isSyncing = false;
  #hanging: PromiseWithResolvers<void> | undefined;

  get lastIndex(): LogIndex {
    return logIndex(this.firstIndex - 1 + this.entries.length);
  }

  /** The last index that a crash now would leave. */
  get durableIndex(): number {
    return this.#durable;
  }

  /** From now on syncs do not end. */
  hang(): void {
    this.#hanging = Promise.withResolvers();
  }

  /** Syncs end again, those under way too. */
  recover(): void {
    this.#hanging?.resolve();
    this.#hanging = undefined;
  }

  term(index: LogIndex): Term | undefined {
    return index === this.marker.index ? this.marker.term : this.#at(index)?.term;
  }

  append(options: { readonly entries: readonly LogEntry[]; readonly hardState: HardState }): void {
    assert(!this.#isSyncing, "MemoryLog: written during a sync (rule D6)");
    const { entries, hardState } = options;
    if (entries.length > 0 && this.isFull) throw new OperatingError("disk_full", "full");
    const first = entries[0];
    if (first !== undefined) {
      assert(first.index <= this.lastIndex + 1, "MemoryLog: gap");
      assert(first.index > this.hardState.commit, "MemoryLog: replaces a committed entry");
      this.entries = [...this.entries.slice(0, first.index - this.firstIndex), ...entries];
      this.#durable = Math.min(this.#durable, first.index - 1);
    }
    this.#keep(hardState);
  }

  async sync(options?: SyncOptions): Promise<void> {
    if (options?.mayBlock === true) this.blockingSyncCount += 1;
    this.#isSyncing = true;
    await this.#hanging?.promise;
    this.#isSyncing = false;
    this.#durable = this.lastIndex;
  }

  read(options: {
    readonly from: LogIndex;
    readonly to: LogIndex;
    readonly sizeBytesMax: number;
  }): Promise<readonly LogEntry[]> {
    const { from, to } = options;
    assert(from <= to && to <= this.lastIndex + 1, "MemoryLog: read past the end");
    this.readCount += 1;
    if (this.damagedIndex >= from && this.damagedIndex < to) {
      return Promise.reject(new FatalError(65, `entry ${this.damagedIndex}`));
    }
    if (from < this.firstIndex) return Promise.resolve([]);
    return Promise.resolve(
      this.entries.slice(from - this.firstIndex, to - this.firstIndex),
    );
  }

  async saveMarker(
    options: { readonly marker: LogMarker; readonly hardState: HardState },
  ): Promise<void> {
    assert(!this.#isSyncing, "MemoryLog: marker during a sync (rule D6)");
    const { marker, hardState } = options;
    this.calls.push(`marker ${marker.index}`);
    if (marker.index > this.lastIndex) {
      this.entries = [];
      this.firstIndex = logIndex(marker.index + 1);
    }
    this.#keep(hardState);
    this.marker = marker;
    await this.sync();
  }

  purge(index: LogIndex): Promise<void> {
    assert(index <= this.marker.index, "MemoryLog: purges what no state holds");
    this.calls.push(`purge ${index}`);
    return Promise.resolve();
  }

  entryChain(index: LogIndex): Promise<string | undefined> {
    const isKnown = index >= this.firstIndex - 1 && index <= this.lastIndex;
    return Promise.resolve(isKnown ? chainAt(index) : undefined);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #at(index: LogIndex): LogEntry | undefined {
    return this.entries[index - this.firstIndex];
  }

  #keep(hardState: HardState): void {
    assert(
      hardState.commit <= this.lastIndex,
      "MemoryLog: the commit index is past the last entry",
    );
    assert(hardState.term >= this.hardState.term, "MemoryLog: the term goes back");
    assert(hardState.commit >= this.hardState.commit, "MemoryLog: the commit index goes back");
    this.hardState = hardState;
  }
}

/** Applies nothing in truth: it notes what it was given. The members that a node calls; others throw. */
export class MemoryStateMachine {
  applied: AppliedState;
  /** Every entry applied, in order. */
  readonly entries: ApplyEntry[] = [];
  /** The batches given, as `first-last`. */
  readonly batches: string[] = [];
  /** Entries that park until they have a verdict. */
  readonly parks = new Set<number>();
  readonly verdicts: string[] = [];
  /** The entry from which an earlier process did not come back. */
  stuckIndex = 0;
  /** Whether queries run. */
  isReading = false;
  /** Whether it sees room for more. */
  hasRoom = true;
  /** While set, no batch fits. */
  isFull = false;
  /** Whether the parked entry would come to its end. */
  endsParked = true;
  tryCount = 0;
  snapshotCount = 0;
  /** What `stats` waits for. */
  statsGate: Promise<void> = Promise.resolve();
  readonly #log: MemoryLog;
  #generation = 1;
  #obeyed = new Set<number>();
  #inFlight = 0;
  #gate: PromiseWithResolvers<void> | undefined;

  constructor(log: MemoryLog, applied = 1) {
    this.#log = log;
    this.applied = {
      index: logIndex(applied),
      term: term(1),
      entryChain: chainAt(applied),
      configuration: ALONE,
    };
  }

  get port(): StateMachinePort {
    return this as unknown as StateMachinePort;
  }

  /** From now on batches are taken and not answered. */
  hold(): void {
    this.#gate = Promise.withResolvers();
  }

  /** Answers what was held, in order. */
  release(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  async apply(entries: readonly ApplyEntry[]): Promise<ApplyOutcome> {
    this.#inFlight += 1;
    assert(this.#inFlight <= APPLY_BATCHES_IN_FLIGHT_MAX, "MemoryStateMachine: too many batches");
    this.batches.push(`${entries[0]?.index}-${entries.at(-1)?.index}`);
    await this.#gate?.promise;
    this.#inFlight -= 1;
    let count = 0;
    let parked: ApplyOutcome["parked"];
    for (const entry of entries) {
      if (this.isFull || entry.index !== this.applied.index + 1) break;
      if (this.parks.has(entry.index) && !this.#obeyed.has(entry.index)) {
        parked = { index: entry.index, timeoutMs: 0 };
        break;
      }
      assert(
        entry.index <= this.#log.durableIndex,
        "MemoryStateMachine: not durable yet (rule D1)",
      );
      this.entries.push(entry);
      this.applied = {
        index: entry.index,
        term: entry.term,
        entryChain: chainAt(entry.index),
        configuration: entry.configuration ?? this.applied.configuration,
      };
      count += 1;
    }
    return {
      appliedIndex: this.applied.index,
      results: entries.slice(0, count).map(({ format }) => format === undefined ? undefined : "[]"),
      parked,
      diskFull: this.isFull,
    };
  }

  tryParked(): Promise<{ readonly ended: boolean; readonly reason: string }> {
    this.tryCount += 1;
    return Promise.resolve({ ended: this.endsParked, reason: "too long" });
  }

  isStuckAt(index: LogIndex): boolean {
    return index === this.stuckIndex;
  }

  verdict(options: { readonly index: LogIndex; readonly verdict: "run" | "void" }): void {
    this.verdicts.push(`${options.verdict} ${options.index}`);
    this.#obeyed.add(options.index);
  }

  snapshot(): Promise<SnapshotOutcome> {
    this.snapshotCount += 1;
    this.#generation += 1;
    return Promise.resolve({ ...this.applied, generation: this.#generation });
  }

  releaseGenerations(generation: number): Promise<void> {
    this.#log.calls.push(`release but ${generation}`);
    return Promise.resolve();
  }

  async stats(): Promise<{ readonly mode: string; readonly databaseBytes: number }> {
    await this.statsGate;
    return { mode: "ram", databaseBytes: 1000 };
  }
}

/** A write's payload. */
export function writePayload(sql = "INSERT INTO t VALUES(1)"): Uint8Array {
  const body = { kind: "sql", text: sql } as const;
  const payload = encodeExecuteBody({ body, transaction: false, rows: false, timeoutMs: 0 });
  assert(payload !== undefined, "writePayload: no statement");
  return payload;
}

/** A log entry of kind `normal`. */
export function memoryEntry(
  index: number,
  options: { readonly term?: number; readonly payload?: Uint8Array } = {},
): LogEntry {
  return {
    index: logIndex(index),
    term: term(options.term ?? 1),
    kind: "normal",
    payload: options.payload ?? writePayload(),
  };
}

/** The payload of a verdict on the entry at `index`. */
export function verdictPayload(index: number, verdict: "run" | "void"): Uint8Array {
  const reason = verdict === "void" ? "too long" : "";
  return encodeCommand({ kind: "verdict", index: logIndex(index), verdict, reason });
}

/** Lets everything run that waits for no timer. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
}

function chainAt(index: number): string {
  return index.toString(16).padStart(16, "0");
}
