import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { HISTOGRAM_BUCKETS_MAX, METRIC_SERIES_MAX } from "./limits.ts";
import { Histogram, LATENCY_BUCKETS_SECONDS, Metrics } from "./metrics.ts";

Deno.test("Metrics.text() is Prometheus' exposition format", () => {
  const metrics = new Metrics();
  const reads = metrics.counter({ name: "reads_total", help: "Reads", labels: { level: "none" } });
  const strong = metrics.counter({
    name: "reads_total",
    help: "Reads",
    labels: { level: "strong" },
  });
  const gauge = metrics.gauge({ name: "queue_length", help: "Waiting\nwrites \\" });
  metrics.observedGauge({ name: "uptime_seconds", help: "Uptime" }, () => 1.5);
  metrics.observedCounter({ name: "stalls_total", help: "Stalls" }, () => Infinity);
  const took = metrics.histogram(
    { name: "took_seconds", help: "Duration", labels: { kind: 'a"b\\' } },
    [0.1, 1],
  );
  reads.add();
  reads.add(2);
  strong.add(0);
  gauge.value = -3;
  for (const value of [0.05, 0.1, 0.5, 5]) took.observe(value);
  strictEqual(
    metrics.text(),
    `# HELP reads_total Reads
# TYPE reads_total counter
reads_total{level="none"} 3
reads_total{level="strong"} 0
# HELP queue_length Waiting\\nwrites \\\\
# TYPE queue_length gauge
queue_length -3
# HELP uptime_seconds Uptime
# TYPE uptime_seconds gauge
uptime_seconds 1.5
# HELP stalls_total Stalls
# TYPE stalls_total counter
stalls_total +Inf
# HELP took_seconds Duration
# TYPE took_seconds histogram
took_seconds_bucket{kind="a\\"b\\\\",le="0.1"} 2
took_seconds_bucket{kind="a\\"b\\\\",le="1"} 3
took_seconds_bucket{kind="a\\"b\\\\",le="+Inf"} 4
took_seconds_sum{kind="a\\"b\\\\"} 5.65
took_seconds_count{kind="a\\"b\\\\"} 4
`,
  );
});

Deno.test("Histogram.observe() counts a value on a bound below it", () => {
  const histogram = new Histogram([1, 2]);
  for (const value of [-1, 1, 1.5, 2, 2.5, NaN]) histogram.observe(value);
  deepStrictEqual(histogram.read().counts, [3, 2, 1]);
  strictEqual(new Histogram(LATENCY_BUCKETS_SECONDS).read().counts.length, 17);
});

Deno.test("Histogram refuses bounds that do not ascend, none, and too many", () => {
  const bounds = Array.from({ length: HISTOGRAM_BUCKETS_MAX + 1 }, (_, at) => at);
  for (const bad of [[], [1, 1], [2, 1], bounds]) {
    throws(() => new Histogram(bad), { name: "AssertionError" });
  }
  strictEqual(new Histogram(bounds.slice(1)).read().bounds.length, HISTOGRAM_BUCKETS_MAX);
});

Deno.test("Metrics refuses a series twice, a name of two kinds, and bad names", () => {
  const metrics = new Metrics();
  metrics.counter({ name: "a_total", help: "A" });
  const bad: (() => unknown)[] = [
    () => metrics.counter({ name: "a_total", help: "A" }),
    () => metrics.counter({ name: "a_total", help: "Other", labels: { x: "y" } }),
    () => metrics.gauge({ name: "a_total", help: "A", labels: { x: "y" } }),
    () => metrics.counter({ name: "a", help: "A" }),
    () => metrics.gauge({ name: "1a", help: "A" }),
    () => metrics.gauge({ name: "b", help: "B", labels: { "b-c": "d" } }),
    () => metrics.histogram({ name: "c", help: "C", labels: { le: "1" } }, [1]),
    () => metrics.counter({ name: "down_total", help: "D" }).add(-1),
  ];
  for (const attempt of bad) throws(attempt, { name: "AssertionError" });
});

Deno.test("Metrics bounds the number of series", () => {
  const metrics = new Metrics();
  for (let at = 0; at < METRIC_SERIES_MAX; at++) {
    metrics.gauge({ name: "a", help: "A", labels: { at: String(at) } });
  }
  throws(() => metrics.gauge({ name: "b", help: "B" }), { name: "AssertionError" });
});
