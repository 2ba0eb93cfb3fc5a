/**
 * What the log holds, as its records say it: the first and last entry, terms, chains, positions, hard
 * state, marker. Both ways in use it: an append applies the records it wrote, recovery those it read.
 * Invariant: applying the same records gives the same contents. Recovery asks `problemWith` before
 * each record, since what a disk returns is not trusted; `apply` asserts.
 * Bounded: no payloads; terms as runs, chains down to the commit index, positions one per 64 KiB.
 */
import { assert, assertDefined, unreachable } from "../base/assert.ts";
import { type EntryChain, isSameEntryChain, nextEntryChain } from "../base/entry_chain.ts";
import { type LogIndex, logIndex, type Term } from "../base/ids.ts";
import type { HardState } from "../node/ports.ts";
import { ChainWindow } from "./chain_window.ts";
import { EntryPositions } from "./entry_positions.ts";
import { CHAINS_KEPT_COUNT } from "./limits.ts";
import type { EntryRecord, LogPoint, LogRecord, MarkerRecord } from "./record.ts";
import { TermRuns } from "./term_runs.ts";

/** The frame that a record came from or went to. */
export interface FramePlace {
  readonly sequence: number;
  readonly offset: number;
}

/** The log's contents in memory; see the file's header. */
export class LogContents {
  readonly positions = new EntryPositions();
  readonly #terms = new TermRuns();
  readonly #chains = new ChainWindow();
  /** The point before the first entry held. */
  #base: LogPoint;
  #last: LogPoint;
  #hardState: HardState;
  #marker: MarkerRecord;
  #replacedCount = 0;

  /** No entries, but a beginning: the log goes on behind `base`. */
  constructor(options: {
    readonly base: LogPoint;
    readonly hardState: HardState;
    readonly marker: MarkerRecord;
  }) {
    this.#base = options.base;
    this.#last = options.base;
    this.#hardState = options.hardState;
    this.#marker = options.marker;
    this.#terms.reset(options.base.index, options.base.term);
    this.#chains.reset(options.base.index, options.base.chain);
  }

  get base(): LogPoint {
    return this.#base;
  }

  /** The last entry's point, or `base` without entries. */
  get last(): LogPoint {
    return this.#last;
  }

  get hardState(): HardState {
    return this.#hardState;
  }

  get marker(): MarkerRecord {
    return this.#marker;
  }

  /** Grows whenever entries are discarded at the end, so that a reader notices. */
  get replacedCount(): number {
    return this.#replacedCount;
  }

  /** The term at an index in [base, last], or at the marker's. */
  term(index: LogIndex): Term | undefined {
    if (index === this.#marker.point.index) return this.#marker.point.term;
    if (index < this.#base.index || index > this.#last.index) return undefined;
    return this.#terms.find(index);
  }

  /** The chain at an index, where memory has it. Older ones stand beside their entries on disk. */
  chain(index: LogIndex): EntryChain | undefined {
    if (index === this.#marker.point.index) return this.#marker.point.chain;
    if (index === this.#base.index) return this.#base.chain;
    return this.#chains.find(index);
  }

  /** The point at an index from the commit index on, which may become the last one. */
  pointAt(index: LogIndex): LogPoint {
    const term = assertDefined(this.#terms.find(index), "LogContents.pointAt: term unknown");
    const chain = assertDefined(this.#chains.find(index), "LogContents.pointAt: chain unknown");
    return { index, term, chain };
  }

  /** Whether entry and marker at `point` agree, so that the entries behind it stay valid. */
  holds(point: LogPoint): boolean {
    if (point.index < this.#base.index || point.index > this.#last.index) return false;
    return this.#terms.find(point.index) === point.term;
  }

  /** Why `record` cannot come next; undefined when it can. For records that were read. */
  problemWith(record: LogRecord): string | undefined {
    switch (record.kind) {
      case "entry":
        return this.#problemWithEntry(record);
      case "hard_state":
        return this.#problemWithHardState(record.hardState);
      case "truncate":
        return this.#problemWithTruncate(record.point);
      case "marker":
        return this.#problemWithMarker(record);
      case "head":
      case "sealed":
        return `a ${record.kind} record inside a segment`;
      default:
        return unreachable(record);
    }
  }

  /** Takes over a record that was written to, or read from, the frame at `place`. */
  apply(record: LogRecord, place: FramePlace): void {
    switch (record.kind) {
      case "entry":
        assert(
          record.point.index === this.#last.index + 1,
          "LogContents.apply: not the next index",
        );
        this.#terms.add(record.point.index, record.point.term);
        this.#chains.add(record.point.index, record.point.chain);
        this.positions.add({ index: record.point.index, ...place });
        this.#last = record.point;
        return;
      case "hard_state":
        this.#hardState = record.hardState;
        this.#chains.dropBelow(record.hardState.commit - CHAINS_KEPT_COUNT);
        return;
      case "truncate":
        this.#truncateBehind(record.point);
        return;
      case "marker":
        this.#marker = record;
        if (record.isReset) this.#restart(record.point);
        return;
      case "head":
      case "sealed":
        throw new RangeError(`LogContents.apply: ${record.kind}`);
      default:
        unreachable(record);
    }
  }

  /** Forgets the entries at or below `point`, whose segments are gone. */
  dropUpTo(point: LogPoint, firstSequence: number): void {
    this.positions.dropBefore(firstSequence);
    if (point.index <= this.#base.index) return;
    assert(point.index <= this.#last.index, "LogContents.dropUpTo: past the last entry");
    this.#terms.dropBelow(point.index);
    this.#chains.dropBelow(point.index);
    this.#base = point;
  }

  #truncateBehind(point: LogPoint): void {
    if (point.index < this.#base.index) {
      // The first segment replaced entries of a segment that is purged since.
      this.#restart(point);
      return;
    }
    this.#terms.truncateBehind(point.index);
    this.#chains.truncateBehind(point.index);
    this.positions.truncateBehind(point.index);
    this.#last = point;
    this.#replacedCount += 1;
  }

  #restart(point: LogPoint): void {
    this.#terms.reset(point.index, point.term);
    this.#chains.reset(point.index, point.chain);
    this.positions.clear();
    this.#base = point;
    this.#last = point;
    this.#replacedCount += 1;
  }

  #problemWithEntry(record: EntryRecord): string | undefined {
    const { index, term, chain } = record.point;
    if (index !== this.#last.index + 1) return `entry ${index} follows entry ${this.#last.index}`;
    if (term < this.#last.term) return `the term of entry ${index} goes back`;
    const expected = nextEntryChain(this.#last.chain, { index, term, payload: record.payload });
    if (!isSameEntryChain(chain, expected)) return `the entry chain breaks at entry ${index}`;
    return undefined;
  }

  #problemWithHardState(next: HardState): string | undefined {
    const { term, vote, commit } = this.#hardState;
    if (next.term < term) return `the term goes back from ${term} to ${next.term}`;
    if (next.term === term && vote !== 0 && next.vote !== vote) {
      return `the vote in term ${term} changes`;
    }
    if (next.commit < commit) return `the commit index goes back from ${commit} to ${next.commit}`;
    if (next.commit > this.#last.index) {
      return `commit index ${next.commit} is past entry ${this.#last.index}`;
    }
    return undefined;
  }

  #problemWithTruncate(point: LogPoint): string | undefined {
    if (point.index < this.#hardState.commit) {
      return `committed entries behind ${point.index} are discarded`;
    }
    if (point.index > this.#last.index) return `entries behind ${point.index} do not exist`;
    if (point.index < this.#base.index) return undefined;
    const chain = this.#chains.find(point.index);
    const isSame = this.#terms.find(point.index) === point.term && chain !== undefined &&
      isSameEntryChain(chain, point.chain);
    return isSame ? undefined : `entry ${point.index} is another one`;
  }

  #problemWithMarker(record: MarkerRecord): string | undefined {
    const { index, term } = record.point;
    if (record.isReset) {
      if (index >= this.#hardState.commit) return undefined;
      return `the marker at ${index} discards committed entries`;
    }
    if (index > this.#last.index) return `the marker at ${index} is past the last entry`;
    if (index < this.#base.index) return undefined;
    return this.#terms.find(index) === term ? undefined : `the marker at ${index} has another term`;
  }
}

/** The index behind a point. */
export function indexBehind(point: LogPoint): LogIndex {
  return logIndex(point.index + 1);
}
