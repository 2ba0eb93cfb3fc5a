import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { FORMAT } from "../command/request.ts";
import { DURATION_MS_MAX, QUERY_STRINGS_KEPT_MAX } from "./limits.ts";
import { parseQueryString, QueryStrings, READ_LEVELS } from "./query_string.ts";

function refused(query: string, message: string): void {
  throws(() => parseQueryString(query), (error) => {
    ok(error instanceof OperatingError);
    deepStrictEqual([error.code, error.message], ["bad_request", message], query);
    return true;
  });
}

Deno.test("parseQueryString() has the wire's defaults", () => {
  deepStrictEqual(parseQueryString(""), {
    q: undefined,
    pretty: false,
    timings: false,
    transaction: false,
    raftIndex: false,
    format: 0,
    level: "weak",
    freshnessMs: 0,
    freshnessStrict: false,
    linearizableTimeoutMs: 10_000,
    timeoutMs: 30_000,
    dbTimeoutMs: 0,
    redirect: false,
    queue: false,
    wait: false,
    noLeader: false,
    trailingLogs: 0,
    minIndex: 0,
    nonVoters: false,
    version: undefined,
    sync: false,
    key: undefined,
  });
});

Deno.test("parseQueryString() takes flags as true by presence, whatever the value", () => {
  for (const query of ["pretty", "pretty=", "pretty=false", "a=b&&pretty=yes&"]) {
    ok(parseQueryString(query).pretty, query);
  }
  ok(!parseQueryString("Pretty").pretty);
});

Deno.test("parseQueryString() knows every flag and value of its own", () => {
  const all = parseQueryString(
    "timings&transaction&raft_index&associative&blob_array&qualify_columns&level=STRONG" +
      "&freshness=1.5s&freshness_strict&linearizable_timeout=2s&timeout=3s&db_timeout=10us&redirect" +
      "&queue&wait&noleader&trailing_logs=7&min_index=9&nonvoters&ver=2&sync&key=a.b&retries=2&unknown=1",
  );
  deepStrictEqual(all, {
    q: undefined,
    pretty: false,
    timings: true,
    transaction: true,
    raftIndex: true,
    format: FORMAT.associative | FORMAT.timings | FORMAT.blobArray | FORMAT.qualifyColumns,
    level: "strong",
    freshnessMs: 1500,
    freshnessStrict: true,
    linearizableTimeoutMs: 2000,
    timeoutMs: 3000,
    dbTimeoutMs: 1,
    redirect: true,
    queue: true,
    wait: true,
    noLeader: true,
    trailingLogs: 7,
    minIndex: 9,
    nonVoters: true,
    version: "2",
    sync: true,
    key: "a.b",
  });
});

Deno.test("parseQueryString() decodes keys and values, the first of a key counts", () => {
  strictEqual(parseQueryString("q=SELECT+1%20+%2B&q=no").q, "SELECT 1  +");
  strictEqual(parseQueryString("%71=a=b").q, "a=b");
  strictEqual(parseQueryString("q=%C3%A9%E2%82%AC").q, "é€");
  strictEqual(parseQueryString("q=%ff+a%C3%A9").q, "\ufffd aé");
});

Deno.test("parseQueryString() takes levels in any case and marks unknown ones", () => {
  for (const level of READ_LEVELS) {
    strictEqual(parseQueryString(`level=${level.toUpperCase()}`).level, level);
  }
  strictEqual(parseQueryString("level=").level, "weak");
  strictEqual(parseQueryString("level=snapshot").level, undefined);
});

Deno.test("parseQueryString() refuses with the wire's texts, in its order", () => {
  refused("q=%ZZ", 'invalid URL escape "%ZZ"');
  refused("q=1%", 'invalid URL escape "%"');
  refused("%4=1", 'invalid URL escape "%4"');
  refused("a;b", "invalid semicolon separator in query");
  refused("freshness_strict&timeout=x", "freshness_strict requires freshness");
  refused("retries=x&db_timeout=&freshness=1&timeout=1", "timeout is not a valid duration");
  refused("retries=x&db_timeout=&freshness=1", "freshness is not a valid duration");
  refused("linearizable_timeout=x&db_timeout=", "db_timeout is not a valid duration");
  refused("retries=x&linearizable_timeout=x", "linearizable_timeout is not a valid duration");
  refused("trailing_logs=x&retries=1.5", "retries is not a valid integer");
  refused("trailing_logs=&q", "trailing_logs is not a valid integer");
  refused("retries=9223372036854775808", "retries is not a valid integer");
  strictEqual(parseQueryString("retries=9223372036854775807&trailing_logs=-5").trailingLogs, 0);
  refused("q", "query parameter not set");
  refused("q=", "query parameter not set");
});

Deno.test("parseQueryString() clamps durations to what a timer can wait", () => {
  strictEqual(parseQueryString("timeout=-5s").timeoutMs, 0);
  strictEqual(parseQueryString("timeout=100000h").timeoutMs, DURATION_MS_MAX);
});

Deno.test("QueryStrings.parse() keeps what it has parsed, and not too much of it", () => {
  const strings = new QueryStrings();
  const first = strings.parse("pretty");
  strictEqual(strings.parse("pretty"), first);
  for (let at = 0; at < QUERY_STRINGS_KEPT_MAX; at++) strings.parse(`a=${at}`);
  ok(strings.parse("pretty") !== first);
  const long = `q=${"x".repeat(1000)}`;
  ok(strings.parse(long) !== strings.parse(long));
  throws(() => strings.parse("q="), OperatingError);
});
