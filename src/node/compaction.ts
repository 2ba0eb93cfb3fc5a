/**
 * Keeps the log bounded: now and then asks the state machine for a durable state, records it in the
 * log as a marker, and lets the log behind it go, but for a tail that spares slow followers a snapshot.
 *
 * Order (raft-engine B.1): state durable, then the marker durable, then purge, then old generations.
 * A crash between any two steps leaves a start that finds the newest marker's state and its log.
 * In RAM mode a snapshot copies the database, so it waits until the log has grown by the database's
 * size as well, unless the operator has said how many entries call for one (rule N4); in disk mode it
 * costs one fsync (rule D3).
 */
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex } from "../base/ids.ts";
import type { Clock, Timer } from "../os/clock.ts";
import { TRAILING_LOG_BYTES } from "./limits.ts";
import type { LogPort, StateMachinePort } from "./ports.ts";

/** How often, and how far apart, it is looked whether the state holds an entry. Milliseconds. */
const APPLIED_LOOKS_MAX = 50;
const APPLIED_LOOK_MS = 20;

/** When to compact. */
export interface CompactionPolicy {
  /** Entries since the last marker that call for a snapshot (`--raft-snap`). */
  readonly entriesMin: number;
  /** Whether they are enough in RAM mode too, however large the database is (rule N4): it was asked for. */
  readonly entriesSuffice?: boolean;
  /** Bytes of log since the last marker that call for one (`--raft-snap-wal-size`); 0 for never. */
  readonly bytesMin: number;
  /** How often the two are looked at (`--raft-snap-int`). Milliseconds. */
  readonly intervalMs: number;
  /** Entries that stay in the log behind a snapshot; fewer where they pass TRAILING_LOG_BYTES. */
  readonly trailingEntries: number;
}

/** One per node; at most one snapshot runs at a time. */
export class Compaction {
  readonly #log: LogPort;
  readonly #stateMachine: StateMachinePort;
  readonly #clock: Clock;
  readonly #policy: CompactionPolicy;
  readonly #saveMarker: (marker: LogPort["marker"]) => Promise<boolean>;
  readonly #heldIndex: () => LogIndex | undefined;
  readonly #isTrusted: () => boolean;
  readonly #onFatal: (error: unknown) => void;
  #timer: Timer | undefined;
  #running: Promise<boolean> | undefined;
  /** Bytes of log that the newest marker left. Not known at a start: then all of the log counts. */
  #sizeAtMarker = 0;
  #stopped = false;
  #snapshotCount = 0;

  constructor(options: {
    readonly log: LogPort;
    readonly stateMachine: StateMachinePort;
    readonly clock: Clock;
    readonly policy: CompactionPolicy;
    /**
     * Writes the marker between two appends (rule D6: the log is not touched during an fsync). False: a
     * newer one came from elsewhere, and nothing was written.
     */
    readonly saveMarker: (marker: LogPort["marker"]) => Promise<boolean>;
    /** Entries behind it must stay; undefined when nobody needs them. */
    readonly heldIndex?: () => LogIndex | undefined;
    /** False while the state is not one to keep (rule V2): then the log stays as it is. */
    readonly isTrusted?: () => boolean;
    readonly onFatal: (error: unknown) => void;
  }) {
    this.#heldIndex = options.heldIndex ?? (() => undefined);
    this.#isTrusted = options.isTrusted ?? (() => true);
    this.#log = options.log;
    this.#stateMachine = options.stateMachine;
    this.#clock = options.clock;
    this.#policy = options.policy;
    this.#saveMarker = options.saveMarker;
    this.#onFatal = options.onFatal;
  }

  /** Snapshots taken since the start. */
  get snapshotCount(): number {
    return this.#snapshotCount;
  }

  /** Looks at the policy from now on, every interval. */
  start(): void {
    this.#timer = this.#clock.startTimer(this.#policy.intervalMs, () => {
      runInBackground(this.#check(), this.#onFatal);
    });
  }

  /** Ends the timer and waits for a snapshot that is being taken. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    if (this.#running !== undefined) await ifRoom(this.#running);
  }

  /**
   * Takes a snapshot now, or joins the one that runs.
   * @returns false when nothing was applied since the last one.
   * @throws {OperatingError} `not_ready` once it was stopped; `disk_full`.
   */
  async snapshot(options: { readonly trailingEntries: number }): Promise<boolean> {
    if (this.#stopped) throw new OperatingError("not_ready", "raft is already shutdown");
    this.#running ??= this.#snapshot(options.trailingEntries).finally(() => {
      this.#running = undefined;
    });
    return await this.#running;
  }

  /**
   * Lets go of all of the log that a durable state holds, also of what others may need: it is damaged (fault D2).
   * Does nothing without room for a copy, or while the state is not one to keep.
   */
  async dropApplied(): Promise<void> {
    if (this.#stopped || !this.#isTrusted()) return;
    // Whole files go: one begins with this, and the state is to hold what is before it. Writes come all the while.
    await this.#saveMarker(this.#log.marker);
    await this.#untilApplied(this.#log.lastIndex);
    if (this.#stopped || !this.#isTrusted()) return;
    await ifRoom(this.snapshot({ trailingEntries: 0 }));
    if (this.#stopped || !this.#isTrusted()) return;
    // Also when nothing is new, or the snapshot was another's, who keeps more.
    await this.#log.purge(this.#log.marker.index);
  }

  /** Or not: whoever comes again has another chance. */
  async #untilApplied(index: LogIndex): Promise<void> {
    for (let look = 0; look < APPLIED_LOOKS_MAX && !this.#stopped; look++) {
      if (this.#stateMachine.applied.index >= index) return;
      await this.#clock.sleep(APPLIED_LOOK_MS);
    }
  }

  async #check(): Promise<void> {
    if (await this.#isDue() && !this.#stopped) {
      await ifRoom(this.snapshot({ trailingEntries: this.#trailingEntries() }));
    }
    if (!this.#stopped) this.start();
  }

  /** Large entries are kept by their bytes: a start reads all of the log that there is. */
  #trailingEntries(): number {
    const { firstIndex, lastIndex, sizeBytes } = this.#log;
    const entryBytes = sizeBytes / Math.max(1, lastIndex - firstIndex + 1);
    return Math.min(this.#policy.trailingEntries, Math.floor(TRAILING_LOG_BYTES / entryBytes));
  }

  async #isDue(): Promise<boolean> {
    const entries = this.#stateMachine.applied.index - this.#log.marker.index;
    const bytes = this.#log.sizeBytes - this.#sizeAtMarker;
    const { entriesMin, bytesMin, entriesSuffice } = this.#policy;
    if (entries === 0) return false;
    if (entriesSuffice === true && entries >= entriesMin) return true;
    if (entries < entriesMin && (bytesMin === 0 || bytes < bytesMin)) return false;
    const stats = await this.#stateMachine.stats();
    return stats.mode === "disk" || bytes >= stats.databaseBytes;
  }

  async #snapshot(trailingEntries: number): Promise<boolean> {
    if (!this.#isTrusted()) return false;
    if (this.#stateMachine.applied.index <= this.#log.marker.index) return false;
    const marker = await this.#stateMachine.snapshot();
    if (!this.#isTrusted() || !(await this.#saveMarker(marker))) return false;
    const heldIndex = this.#heldIndex() ?? marker.index;
    await this.#log.purge(
      logIndex(Math.max(0, Math.min(marker.index - trailingEntries, heldIndex))),
    );
    await this.#stateMachine.releaseGenerations(marker.generation);
    this.#sizeAtMarker = this.#log.sizeBytes;
    this.#snapshotCount += 1;
    return true;
  }
}

/** Waits for a snapshot. A full disk ends it without a change: it is due again after the next interval. */
async function ifRoom(snapshot: Promise<boolean>): Promise<void> {
  try {
    await snapshot;
  } catch (error) {
    if (!(error instanceof OperatingError && error.code === "disk_full")) throw error;
  }
}
