/**
 * The digest of a state: one for replicas that came to it in unlike manners, another one for every single
 * change that SQL can see, and for none that it cannot.
 */
import { match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Connection } from "../sqlite/connection.ts";
import { hasRowDigest } from "../sqlite/row_digest.ts";
import { setSwitches } from "../sqlite/settings.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import { checkpoint } from "../sqlite/wal.ts";
import { digestState } from "./state_digest.ts";
import { copyState } from "./state_file.ts";
import { entry, TestWriter } from "./testing.ts";

const ignore = !hasRowDigest(testLibrary());

function digestOf(path: string, sliceBytes = 1 << 20): string {
  using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  setSwitches(connection, { noCheckpointOnClose: true });
  connection.exec("BEGIN");
  const slices = digestState(connection, { sliceBytes });
  for (;;) {
    const slice = slices.next();
    if (slice.done === true) return slice.value;
  }
}

/** What every test begins with: each kind of table and value there is. */
const SCHEMA = [
  "CREATE TABLE t(a, b, c)",
  "INSERT INTO t VALUES(1, 1.5, 'text'), (NULL, '', x''), ('1', 1.0, x'0102030405060708090a'), (2, 3, 4)",
  "CREATE TABLE keyed(a TEXT, b, c, PRIMARY KEY(b, a)) WITHOUT ROWID",
  "INSERT INTO keyed VALUES('x', 1, 2), ('y', 1, 2), ('x', 2, 2)",
  "CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT, a)",
  "INSERT INTO counted(a) VALUES(1), (2)",
  "CREATE TABLE named(rowid, _rowid_ TEXT, a AS (a1 + 1), a1, s AS (a1 * 2) STORED)",
  "INSERT INTO named(rowid, _rowid_, a1) VALUES(7, 'q', 1), (6, 'r', 2)",
  "CREATE INDEX by_a ON t(a)",
  "CREATE INDEX by_all ON t(c, b, a)",
  "CREATE VIEW v AS SELECT 1 AS one",
  "CREATE TRIGGER g AFTER DELETE ON t BEGIN SELECT 1; END",
  "CREATE VIRTUAL TABLE f USING fts5(x)",
  "INSERT INTO f VALUES('some words'), ('more words')",
  "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)",
  "INSERT INTO r VALUES(1, 0, 1)",
];

/** Statements of which each alone makes another state. */
const CHANGES = [
  "UPDATE t SET a = 2 WHERE rowid = 1",
  "UPDATE t SET a = 1.0 WHERE rowid = 1",
  "UPDATE t SET a = '1' WHERE rowid = 1",
  "UPDATE t SET a = x'31' WHERE rowid = 3",
  "UPDATE t SET a = '' WHERE rowid = 2",
  "UPDATE t SET b = NULL WHERE rowid = 2",
  "UPDATE t SET b = x'' WHERE rowid = 2",
  "UPDATE t SET b = -0.0, c = -c WHERE rowid = 4",
  "UPDATE t SET c = x'0102030405060708090b' WHERE rowid = 3",
  "UPDATE t SET c = x'0102030405060708090a00' WHERE rowid = 3",
  "UPDATE t SET c = x'010203040506070809' WHERE rowid = 3",
  "UPDATE t SET c = 'text' || char(0) WHERE rowid = 1",
  "UPDATE t SET a = b, b = a WHERE rowid = 4",
  "UPDATE t SET b = c, c = b WHERE rowid = 4",
  "UPDATE t SET rowid = 9 WHERE rowid = 4",
  "UPDATE t SET a = 9223372036854775807 WHERE rowid = 1",
  "INSERT INTO t VALUES(NULL, NULL, NULL)",
  "DELETE FROM t WHERE rowid = 4",
  "UPDATE keyed SET c = 3 WHERE a = 'y'",
  "UPDATE keyed SET a = 'z' WHERE a = 'y'",
  "DELETE FROM keyed WHERE b = 2",
  "UPDATE counted SET a = 3 WHERE id = 2",
  "UPDATE sqlite_sequence SET seq = 7",
  "UPDATE named SET a1 = 5 WHERE rowid = 7",
  "UPDATE named SET oid = 12 WHERE oid = 2",
  "UPDATE f SET x = 'same words' WHERE rowid = 1",
  "INSERT INTO f(f, rank) VALUES('pgsz', 500)",
  "UPDATE r SET x1 = 2",
  "CREATE TABLE empty(a)",
  "CREATE INDEX by_b ON t(b)",
  "DROP INDEX by_a",
  "DROP VIEW v",
  "DROP TRIGGER g",
  "ALTER TABLE t RENAME COLUMN a TO d",
  "ALTER TABLE t ADD COLUMN d",
  "ANALYZE",
];

Deno.test({
  name: "digestState() differs for every single change of what SQL can see",
  ignore,
  fn(): void {
    using folder = new TemporaryFolder();
    const seen = new Map<string, string>();
    const base = folder.file("base");
    makeBase(base);
    seen.set(digestOf(base), "nothing");
    for (const [number, change] of CHANGES.entries()) {
      const path = folder.file(`changed-${number}`);
      copyState(testLibrary(), { from: base, to: path, isDurable: false });
      editPlainly(path, change);
      const digest = digestOf(path);
      match(digest, /^[0-9a-f]{32}$/);
      strictEqual(seen.get(digest), undefined, `"${change}" looks like another one`);
      seen.set(digest, change);
    }
  },
});

/** Edits that no statement of a client could make. */
const EDITS = [
  "UPDATE f_data SET block = block || x'00' WHERE id = (SELECT max(id) FROM f_data)",
  "UPDATE f_docsize SET id = 77 WHERE id = 2",
  "UPDATE r_node SET data = zeroblob(length(data))",
  "UPDATE sqlite_dust_state SET applied_index = applied_index + 1",
  "UPDATE sqlite_dust_state SET last_insert_id = 99",
  "UPDATE sqlite_dust_state SET entry_chain = '0000000000000001'",
  "UPDATE sqlite_dust_state SET configuration = x'010204'",
  "UPDATE sqlite_schema SET sql = replace(sql, 'a, b, c)', 'a,b, c)') WHERE name = 't'",
];

Deno.test({
  name: "digestState() differs for shadow tables, for our own ones and for the schema's text",
  ignore,
  fn(): void {
    using folder = new TemporaryFolder();
    const base = folder.file("base");
    makeBase(base);
    const seen = new Set([digestOf(base)]);
    for (const [number, edit] of EDITS.entries()) {
      const path = folder.file(`edited-${number}`);
      copyState(testLibrary(), { from: base, to: path, isDurable: false });
      editPlainly(path, edit);
      const digest = digestOf(path);
      ok(!seen.has(digest), edit);
      seen.add(digest);
    }
  },
});

Deno.test({
  name: "digestState() leaves the result chain, root pages and what is computed when read alone",
  ignore,
  fn(): void {
    using folder = new TemporaryFolder();
    const base = folder.file("base");
    makeBase(base);
    const digest = digestOf(base);
    for (
      const edit of [
        "UPDATE sqlite_dust_state SET result_chain = '0000000000000001'",
        "VACUUM",
        "REINDEX",
        "CREATE TABLE x(a); INSERT INTO x VALUES(zeroblob(99999)); DROP TABLE x",
      ]
    ) {
      editPlainly(base, edit);
      strictEqual(digestOf(base), digest, edit);
    }
    strictEqual(digestOf(base, 1), digest, "in slices of one row");
  },
});

Deno.test({
  name:
    "digestState() is one for replicas that came to a state by other batches, copies and checkpoints",
  ignore,
  fn(): void {
    using folder = new TemporaryFolder();
    const statements = [...SCHEMA, ...CHANGES, "VACUUM", "INSERT INTO f VALUES('last')"];
    const digests = new Set<string>();
    for (const [number, batchSize] of [1, 3, 1000].entries()) {
      let path = folder.file(`replica-${number}`);
      let replica = new TestWriter(path);
      for (let from = 0; from < statements.length; from += batchSize) {
        const batch = statements.slice(from, from + batchSize);
        const first = replica.nextIndex;
        replica.apply(batch.map((sql, at) => entry(first + at, [sql])));
        if (batchSize === 3) checkpoint(replica.writer.connection, "truncate");
        if (batchSize === 3 && from % 9 === 0) {
          const to = folder.file(`replica-${number}-${from}`);
          replica[Symbol.dispose]();
          copyState(testLibrary(), { from: path, to, isDurable: false });
          path = to;
          replica = TestWriter.reopen(path);
        }
      }
      digests.add(digestOf(path));
      replica[Symbol.dispose]();
    }
    strictEqual(digests.size, 1);
  },
});

Deno.test({
  name: "digestState() reads as many columns as a table can have, its rowid too",
  ignore,
  fn(): void {
    using folder = new TemporaryFolder();
    const path = folder.file("wide");
    const columns = Array.from({ length: 2000 }, (_, at) => `c${at}`);
    using replica = new TestWriter(path);
    replica.run([`CREATE TABLE wide(${columns.join(", ")})`, "INSERT INTO wide(c1999) VALUES(1)"]);
    const before = digestOf(path);
    editPlainly(path, "UPDATE wide SET c1999 = 2");
    const changed = digestOf(path);
    notStrictEqual(changed, before);
    editPlainly(path, "UPDATE wide SET rowid = 2, c1999 = 1");
    ok(![before, changed].includes(digestOf(path)));
  },
});

function makeBase(path: string): void {
  using replica = new TestWriter(path);
  for (const sql of SCHEMA) ok(!replica.run([sql]).includes("error"), sql);
}

/** Changes a state as no entry does: without the authorizer, and with nothing recorded. */
function editPlainly(path: string, sql: string): void {
  using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  setSwitches(connection, { writableSchema: true, defensive: false });
  connection.exec(sql);
  ok(!sql.startsWith("UPDATE") || connection.totalChanges > 0, sql);
}
