/**
 * Chance that every replica has alike: the numbers behind `random()` and `randomblob()` in writes,
 * drawn from the seed of the log entry (faults S1, S3). A fresh generator for each entry.
 * The algorithm is sfc32 (Doty-Humphrey); frozen, since what it gave is in databases.
 */

const WARM_UP_ROUNDS = 15;

/** See the file's header. One per writer; `seed` it for each entry. */
export class RandomSource {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 1;
  /** The seed is only spread out once somebody draws: most entries never do. */
  #isReady = false;

  /** Starts anew with the two halves of an entry's seed, each 32 bits. */
  seed(low: number, high: number): void {
    this.#a = low | 0;
    this.#b = high | 0;
    this.#isReady = false;
  }

  /** 64 bits as SQLite's `random()` shows them: never the smallest integer, so that abs() works. */
  int64(): bigint {
    const value = BigInt.asIntN(64, (BigInt(this.#next()) << 32n) | BigInt(this.#next()));
    return value < 0n ? -(value & 0x7fff_ffff_ffff_ffffn) : value;
  }

  /** `size` bytes, the caller's. */
  bytes(size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    let at = 0;
    for (; at + 4 <= size; at += 4) {
      const word = this.#next();
      bytes[at] = word;
      bytes[at + 1] = word >>> 8;
      bytes[at + 2] = word >>> 16;
      bytes[at + 3] = word >>> 24;
    }
    for (let word = at < size ? this.#next() : 0; at < size; at++, word >>>= 8) bytes[at] = word;
    return bytes;
  }

  #next(): number {
    if (!this.#isReady) {
      this.#isReady = true;
      this.#c = 0x44757374;
      this.#counter = 1;
      for (let round = 0; round < WARM_UP_ROUNDS; round++) this.#step();
    }
    return this.#step();
  }

  #step(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result >>> 0;
  }
}
