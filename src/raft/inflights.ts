/**
 * The window of appends sent to one peer and not yet acknowledged, bounded by count and by bytes.
 * A ring that grows on demand, so that thousands of idle slots cost nothing.
 * Invariant: `last` indexes ascend from the oldest append to the newest; `#count <= countMax`.
 */
import { assert } from "../base/assert.ts";
import type { LogIndex } from "../base/ids.ts";
import { NO_INDEX } from "./types.ts";

const CAPACITY_MIN = 8;

/** See the file's header. */
export class Inflights {
  readonly #countMax: number;
  readonly #sizeBytesMax: number;
  #lasts: LogIndex[] = [];
  #sizes: number[] = [];
  #start = 0;
  #count = 0;
  #sizeBytes = 0;

  /** At most `countMax` appends; no further one once `sizeBytesMax` is reached. */
  constructor(options: { readonly countMax: number; readonly sizeBytesMax: number }) {
    this.#countMax = options.countMax;
    this.#sizeBytesMax = options.sizeBytesMax;
  }

  /** Appends under way. */
  get count(): number {
    return this.#count;
  }

  /** Payload bytes under way. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Whether nothing more may be sent. The last append may have passed the limit on bytes. */
  get isFull(): boolean {
    return this.#count >= this.#countMax || this.#sizeBytes >= this.#sizeBytesMax;
  }

  /** Notes an append that ends with entry `last`. Not while full. */
  add(append: { readonly last: LogIndex; readonly sizeBytes: number }): void {
    assert(!this.isFull, "Inflights.add: the window is full");
    if (this.#count === this.#lasts.length) this.#grow();
    const at = (this.#start + this.#count) % this.#lasts.length;
    this.#lasts[at] = append.last;
    this.#sizes[at] = append.sizeBytes;
    this.#count++;
    this.#sizeBytes += append.sizeBytes;
  }

  /** Frees the appends that end at or below `index`. */
  freeTo(index: LogIndex): void {
    while (this.#count > 0 && (this.#lasts[this.#start] as LogIndex) <= index) {
      this.#sizeBytes -= this.#sizes[this.#start] as number;
      this.#start = (this.#start + 1) % this.#lasts.length;
      this.#count--;
    }
  }

  /** Frees all. */
  reset(): void {
    this.#start = 0;
    this.#count = 0;
    this.#sizeBytes = 0;
  }

  #grow(): void {
    const capacity = Math.max(CAPACITY_MIN, this.#lasts.length * 2);
    const lasts: LogIndex[] = [];
    const sizes: number[] = [];
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#start + i) % this.#lasts.length;
      lasts.push(this.#lasts[at] as LogIndex);
      sizes.push(this.#sizes[at] as number);
    }
    while (lasts.length < capacity) {
      lasts.push(NO_INDEX);
      sizes.push(0);
    }
    this.#lasts = lasts;
    this.#sizes = sizes;
    this.#start = 0;
  }
}
