/**
 * Bounds of the telemetry room: neither a log line nor the list of metrics may grow with the input.
 */

/** Characters of one message or field that are logged; the rest is cut, and the cut is shown. */
export const LOGGED_TEXT_LENGTH_MAX = 2048;

/** Time series in one registry. They are made at start; reaching this is a bug. */
export const METRIC_SERIES_MAX = 1000;

/** Buckets of one histogram. */
export const HISTOGRAM_BUCKETS_MAX = 64;
