/**
 * Where to begin reading for an entry: a sparse list of frames, at least one for each segment with
 * entries, one every POSITION_SPACING_BYTES, and one wherever entries were replaced.
 * Invariant: indexes and (sequence, offset) ascend strictly. From one position on, entries follow
 * each other without gaps up to the next position's index; what a segment holds beyond is stale.
 */
import { assert } from "../base/assert.ts";
import { POSITION_SPACING_BYTES } from "./limits.ts";

/** A frame whose first entry is `index`. */
export interface EntryPosition {
  readonly index: number;
  /** The segment's number. */
  readonly sequence: number;
  /** The frame's offset in the segment's file. */
  readonly offset: number;
}

/** The sparse list; see the file's header. */
export class EntryPositions {
  #positions: EntryPosition[] = [];
  /** True when the next entry does not continue the frame before it. */
  #isBroken = true;

  /** Notes that a frame begins with this entry; most frames are not kept. */
  add(position: EntryPosition): void {
    const last = this.#positions.at(-1);
    if (last !== undefined) {
      assert(position.index > last.index, "EntryPositions.add: index goes back");
      const isNear = last.sequence === position.sequence &&
        position.offset - last.offset < POSITION_SPACING_BYTES;
      if (isNear && !this.#isBroken) return;
    }
    this.#positions.push(position);
    this.#isBroken = false;
  }

  /** Forgets the entries behind `index`. */
  truncateBehind(index: number): void {
    while ((this.#positions.at(-1)?.index ?? 0) > index) this.#positions.pop();
    this.#isBroken = true;
  }

  /** Forgets all. */
  clear(): void {
    this.#positions = [];
    this.#isBroken = true;
  }

  /** Forgets the segments before `sequence`. */
  dropBefore(sequence: number): void {
    const kept = this.#positions.findIndex((position) => position.sequence >= sequence);
    this.#positions.splice(0, kept < 0 ? this.#positions.length : kept);
    if (this.#positions.length === 0) this.#isBroken = true;
  }

  /** The position to read `index` from and the one after it; undefined when the index is below all. */
  find(
    index: number,
  ): { readonly at: EntryPosition; readonly next: EntryPosition | undefined } | undefined {
    let low = 0;
    let high = this.#positions.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#positions[middle]?.index ?? 0) <= index) low = middle + 1;
      else high = middle;
    }
    const at = this.#positions[low - 1];
    return at === undefined ? undefined : { at, next: this.#positions[low] };
  }
}
