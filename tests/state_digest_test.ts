/**
 * The digest in C against its slow twin (diverge/content_hash.ts): of any two small databases both say that
 * they are equal, or both that they are not. Few tables and few values, so that many pairs are equal.
 */
import { ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { Connection } from "../src/sqlite/connection.ts";
import { hasRowDigest } from "../src/sqlite/row_digest.ts";
import { TemporaryFolder, testLibrary } from "../src/sqlite/testing.ts";
import { digestState } from "../src/state_machine/state_digest.ts";
import { contentHashes } from "./diverge/content_hash.ts";

const RUNS = 40;
const SCHEMAS = [
  "CREATE TABLE t(a, b)",
  "CREATE TABLE t(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID",
  "CREATE TABLE t(a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t(b)",
  "CREATE TABLE t(a, b, rowid AS (1) STORED)",
];
const VALUES = ["NULL", "''", "x''", "0", "1", "1.0", "'1'", "x'31'", "0.5", "x'3100'", "'10'"];

const anyValue = fc.constantFrom(...VALUES);
const anyDatabase = fc.record({
  schema: fc.constantFrom(...SCHEMAS),
  rows: fc.array(fc.tuple(anyValue, anyValue), { maxLength: 3 }),
});
/** Every other pair is one database in two ways, to be found equal where nothing came of the difference. */
const anyPair = fc.tuple(anyDatabase, fc.boolean(), anyDatabase, fc.nat(3)).map(
  ([first, isSame, other, detour]) => ({ first, second: isSame ? first : other, detour }),
);

function make(
  path: string,
  database: { readonly schema: string; readonly rows: readonly (readonly [string, string])[] },
  detour: number,
): void {
  using connection = Connection.open(testLibrary(), { path, mode: "create" });
  connection.exec("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF");
  if (detour === 1) connection.exec("PRAGMA page_size=1024");
  connection.exec(database.schema);
  if (detour === 2) connection.exec("CREATE TABLE gone(x); DROP TABLE gone");
  for (const row of database.rows) {
    connection.exec(`INSERT OR IGNORE INTO t(a, b) ${valuesOf(row)}`);
  }
  if (detour === 3) connection.exec("REINDEX; VACUUM");
}

/** A key of WITHOUT ROWID must not be NULL, nor a rowid anything but an integer: such rows stay out. */
function valuesOf([a, b]: readonly [string, string]): string {
  return `SELECT ${a}, ${b} WHERE (SELECT pk FROM pragma_table_info('t') WHERE name = 'a') = 0
    OR typeof(${a}) = 'integer' AND ${b} IS NOT NULL`;
}

function digestOf(path: string): string {
  using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  connection.exec("BEGIN");
  const slices = digestState(connection, { sliceBytes: 16 });
  let slice = slices.next();
  while (slice.done !== true) slice = slices.next();
  return slice.value;
}

Deno.test({
  name: "digestState() and its slow twin find the same databases equal",
  ignore: !hasRowDigest(testLibrary()),
  fn(): void {
    using folder = new TemporaryFolder();
    let number = 0;
    let equal = 0;
    fc.assert(
      fc.property(anyPair, ({ first, second, detour }) => {
        const paths = [folder.file(`${++number}-a`), folder.file(`${number}-b`)] as const;
        make(paths[0], first, 0);
        make(paths[1], second, detour);
        const [a, b] = paths.map((path) => JSON.stringify(contentHashes(path)));
        equal += a === b ? 1 : 0;
        strictEqual(digestOf(paths[0]) === digestOf(paths[1]), a === b);
      }),
      { numRuns: RUNS },
    );
    ok(equal > RUNS / 5 && equal < RUNS, `${equal} pairs of ${RUNS} were equal`);
  },
});
