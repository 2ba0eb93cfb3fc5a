/**
 * The random source of the operating system. Fit for identities, nonces and secrets.
 */
import { assert } from "../base/assert.ts";
import type { Entropy } from "./entropy.ts";

const COUNT_MAX = 65_536;
const WORD_VALUES = 0x1_0000_0000;

/** The entropy of this process. */
export class DenoEntropy implements Entropy {
  readonly #word = new Uint32Array(1);

  bytes(count: number): Uint8Array {
    assert(count >= 0 && count <= COUNT_MAX, "DenoEntropy.bytes: count out of range");
    return crypto.getRandomValues(new Uint8Array(count));
  }

  below(limit: number): number {
    assert(
      Number.isInteger(limit) && limit >= 1 && limit <= WORD_VALUES,
      "DenoEntropy.below: limit out of range",
    );
    // Words past the last whole multiple of `limit` would favour small results.
    const fair = WORD_VALUES - WORD_VALUES % limit;
    for (;;) {
      crypto.getRandomValues(this.#word);
      const word = this.#word[0] as number;
      if (word < fair) return word % limit;
    }
  }
}
