import { strictEqual } from "node:assert/strict";
import { integerAsTime, textAsTime } from "./wire_time.ts";

Deno.test("textAsTime() writes dates and times as the wire contract lists them (5.6)", () => {
  const cases: readonly [string, string][] = [
    ["2004-02-14", "2004-02-14T00:00:00Z"],
    ["2004-02-14 07:15:00", "2004-02-14T07:15:00Z"],
    ["2004-02-14T07:15:00Z", "2004-02-14T07:15:00Z"],
    ["2021-10-22 19:39:32.016087", "2021-10-22T19:39:32.016087Z"],
    ["2021-10-22 19:39:32.100", "2021-10-22T19:39:32.1Z"],
    ["2021-10-22 19:39", "2021-10-22T19:39:00Z"],
    ["2004-02-14 07:15:00+05:30", "2004-02-14T07:15:00+05:30"],
    ["2021-10-22 19:39:32+00:00", "2021-10-22T19:39:32Z"],
    ["2024-02-29", "2024-02-29T00:00:00Z"],
  ];
  for (const [text, expected] of cases) strictEqual(textAsTime(text), expected, text);
});

Deno.test("textAsTime() gives the year 1 for what no layout fits", () => {
  const texts = [
    "garbage",
    "24:00",
    "10000-01-01",
    "2023-02-29",
    "2023-13-01",
    "2023-00-01",
    "2023-01-01 24:00:00",
    "2023-01-01 00:60:00",
    "2023-01-01 00:00:60",
    "2023-01-01 07:15+05:30",
    "2023-01-01 00:00:00+25:00",
    "",
  ];
  for (const text of texts) strictEqual(textAsTime(text), "0001-01-01T00:00:00Z", text);
});

Deno.test("integerAsTime() takes seconds, and milliseconds from their size on", () => {
  strictEqual(integerAsTime(1700000000), "2023-11-14T22:13:20Z");
  strictEqual(integerAsTime(1700000000123), "2023-11-14T22:13:20.123Z");
  strictEqual(integerAsTime(1700000000120), "2023-11-14T22:13:20.12Z");
  strictEqual(integerAsTime(0), "1970-01-01T00:00:00Z");
  strictEqual(integerAsTime(-62167219200), "0000-01-01T00:00:00Z");
  strictEqual(integerAsTime(253402300799), "9999-12-31T23:59:59Z");
});

Deno.test("integerAsTime() has no form for years outside 0 to 9999", () => {
  strictEqual(integerAsTime(-62167219201), undefined);
  strictEqual(integerAsTime(253402300800), undefined);
  strictEqual(integerAsTime(Number.MAX_SAFE_INTEGER), undefined);
});
