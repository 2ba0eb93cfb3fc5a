/**
 * Latencies of any number of requests in fixed room: buckets whose width is at most 1/64 of their
 * value, from a microsecond to some 19 hours. Percentiles are exact to 1.6 percent, the maximum is exact.
 * Bucket of v µs: v itself below 64; above, the exponent of v and its six bits behind the first.
 */

const SUBBUCKETS = 64;
const EXPONENTS = 32;

/** Counts latencies. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(SUBBUCKETS * EXPONENTS);
  #count = 0;
  #maxMs = 0;

  /** Counts one latency of at least 0 milliseconds. */
  record(ms: number): void {
    const bucket = bucketOf(Math.round(ms * 1000));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
    if (ms > this.#maxMs) this.#maxMs = ms;
  }

  /** How many were recorded. */
  get count(): number {
    return this.#count;
  }

  /** The longest, 0 without any. */
  get maxMs(): number {
    return this.#maxMs;
  }

  /** The latency that `share` (0 to 1) of all did not exceed; 0 without any. */
  percentileMs(share: number): number {
    let left = Math.max(1, Math.ceil(share * this.#count));
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      left -= this.#counts[bucket] ?? 0;
      if (left <= 0) return Math.min(this.#maxMs, upperMicrosecondsOf(bucket) / 1000);
    }
    return 0;
  }
}

function bucketOf(microseconds: number): number {
  if (microseconds < SUBBUCKETS) return microseconds;
  const exponent = Math.floor(Math.log2(microseconds)) - 5;
  const sub = Math.floor(microseconds / 2 ** (exponent - 1)) - SUBBUCKETS;
  return Math.min(SUBBUCKETS * EXPONENTS - 1, exponent * SUBBUCKETS + sub);
}

/** The largest whole number of microseconds in a bucket. */
function upperMicrosecondsOf(bucket: number): number {
  if (bucket < SUBBUCKETS) return bucket;
  const exponent = Math.floor(bucket / SUBBUCKETS);
  return (SUBBUCKETS + bucket % SUBBUCKETS + 1) * 2 ** (exponent - 1) - 1;
}
