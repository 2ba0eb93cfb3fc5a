/**
 * Chance that repeats itself: the same seed gives the same values (a 32-bit counter through a mixing
 * function). For simulations and tests only.
 */
import { assert } from "../../src/base/assert.ts";
import type { Entropy } from "../../src/os/entropy.ts";

const WORD_VALUES = 0x1_0000_0000;

/** Entropy from a seed. */
export class SimEntropy implements Entropy {
  #counter: number;

  constructor(seed: number) {
    this.#counter = Math.imul(seed, 0x9e3779b1) | 0;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }

  below(limit: number): number {
    assert(Number.isInteger(limit) && limit >= 1 && limit <= WORD_VALUES, "SimEntropy: bad limit");
    return Math.floor(this.#next() / WORD_VALUES * limit);
  }

  #next(): number {
    this.#counter = (this.#counter + 0x6d2b79f5) | 0;
    let word = this.#counter;
    word = Math.imul(word ^ word >>> 16, 0x85ebca6b);
    word = Math.imul(word ^ word >>> 13, 0xc2b2ae35);
    return (word ^ word >>> 16) >>> 0;
  }
}
