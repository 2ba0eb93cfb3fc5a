/**
 * What one machine's log holds, as seen from outside: what was written, and up to where a sync has
 * ended. The judge compares promises with it, and what a start finds.
 * Invariant: entries at or below `durableUpTo` were durable when they were last written.
 */
import type { HardState, LogEntry, LogMarker, LogPort } from "../../src/node/ports.ts";
import { logIndex, nodeId, term } from "../../src/base/ids.ts";

/** See the file's header. Outlives the processes of its machine. */
export class DurableFacts {
  /** Terms of the entries written, by index; holes at or below `base`. */
  terms: number[] = [];
  /** Indexes of configuration changes among them. */
  changes: number[] = [];
  /** Entries up to here are in the state and perhaps no longer in the log. */
  base = 0;
  durableUpTo = 0;
  /** As last written. */
  hardState: HardState = { term: term(0), vote: nodeId(0), commit: logIndex(0) };
  durableHardState: HardState = this.hardState;
  /** A marker that starts the log anew, on its way to the disk. */
  pendingReset: LogMarker | undefined;

  /** Takes over a log as it is found. */
  adopt(log: LogPort, hardState: HardState): void {
    this.terms = [];
    this.base = log.firstIndex - 1;
    for (let index = this.base; index <= log.lastIndex; index++) {
      this.terms[index] = log.term(logIndex(index)) ?? 0;
    }
    this.changes = this.changes.filter((index) => index <= log.lastIndex);
    this.durableUpTo = log.lastIndex;
    this.hardState = hardState;
    this.durableHardState = hardState;
    this.pendingReset = undefined;
  }

  get lastIndex(): number {
    return Math.max(this.base, this.terms.length - 1);
  }

  /** Entries were written behind what the log held before the first of them. */
  wrote(entries: readonly LogEntry[], hardState: HardState): void {
    this.hardState = hardState;
    const first = entries[0];
    if (first === undefined) return;
    this.terms.length = first.index;
    this.durableUpTo = Math.min(this.durableUpTo, first.index - 1);
    if (this.changes.length > 0) this.changes = this.changes.filter((at) => at < first.index);
    for (const entry of entries) {
      this.terms[entry.index] = entry.term;
      if (entry.kind === "conf_change") this.changes.push(entry.index);
    }
  }

  /** A sync has ended: nothing was written meanwhile (rule D6). */
  synced(): void {
    this.durableUpTo = this.lastIndex;
    this.durableHardState = this.hardState;
  }

  /** The log began anew behind `marker`, durably. */
  restarted(marker: LogMarker, hardState: HardState): void {
    this.terms = [];
    this.terms[marker.index] = marker.term;
    this.changes = [];
    this.base = marker.index;
    this.durableUpTo = marker.index;
    this.hardState = hardState;
    this.durableHardState = hardState;
    this.pendingReset = undefined;
  }

  /** Whether this machine durably holds the entry, in the log or in the state. */
  holds(entry: { readonly index: number; readonly term: number }): boolean {
    if (entry.index <= this.base) return true;
    return entry.index <= this.durableUpTo && this.terms[entry.index] === entry.term;
  }
}
