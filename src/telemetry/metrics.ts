/**
 * Counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4).
 * A series is made once, at start, with its labels; on the hot path it is one addition, for a
 * histogram one more per bucket passed. Labels never come from requests, so the number is bounded.
 * Invariant: a name has one kind and one help text, and each series of it other labels.
 */
import { assert } from "../base/assert.ts";
import { HISTOGRAM_BUCKETS_MAX, METRIC_SERIES_MAX } from "./limits.ts";

/** What identifies a series, and what it says of itself. */
export interface SeriesOptions {
  /** Such as `dust_http_requests_total`; counters end in `_total`, units are base units. */
  readonly name: string;
  readonly help: string;
  /** Values are arbitrary text; names are like metric names. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** Seconds, for requests and disk operations: 50 µs to 10 s. */
export const LATENCY_BUCKETS_SECONDS: readonly number[] = [
  0.00005,
  0.0001,
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  10,
];

const NAME_PATTERN = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Counts up from 0, and never down. */
export class Counter {
  #value = 0;

  /** Adds `amount`, at least 0. */
  add(amount = 1): void {
    assert(amount >= 0, "Counter.add: a counter never goes down");
    this.#value += amount;
  }

  /** The sum so far. */
  get value(): number {
    return this.#value;
  }
}

/** A level that goes up and down. */
export class Gauge {
  /** The level now. */
  value = 0;
}

/** How often a value fell into each of a few ranges; their bounds are fixed. */
export class Histogram {
  readonly #bounds: Float64Array;
  /** One per bound, and one for what is above the last. */
  readonly #counts: Float64Array;
  #sum = 0;

  /** @param bounds upper bounds, ascending; a value on a bound is below it. */
  constructor(bounds: readonly number[]) {
    assert(
      bounds.length > 0 && bounds.length <= HISTOGRAM_BUCKETS_MAX,
      "Histogram: too many bounds",
    );
    for (let at = 1; at < bounds.length; at++) {
      assert((bounds[at - 1] ?? NaN) < (bounds[at] ?? NaN), "Histogram: bounds must ascend");
    }
    this.#bounds = Float64Array.from(bounds);
    this.#counts = new Float64Array(bounds.length + 1);
  }

  /** Counts `value` once. */
  observe(value: number): void {
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] ?? Infinity)) at += 1;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += value;
  }

  /** What was observed so far: counts per bucket, not cumulative, the last one unbounded. */
  read(): {
    readonly bounds: readonly number[];
    readonly counts: readonly number[];
    readonly sum: number;
  } {
    return { bounds: [...this.#bounds], counts: [...this.#counts], sum: this.#sum };
  }
}

type Instrument =
  | { readonly kind: "counter"; readonly read: () => number }
  | { readonly kind: "gauge"; readonly read: () => number }
  | { readonly kind: "histogram"; readonly histogram: Histogram };

interface Family {
  readonly kind: Instrument["kind"];
  readonly help: string;
  /** By their labels as text, such as `{method="GET"}`. */
  readonly series: Map<string, Instrument>;
}

/** All metrics of a process. */
export class Metrics {
  readonly #families = new Map<string, Family>();
  #seriesCount = 0;

  /** A new counter. @throws {AssertionError} when the series is there already, as for all below. */
  counter(options: SeriesOptions): Counter {
    const counter = new Counter();
    this.#register(options, { kind: "counter", read: () => counter.value });
    return counter;
  }

  /** A counter that somebody else keeps: `read` is called for each scrape. */
  observedCounter(options: SeriesOptions, read: () => number): void {
    this.#register(options, { kind: "counter", read });
  }

  /** A new gauge at 0. */
  gauge(options: SeriesOptions): Gauge {
    const gauge = new Gauge();
    this.#register(options, { kind: "gauge", read: () => gauge.value });
    return gauge;
  }

  /** A gauge that somebody else keeps: `read` is called for each scrape. */
  observedGauge(options: SeriesOptions, read: () => number): void {
    this.#register(options, { kind: "gauge", read });
  }

  /** A new histogram; `bounds` as of `Histogram`. */
  histogram(options: SeriesOptions, bounds: readonly number[]): Histogram {
    const histogram = new Histogram(bounds);
    this.#register(options, { kind: "histogram", histogram });
    return histogram;
  }

  /** Everything, for `GET /metrics`; content type `text/plain; version=0.0.4`. */
  text(): string {
    let text = "";
    for (const [name, family] of this.#families) {
      text += `# HELP ${name} ${escapeHelp(family.help)}\n# TYPE ${name} ${family.kind}\n`;
      for (const [labels, instrument] of family.series) {
        text += instrument.kind === "histogram"
          ? histogramText(name, labels, instrument.histogram)
          : `${name}${labels} ${numberText(instrument.read())}\n`;
      }
    }
    return text;
  }

  #register(options: SeriesOptions, instrument: Instrument): void {
    const { name, help } = options;
    assert(NAME_PATTERN.test(name), "Metrics: bad name");
    assert(
      instrument.kind !== "counter" || name.endsWith("_total"),
      "Metrics: a counter's name ends in _total",
    );
    const family = this.#families.get(name) ?? { kind: instrument.kind, help, series: new Map() };
    assert(
      family.kind === instrument.kind && family.help === help,
      "Metrics: a name has one kind and one help text",
    );
    const labels = labelsText(options.labels ?? {});
    assert(!family.series.has(labels), "Metrics: series registered twice");
    this.#seriesCount += 1;
    assert(this.#seriesCount <= METRIC_SERIES_MAX, "Metrics: too many series");
    family.series.set(labels, instrument);
    this.#families.set(name, family);
  }
}

function histogramText(name: string, labels: string, histogram: Histogram): string {
  const { bounds, counts, sum } = histogram.read();
  let cumulative = 0;
  let text = "";
  for (const [at, count] of counts.entries()) {
    cumulative += count;
    const bound = `le="${at < bounds.length ? numberText(bounds[at] ?? NaN) : "+Inf"}"`;
    const withBound = labels === "" ? `{${bound}}` : `${labels.slice(0, -1)},${bound}}`;
    text += `${name}_bucket${withBound} ${cumulative}\n`;
  }
  return `${text}${name}_sum${labels} ${numberText(sum)}\n${name}_count${labels} ${cumulative}\n`;
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    assert(NAME_PATTERN.test(name) && name !== "le", "Metrics: bad label name");
    return `${name}="${escapeHelp(value).replaceAll('"', '\\"')}"`;
  });
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  return String(value);
}
