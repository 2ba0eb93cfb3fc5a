/**
 * What survives at one node of the chaos test: the log as far as it was synced, and a toy state machine
 * that commits each entry together with its index. Everything here is what a crash leaves behind.
 */
import { assert, assertDefined } from "../../src/base/assert.ts";
import { type LogIndex, logIndex } from "../../src/base/ids.ts";
import { EMPTY_CONFIGURATION } from "../../src/raft/configuration.ts";
import { MemoryStorage } from "../../src/raft/memory_storage.ts";
import type { StorageAppend } from "../../src/raft/ready.ts";
import type { ConfState, Entry, HardState, SnapshotMetadata } from "../../src/raft/types.ts";

/** A state: every entry applied so far, as text, and the configuration behind the last. */
export interface MachineState {
  readonly index: LogIndex;
  readonly term: number;
  readonly history: readonly string[];
  readonly configuration: ConfState;
}

/** The state of a node without anything. */
export const BLANK_STATE: MachineState = {
  index: logIndex(0),
  term: 0,
  history: [],
  configuration: EMPTY_CONFIGURATION,
};

/** How an entry shows in a history. */
export function entryLabel(entry: Entry): string {
  const payload = assertDefined(entry.payload, "entryLabel: an entry without payload");
  return `${entry.index}:${entry.term}:${entry.kind}:${new TextDecoder("latin1").decode(payload)}`;
}

/** See the file's header. */
export class Disk {
  readonly storage = new MemoryStorage();
  hardState: HardState;
  /** Written but not synced: a crash may lose it. Only ever a higher commit index. */
  unsyncedHardState: HardState | undefined;
  state: MachineState;
  /** The state that a machine in memory falls back to. */
  snapshot: MachineState;

  constructor(state: MachineState, hardState: HardState) {
    this.state = state;
    this.snapshot = state;
    this.hardState = hardState;
    if (state.index > 0) this.storage.installSnapshot(metadata(state));
  }

  /** Writes one item of the append queue, and syncs if it must be. */
  write(append: StorageAppend, content: MachineState | undefined): void {
    if (append.snapshot !== undefined) {
      const state = assertDefined(content, "Disk.write: a snapshot without content");
      assert(state.index === append.snapshot.index, "Disk.write: another snapshot");
      this.storage.installSnapshot(append.snapshot);
      this.state = state;
      this.snapshot = state;
    }
    this.storage.append(append.entries);
    if (append.hardState !== undefined) this.unsyncedHardState = append.hardState;
    if (append.mustSync) this.#sync();
  }

  #sync(): void {
    this.hardState = this.unsyncedHardState ?? this.hardState;
    this.unsyncedHardState = undefined;
  }

  /** Applies one entry and commits it with its index. */
  apply(entry: Entry, configuration: ConfState): void {
    assert(entry.index === this.state.index + 1, "Disk.apply: not the next entry");
    this.state = {
      index: entry.index,
      term: entry.term,
      history: [...this.state.history, entryLabel(entry)],
      configuration,
    };
  }

  /** Keeps the present state, and drops log below it but for `keep` entries. */
  compact(keep: number): void {
    this.snapshot = this.state;
    this.storage.latestSnapshot = metadata(this.state);
    const index = this.state.index - keep;
    if (index >= this.storage.firstIndex) this.storage.compact(logIndex(index));
  }

  /** What is left after a crash. */
  crash(losses: { readonly unsynced: boolean; readonly memory: boolean }): void {
    if (!losses.unsynced) this.#sync();
    this.unsyncedHardState = undefined;
    if (losses.memory) this.state = this.snapshot;
  }
}

/** What the engine knows of a state. */
export function metadata(state: MachineState): SnapshotMetadata {
  const { index, term, configuration } = state;
  return { index, term: term as SnapshotMetadata["term"], configuration };
}
