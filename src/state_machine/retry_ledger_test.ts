import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { FORMAT } from "../command/request.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import type { RetryName } from "../command/retry.ts";
import { logIndex, term } from "../base/ids.ts";
import { Connection } from "../sqlite/connection.ts";
import { setSwitches } from "../sqlite/settings.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import {
  KEPT_ANSWER_BYTES_MAX,
  KEY_AGE_MS_MAX,
  KEYS_BYTES_MAX,
  KEYS_COUNT_MAX,
  KEYS_EXPIRED_AT_ONCE,
  SESSION_OUTSTANDING_MAX,
  SESSIONS_MAX,
} from "./replicated_limits.ts";
import { entry, type EntrySettings, type ShortStatement, TestWriter } from "./testing.ts";

const ENTRY_ELAPSED_MS = 10_000;
const INSERT: readonly ShortStatement[] = ["INSERT INTO t(v) VALUES('a')"];

function keyed(key: string, more: { readonly user?: string; readonly format?: number } = {}): {
  readonly retry: RetryName;
} {
  return { retry: { kind: "key", user: more.user ?? "", key, format: more.format ?? 0 } };
}

function session(
  sequence: number,
  more: { readonly lowest?: number; readonly bootNonce?: bigint } = {},
): { readonly retry: RetryName } {
  const { lowest: lowestOutstanding = 0, bootNonce = 7n } = more;
  return {
    retry: { kind: "session", nodeId: 3, bootNonce, sequence, lowestOutstanding, format: 0 },
  };
}

/** A writer with a table `t`. */
class Setup implements Disposable {
  readonly folder = new TemporaryFolder();
  readonly path = this.folder.file("a.sqlite");
  writer = new TestWriter(this.path);

  constructor() {
    this.writer.run(["CREATE TABLE t(id INTEGER PRIMARY KEY, v)"]);
  }

  run(statements: readonly ShortStatement[], settings: EntrySettings = {}): string {
    return this.writer.run(statements, settings);
  }

  open(nodeId: number, bootNonce: bigint, seenIndex: number): string {
    const payload = encodeCommand({ kind: "open_session", nodeId, bootNonce, seenIndex });
    const { answers } = this.writer.apply([{
      ...entry(this.writer.nextIndex, []),
      index: logIndex(this.writer.nextIndex),
      term: term(1),
      payload,
    }]);
    return JSON.stringify(answers[0]);
  }

  count(): string {
    return this.writer.rows("SELECT count(*) FROM t");
  }

  /** Reads or changes what the writer keeps for itself; it begins anew. */
  secretly(sql: string): string {
    this.reopen();
    using connection = Connection.open(testLibrary(), { path: this.path, mode: "readwrite" });
    setSwitches(connection, { noCheckpointOnClose: true });
    return JSON.stringify(
      connection.query(sql),
      (_, value) => typeof value === "bigint" ? Number(value) : value,
    );
  }

  reopen(): void {
    this.writer[Symbol.dispose]();
    this.writer = TestWriter.reopen(this.path);
  }

  [Symbol.dispose](): void {
    this.writer[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}

Deno.test("a key's second write is not run: the first answer again, with its index", () => {
  using test = new Setup();
  const index = test.writer.nextIndex;
  const first = test.run(INSERT, keyed("k"));
  strictEqual(first, '[{"last_insert_id":1,"rows_affected":1}]');
  strictEqual(test.run(INSERT, keyed("k")), `=${index} ${first}`);
  test.reopen();
  strictEqual(
    test.run(INSERT, { ...keyed("k"), nowMs: 5, seed: 9n, timeoutMs: 77 }),
    `=${index} ${first}`,
  );
  strictEqual(test.count(), "[[1]]");
});

Deno.test("a key's second write in the batch of the first is not run either", () => {
  using test = new Setup();
  const index = test.writer.nextIndex;
  const entries = [0, 1, 2].map((at) => entry(index + at, INSERT, keyed("k")));
  const { answers } = test.writer.apply(entries);
  const results = '[{"last_insert_id":1,"rows_affected":1}]';
  deepStrictEqual(answers, [results, { results, index }, { results, index }]);
  strictEqual(test.count(), "[[1]]");
});

Deno.test("keys of two users, and two keys of one, do not meet", () => {
  using test = new Setup();
  for (const user of ["", "bob", "é"]) {
    for (const key of ["k", "l"]) test.run(INSERT, keyed(key, { user }));
  }
  strictEqual(test.count(), "[[6]]");
});

Deno.test("another request under the same key is refused: SQL, values, options, form of the answer", () => {
  using test = new Setup();
  const first: readonly ShortStatement[] = [["INSERT INTO t(v) VALUES(?)", 1]];
  test.run(first, keyed("k"));
  const others: [readonly ShortStatement[], EntrySettings][] = [
    [[["INSERT INTO t(v) VALUES(?)", 2]], keyed("k")],
    [[["INSERT INTO t(v) VALUES(?) ", 1]], keyed("k")],
    [[...first, ...first], keyed("k")],
    [first, { ...keyed("k"), transaction: true }],
    [first, { ...keyed("k"), rows: true }],
    [first, keyed("k", { format: FORMAT.associative })],
  ];
  for (const [statements, settings] of others) {
    match(
      test.run(statements, settings),
      /^!Idempotency-Key was used before, with another request$/,
    );
  }
  strictEqual(test.count(), "[[1]]");
});

Deno.test("an answer is kept whoever waits, errors and rows and VACUUM too", () => {
  using test = new Setup();
  test.run([
    "CREATE TABLE d(p REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED)",
    "PRAGMA foreign_keys=ON",
  ]);
  const cases: [readonly ShortStatement[], EntrySettings][] = [
    [["INSERT INTO t(id) VALUES(1)", "INSERT INTO t(id) VALUES(1)", "nonsense"], {}],
    [["INSERT INTO t(v) VALUES('x') RETURNING id, v", "SELECT 1 AS one"], { rows: true }],
    [["INSERT INTO d VALUES(99)"], { transaction: true }],
    [["INSERT OR ROLLBACK INTO t(id) VALUES(1)"], {}],
    [["VACUUM"], {}],
    [["DROP TABLE d"], {}],
  ];
  cases.forEach(([statements, settings], at) => {
    const nobody = { ...settings, ...keyed(`k${at}`), format: undefined };
    strictEqual(test.run(statements, nobody), "");
    const again = test.run(statements, { ...settings, ...keyed(`k${at}`) });
    const plain = again.replace(/^=\d+ /, "");
    using fresh = new Setup();
    fresh.run([
      "CREATE TABLE d(p REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED)",
      "PRAGMA foreign_keys=ON",
    ]);
    cases.slice(0, at).forEach(([before, how]) => fresh.run(before, how));
    strictEqual(plain, fresh.run(statements, settings));
  });
});

Deno.test("an answer with timings is kept, and given, without the times of statements", () => {
  using test = new Setup();
  const named = { ...keyed("k", { format: FORMAT.timings }), format: FORMAT.timings };
  const first = test.run(INSERT, named);
  strictEqual(first, '[{"last_insert_id":1,"rows_affected":1}]');
  strictEqual(test.run(INSERT, named), `=3 ${first}`);
});

Deno.test("an answer past 64 KiB is not kept: its write is not run again, and says so", () => {
  using test = new Setup();
  const text = (
    bytes: number,
  ): ShortStatement => ["INSERT INTO t(v) VALUES(?) RETURNING v", "x".repeat(bytes)];
  const overhead = '[{"columns":["v"],"types":["text"],"values":[[""]]}]'.length;
  const fits = [text(KEPT_ANSWER_BYTES_MAX - overhead)];
  const first = test.run(fits, keyed("fits"));
  strictEqual(first.length, KEPT_ANSWER_BYTES_MAX);
  strictEqual(test.run(fits, keyed("fits")), `=3 ${first}`);
  const over = [text(KEPT_ANSWER_BYTES_MAX - overhead + 1)];
  test.run(over, keyed("over"));
  match(
    test.run(over, keyed("over")),
    /^!Cannot repeat the answer of entry 5: its answer, over 65536/,
  );
  const wide: readonly ShortStatement[] = [[
    "INSERT INTO t(v) VALUES(?) RETURNING v",
    "é".repeat(KEPT_ANSWER_BYTES_MAX / 2),
  ]];
  test.run(wide, keyed("wide"));
  match(test.run(wide, keyed("wide")), /^!Cannot repeat the answer/);
  strictEqual(test.count(), "[[3]]");
});

Deno.test("a key is forgotten by age on the log's own clock, whatever the wall clock says, and not before", () => {
  using test = new Setup();
  test.run(INSERT, { ...keyed("k"), nowMs: 1 });
  const entries = KEY_AGE_MS_MAX / ENTRY_ELAPSED_MS;
  const later = { elapsedMs: ENTRY_ELAPSED_MS, nowMs: Date.UTC(2400, 0, 1) };
  for (let at = 1; at < entries; at++) test.run(["SELECT 1"], later);
  // One that is sent again while it is remembered is not remembered for longer.
  match(test.run(INSERT, { ...keyed("k"), elapsedMs: ENTRY_ELAPSED_MS - 1 }), /^=/);
  test.run(INSERT, { ...keyed("other"), elapsedMs: 0 });
  match(test.run(INSERT, keyed("k")), /^=/);
  test.run(INSERT, { ...keyed("one"), elapsedMs: 1 });
  strictEqual(test.run(INSERT, keyed("k")), '[{"last_insert_id":4,"rows_affected":1}]');
});

Deno.test("one entry moves the log's clock by 10 seconds at most", () => {
  using test = new Setup();
  const payload = entry(test.writer.nextIndex, INSERT, {}).payload.slice();
  payload[14] = 0xff;
  payload[15] = 0xff;
  test.writer.apply([{ ...entry(test.writer.nextIndex, INSERT), payload }]);
  strictEqual(test.writer.writer.record.logClockMs, ENTRY_ELAPSED_MS);
});

Deno.test("a few keys expire with each new one, in the order in which they came", () => {
  using test = new Setup();
  for (let at = 0; at < 20; at++) test.run(INSERT, keyed(`k${at}`));
  test.secretly(`UPDATE sqlite_dust_key_age SET clock_ms = -${KEY_AGE_MS_MAX} WHERE number <= 10`);
  test.run(INSERT, keyed("new"));
  strictEqual(
    test.secretly("SELECT min(number), count(*) FROM sqlite_dust_key_age"),
    `[[${KEYS_EXPIRED_AT_ONCE + 1},${21 - KEYS_EXPIRED_AT_ONCE}]]`,
  );
  test.run(INSERT, keyed("newer"));
  strictEqual(test.secretly("SELECT min(number), count(*) FROM sqlite_dust_key_age"), "[[11,12]]");
  strictEqual(test.secretly("SELECT count(*) FROM sqlite_dust_key"), "[[12]]");
});

Deno.test("a table that is full refuses, by count and by bytes, until the oldest key has expired", () => {
  const changes = [
    [
      `UPDATE sqlite_dust_key_age SET number = number - ${KEYS_COUNT_MAX - 3} WHERE number = 1`,
      "SELECT 'with the third it is full'",
    ],
    [
      `UPDATE sqlite_dust_key_age SET total_bytes = ${KEYS_BYTES_MAX - 1} WHERE number = 2`,
      `UPDATE sqlite_dust_key_age SET total_bytes = ${KEYS_BYTES_MAX} WHERE number = 2`,
    ],
  ] as const;
  for (const [below, full] of changes) {
    using test = new Setup();
    test.run(INSERT, keyed("a"));
    test.run(INSERT, keyed("b"));
    test.secretly(below);
    test.reopen();
    match(test.run(INSERT, keyed("c")), /^\[/);
    test.secretly(full);
    const before = test.count();
    match(
      test.run(INSERT, keyed("d")),
      /^!Cannot take another Idempotency-Key: \d+ are remembered/,
    );
    match(test.run(INSERT, keyed("c")), /^=/);
    match(test.run(INSERT), /^\[/);
    strictEqual(test.count(), before.replace("3", "4"));
    test.secretly("UPDATE sqlite_dust_key_age SET clock_ms = clock_ms - 1e9 WHERE number < 2");
    match(test.run(INSERT, keyed("d")), /^\[/);
  }
});

Deno.test("what was counted in a batch that is rolled back does not count", () => {
  using test = new Setup();
  test.run(["CREATE TABLE rb(x UNIQUE ON CONFLICT ROLLBACK)", "INSERT INTO rb VALUES(1)"]);
  const next = test.writer.nextIndex;
  test.writer.apply([
    entry(next, INSERT, keyed("a")),
    entry(next + 1, ["INSERT INTO rb VALUES(1)"], keyed("b")),
    entry(next + 2, INSERT, keyed("c")),
  ]);
  strictEqual(
    test.secretly("SELECT number, key FROM sqlite_dust_key_age"),
    '[[1,"a"],[2,"b"],[3,"c"]]',
  );
});

Deno.test("a write without a name touches no table of names", () => {
  using test = new Setup();
  const counts =
    `SELECT (SELECT count(*) FROM sqlite_dust_key), (SELECT count(*) FROM sqlite_dust_key_age),
    (SELECT count(*) FROM sqlite_dust_session), (SELECT count(*) FROM sqlite_dust_answer)`;
  for (let at = 0; at < 10; at++) test.run(INSERT);
  strictEqual(test.secretly(counts), "[[0,0,0,0]]");
});

Deno.test("what names leave behind does not show in the entries after them (Q6)", () => {
  using test = new Setup();
  test.run(INSERT, keyed("k"));
  const shown = ["SELECT changes(), total_changes(), last_insert_rowid()"];
  match(test.run(shown, { rows: true }), /"values":\[\[0,0,0\]\]/);
  strictEqual(test.run(["CREATE TABLE u(x)"]), '[{"last_insert_id":1,"rows_affected":1}]');
  const { lastWriteIndex } = test.writer.writer.record;
  test.run(INSERT, keyed("k"));
  test.run(["SELECT 1"], { rows: true, ...keyed("read") });
  strictEqual(test.writer.writer.record.lastWriteIndex, lastWriteIndex);
});

Deno.test("tables of names are nobody's: not read, not written, not listed", () => {
  using test = new Setup();
  for (const name of ["key", "key_age", "session", "answer"]) {
    match(
      test.run([`SELECT * FROM sqlite_dust_${name}`], { rows: true }),
      /prohibited|not authorized/,
    );
    match(test.run([`DELETE FROM sqlite_dust_${name}`]), /not authorized/);
  }
  strictEqual(test.writer.rows("SELECT name FROM sqlite_schema"), '[["t"]]');
  strictEqual(
    test.writer.rows("SELECT sql FROM sqlite_schema WHERE type='index'"),
    '[{"columns":["sql"],"types":["text"]}]',
  );
});

Deno.test("a forwarded write is run once; its answer is there until its sender needs it no more (X1)", () => {
  using test = new Setup();
  strictEqual(test.open(3, 7n, 0), '"[]"');
  const index = test.writer.nextIndex;
  const first = test.run(INSERT, session(0));
  test.reopen();
  strictEqual(test.run(INSERT, session(0)), `=${index} ${first}`);
  strictEqual(test.run(INSERT, session(2)), '[{"last_insert_id":2,"rows_affected":1}]');
  strictEqual(test.run(INSERT, session(1)), '[{"last_insert_id":3,"rows_affected":1}]');
  match(test.run(INSERT, session(2)), /^=/);
  test.run(INSERT, session(3, { lowest: 2 }));
  strictEqual(test.secretly("SELECT sequence FROM sqlite_dust_answer"), "[[2],[3]]");
  match(test.run(INSERT, session(1)), /^!Cannot apply forwarded write: its sender has given it up/);
  match(test.run(INSERT, session(2)), /^=/);
  strictEqual(test.count(), "[[4]]");
});

Deno.test("a forwarded write of an unknown session is refused, and of a process that is gone (X1)", () => {
  using test = new Setup();
  match(test.run(INSERT, session(0)), /^!Cannot apply forwarded write: its session is not known/);
  test.open(3, 7n, 0);
  test.run(INSERT, session(0));
  strictEqual(test.open(3, 8n, test.writer.writer.record.appliedIndex), '"[]"');
  match(test.run(INSERT, session(0)), /its session is not known/);
  match(test.run(INSERT, session(1)), /its session is not known/);
  match(test.run(INSERT, session(0, { bootNonce: 8n })), /^\[/);
  strictEqual(test.count(), "[[2]]");
});

Deno.test("the opening of a session may come twice, and late, and does not bring back an earlier one", () => {
  using test = new Setup();
  const seenIndex = test.writer.writer.record.appliedIndex;
  test.open(3, 7n, seenIndex);
  test.run(INSERT, session(0));
  strictEqual(test.open(3, 7n, seenIndex), '"[]"');
  match(test.run(INSERT, session(0)), /^=/);
  test.open(3, 8n, test.writer.writer.record.appliedIndex);
  match(test.open(3, 7n, seenIndex), /its node has a later one.*session_refused/);
  match(test.run(INSERT, session(0)), /its session is not known/);
  strictEqual(test.count(), "[[1]]");
});

Deno.test("sessions and what is outstanding of them are bounded", () => {
  using test = new Setup();
  test.open(3, 7n, 0);
  match(test.run(INSERT, session(SESSION_OUTSTANDING_MAX)), /^!.*too many that are not answered/);
  match(test.run(INSERT, session(SESSION_OUTSTANDING_MAX - 1)), /^\[/);
  match(test.run(INSERT, session(SESSION_OUTSTANDING_MAX, { lowest: 1 })), /^\[/);
  for (let node = 10; node < 10 + SESSIONS_MAX - 1; node++) test.open(node, 1n, 0);
  test.run(INSERT, session(SESSION_OUTSTANDING_MAX + 1, { lowest: 9 }));
  test.open(5000, 1n, 0);
  strictEqual(
    test.secretly("SELECT count(*), min(node_id) FROM sqlite_dust_session"),
    `[[${SESSIONS_MAX},3]]`,
  );
  strictEqual(test.secretly("SELECT count(*) FROM sqlite_dust_session WHERE node_id=10"), "[[0]]");
});
