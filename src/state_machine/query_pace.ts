/**
 * How many queries go to a reader together: a message costs both threads more than a point read does.
 * While queries are quick, some are sent at once although other threads have nothing to do, and a busy
 * thread is sent more only when so many wait. Once they take as long as a message, each goes wherever
 * there is room.
 */
import { QUERIES_TOGETHER_MIN, QUICK_QUERY_MS } from "./limits.ts";

/** A batch counts for so much in the mean. */
const BATCH_SHARE = 1 / 8;

/** What is known of the queries of one pool. */
export class QueryPace {
  /** Per query, recent ones first; it is not known that they are quick before they were. */
  #meanMs = 10 * QUICK_QUERY_MS;

  /** A reader was busy for so long with a batch of so many queries. */
  took(busyMs: number, count: number): void {
    if (count > 0) this.#meanMs += (busyMs / count - this.#meanMs) * BATCH_SHARE;
  }

  /** So many queries at least are worth a message, if there are so many. */
  get togetherMin(): number {
    return this.#meanMs <= QUICK_QUERY_MS ? QUERIES_TOGETHER_MIN : 1;
  }
}
