/**
 * What a simulation draws from: named streams of repeatable chance. Each concern (network, faults,
 * clients, one node) has a stream of its own, so that one more draw in one of them does not turn the
 * others into another run.
 */
import { SimEntropy } from "./sim_entropy.ts";

/** A stream of chance; see the file's header. */
export class Chance extends SimEntropy {
  /** Whether something that happens in `probability` of all cases happens. */
  happens(probability: number): boolean {
    if (probability <= 0) return false;
    return this.below(1_000_000) < probability * 1_000_000;
  }

  /** A whole number in `[from, to]`. */
  within(from: number, to: number): number {
    return from + this.below(Math.floor(to) - Math.floor(from) + 1);
  }

  /** One of `values`, each equally likely; undefined when there is none. */
  pick<T>(values: readonly T[]): T | undefined {
    return values.length === 0 ? undefined : values[this.below(values.length)];
  }

  /** Time until the next of events that come every `meanMs` on average. Milliseconds, at least 1. */
  waitMs(meanMs: number): number {
    const part = (this.below(1_000_000) + 1) / 1_000_001;
    return Math.max(1, Math.round(-Math.log(part) * meanMs));
  }
}

/** The stream for one concern of one seed. */
export function stream(seed: number, concern: string, number = 0): Chance {
  let hash = seed | 0;
  for (let at = 0; at < concern.length; at++) {
    hash = Math.imul(hash ^ concern.charCodeAt(at), 0x01000193) ^ hash >>> 15;
  }
  return new Chance(Math.imul(hash ^ number, 0x85ebca6b) ^ number);
}
