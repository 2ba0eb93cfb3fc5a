/**
 * Where the configuration changes are that are in the log and not applied: what an election must know
 * (rule D2) without reading a backlog that may be long, and on disk only.
 *
 * Entries appended since the start are noted as they come. What storage held at the start, `[unreadFrom,
 * unreadTo)`, is read when first asked for, page by page; what was read once is not read again.
 */
import { type LogIndex, logIndex } from "../base/ids.ts";
import { CONF_CHANGE_SCAN_BYTES } from "./limits.ts";
import type { EntriesAnswer, EntriesRange } from "./log_storage.ts";
import type { Entry } from "./types.ts";

/** See the file's header. */
export class UnappliedChanges {
  /** In no particular order. */
  #indexes: LogIndex[] = [];
  #unreadFrom: number;
  #unreadTo: number;

  /** Nothing behind `applied` has been looked at. */
  constructor(start: { readonly applied: LogIndex; readonly lastIndex: LogIndex }) {
    this.#unreadFrom = start.applied + 1;
    this.#unreadTo = start.lastIndex + 1;
  }

  /** The log goes on with these entries; what it held from the first of them on is gone. */
  appended(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    this.#keep((index) => index < first.index);
    this.#unreadTo = Math.min(this.#unreadTo, first.index);
    this.#note(entries);
  }

  /** A snapshot took the place of the log. */
  restored(): void {
    this.#indexes = [];
    this.#unreadTo = this.#unreadFrom;
  }

  /** Everything up to `applied` is. */
  applied(applied: LogIndex): void {
    this.#keep((index) => index > applied);
    this.#unreadFrom = Math.max(this.#unreadFrom, applied + 1);
  }

  /** Whether there may be a change up to `commit`: what cannot be read now counts as one. */
  mayBeUpTo(commit: LogIndex, read: (range: EntriesRange) => EntriesAnswer): boolean {
    const to = Math.min(this.#unreadTo, commit + 1);
    while (this.#unreadFrom < to) {
      const page = read({
        from: logIndex(this.#unreadFrom),
        to: logIndex(to),
        sizeBytesMax: CONF_CHANGE_SCAN_BYTES,
      });
      if (typeof page === "string") return true;
      this.#note(page);
      this.#unreadFrom += page.length;
    }
    return this.#indexes.some((index) => index <= commit);
  }

  #note(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind === "conf_change") this.#indexes.push(entry.index);
    }
  }

  #keep(isKept: (index: LogIndex) => boolean): void {
    if (this.#indexes.length > 0) this.#indexes = this.#indexes.filter(isKept);
  }
}
