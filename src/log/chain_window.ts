/**
 * Entry chains (rule S3) of the newest entries, in memory: a ring of pairs of 32-bit words.
 * Invariant: contiguous, `[from, to)`. It must reach down to the commit index, because the entry behind
 * that may be replaced at any time and the new one's chain continues from there.
 */
import { assert } from "../base/assert.ts";
import type { EntryChain } from "../base/entry_chain.ts";

const CAPACITY_INITIAL = 1024;

/** Chains of the indexes `[from, to)`. */
export class ChainWindow {
  /** Two words for each slot: high, low. The slot of an index is its value modulo the capacity. */
  #words = new Uint32Array(2 * CAPACITY_INITIAL);
  #from = 0;
  #to = 0;

  /** The first index held. */
  get from(): number {
    return this.#from;
  }

  /** Forgets all; knows only `index` then. */
  reset(index: number, chain: EntryChain): void {
    this.#from = index;
    this.#to = index;
    this.add(index, chain);
  }

  /** Adds the index behind the last one. */
  add(index: number, chain: EntryChain): void {
    assert(index === this.#to, "ChainWindow.add: not the next index");
    if (this.#to - this.#from === this.#capacity) this.#grow();
    const slot = 2 * (index % this.#capacity);
    this.#words[slot] = chain.high;
    this.#words[slot + 1] = chain.low;
    this.#to += 1;
  }

  /** The chain at `index`, or undefined when it is not held. */
  find(index: number): EntryChain | undefined {
    if (index < this.#from || index >= this.#to) return undefined;
    const slot = 2 * (index % this.#capacity);
    return { high: this.#words[slot] as number, low: this.#words[slot + 1] as number };
  }

  /** Forgets the indexes behind `index`, which must be held. */
  truncateBehind(index: number): void {
    assert(index >= this.#from && index < this.#to, "ChainWindow.truncateBehind: not held");
    this.#to = index + 1;
  }

  /** Forgets the indexes below `index`, but never the last one. */
  dropBelow(index: number): void {
    this.#from = Math.max(this.#from, Math.min(index, this.#to - 1));
  }

  get #capacity(): number {
    return this.#words.length / 2;
  }

  #grow(): void {
    const old = this.#words;
    const oldCapacity = this.#capacity;
    this.#words = new Uint32Array(2 * old.length);
    for (let index = this.#from; index < this.#to; index++) {
      const oldSlot = 2 * (index % oldCapacity);
      const slot = 2 * (index % this.#capacity);
      this.#words[slot] = old[oldSlot] as number;
      this.#words[slot + 1] = old[oldSlot + 1] as number;
    }
  }
}
