import { strictEqual } from "node:assert/strict";
import { formatDuration, parseDuration } from "./duration.ts";

Deno.test("parseDuration() takes Go's syntax", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["-0", 0],
    ["10s", 10_000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["1.s", 1000],
    ["+2ms", 2],
    ["-2ms", -2],
    ["100us", 0.1],
    ["100µs", 0.1],
    ["100\u03bcs", 0.1],
    ["1ns", 1e-6],
    ["1s1s", 2000],
  ];
  for (const [text, ms] of cases) strictEqual(parseDuration(text), ms, text);
});

Deno.test("parseDuration() refuses everything else", () => {
  for (const text of ["", "10", "1d", "10 s", " 1s", "s", "-", "+-1s", ".s", "1e3s", "1s ", "00"]) {
    strictEqual(parseDuration(text), undefined, text);
  }
  strictEqual(parseDuration("2562047h"), 2562047 * 3_600_000);
  strictEqual(parseDuration("2562048h"), undefined);
});

Deno.test("formatDuration() writes as Go does", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [1e-6, "1ns"],
    [0.0215, "21.5µs"],
    [1.25, "1.25ms"],
    [50, "50ms"],
    [1000, "1s"],
    [60_500, "1m0.5s"],
    [3_600_000, "1h0m0s"],
    [-1500, "-1.5s"],
    [90_061_001, "25h1m1.001s"],
  ];
  for (const [ms, text] of cases) strictEqual(formatDuration(ms), text);
});
