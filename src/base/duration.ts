/**
 * Durations as Go writes them (the wire contract, section 1.6): flags and query parameters take them,
 * answers show them. Signed decimal numbers, each with a unit, one after the other: `1m30s`, `1.5h`.
 * Inside Dust a duration is a number of milliseconds.
 */

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["ns", 1e-6],
  ["us", 1e-3],
  ["µs", 1e-3], // U+00B5, micro sign
  ["μs", 1e-3], // U+03BC, Greek letter mu
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
]);

const PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;

/** Go's limit: an int64 of nanoseconds, some 292 years. */
const DURATION_MS_MAX = 2 ** 63 / 1e6;

/** Milliseconds, maybe negative or with a fraction; undefined when `text` is no duration. */
export function parseDuration(text: string): number | undefined {
  const signed = text.startsWith("-") || text.startsWith("+");
  const body = signed ? text.slice(1) : text;
  if (body === "0") return 0;
  let at = 0;
  let sumMs = 0;
  while (at < body.length) {
    PART.lastIndex = at;
    const match = PART.exec(body);
    if (match === null) return undefined;
    sumMs += Number(match[1]) * (UNIT_MS.get(match[2] ?? "") ?? NaN);
    at = PART.lastIndex;
  }
  if (at === 0 || !(sumMs < DURATION_MS_MAX)) return undefined;
  return text.startsWith("-") && sumMs !== 0 ? -sumMs : sumMs;
}

/** As Go prints it: `0s`, `21.5µs`, `1ms`, `1m0.5s`, `2h0m0s`. Finer than a nanosecond is rounded. */
export function formatDuration(durationMs: number): string {
  const nanoseconds = Math.round(Math.abs(durationMs) * 1e6);
  const sign = durationMs < 0 && nanoseconds > 0 ? "-" : "";
  if (nanoseconds === 0) return "0s";
  if (nanoseconds < 1e3) return `${sign}${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${sign}${nanoseconds / 1e3}µs`;
  if (nanoseconds < 1e9) return `${sign}${nanoseconds / 1e6}ms`;
  const minutes = Math.floor(nanoseconds / 60e9);
  const seconds = `${(nanoseconds - minutes * 60e9) / 1e9}s`;
  if (minutes === 0) return `${sign}${seconds}`;
  if (minutes < 60) return `${sign}${minutes}m${seconds}`;
  return `${sign}${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}
