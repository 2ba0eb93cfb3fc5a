import { ok, strictEqual } from "node:assert/strict";
import { LatencyHistogram } from "./latency_histogram.ts";

Deno.test("LatencyHistogram.percentileMs() is within 1.6 percent of the sorted list", () => {
  const histogram = new LatencyHistogram();
  const values = Array.from({ length: 5000 }, (_, at) => (at * 7919 % 5000 + 1) ** 2 / 1000);
  for (const value of values) histogram.record(value);
  values.sort((a, b) => a - b);
  for (const share of [0.01, 0.5, 0.9, 0.99, 0.999, 1]) {
    const exact = values[Math.ceil(share * values.length) - 1] ?? 0;
    const found = histogram.percentileMs(share);
    ok(
      found >= exact - 0.0006 && found <= exact * 1.016 + 0.0006,
      `${share}: ${found}, not ${exact}`,
    );
  }
  strictEqual(histogram.maxMs, 25_000);
  strictEqual(histogram.count, 5000);
});

Deno.test("LatencyHistogram knows nothing at first, and bounds what is absurd", () => {
  const histogram = new LatencyHistogram();
  strictEqual(histogram.percentileMs(0.5), 0);
  histogram.record(0);
  strictEqual(histogram.percentileMs(1), 0);
  histogram.record(1e12);
  strictEqual(histogram.maxMs, 1e12);
  ok(histogram.percentileMs(1) > 1e6);
});

Deno.test("LatencyHistogram keeps small latencies to the microsecond", () => {
  for (let microseconds = 0; microseconds < 64; microseconds++) {
    const histogram = new LatencyHistogram();
    histogram.record(microseconds / 1000);
    strictEqual(histogram.percentileMs(0.5), microseconds / 1000);
  }
});
