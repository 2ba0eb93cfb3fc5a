/**
 * What the HTTP room counts: since the process started, shown by /debug/vars under the names that the
 * wire contract gives them (section 13.4), and by /metrics.
 */

/** The names, in the order in which they are shown. */
export const COUNTER_NAMES = [
  "executions",
  "queries",
  "requests",
  "queued_executions",
  "queued_executions_ok",
  "queued_executions_failed",
  "queued_executions_wait",
  "queued_executions_wait_timeout",
  "leader_not_found",
  "num_readyz",
  "num_status",
  "user_snapshots",
  "overloaded",
  "clients_gone",
] as const;

/** One of the counters. */
export type CounterName = typeof COUNTER_NAMES[number];

/** The counters of one process. */
export class Counters {
  readonly #values = new Map<CounterName, number>(COUNTER_NAMES.map((name) => [name, 0]));

  /** Counts one. */
  add(name: CounterName): void {
    this.#values.set(name, (this.#values.get(name) ?? 0) + 1);
  }

  /** All of them, as a tree of facts. */
  facts(): { readonly [name: string]: number } {
    return Object.fromEntries(this.#values);
  }

  /** All of them in Prometheus' text format. */
  metricsText(): string {
    return [...this.#values]
      .map(([name, value]) => `# TYPE dust_http_${name} counter\ndust_http_${name} ${value}\n`)
      .join("");
  }
}
