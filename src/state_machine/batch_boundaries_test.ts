/**
 * Rule A1 as a property: one log of hostile and ordinary entries, applied in batches of 1, 2, 7 and 64,
 * with restarts anywhere, whoever waits for answers, gives one state, one result chain and one set of
 * answers. The log is drawn at random from statements that have made replicas differ once.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { entryChainText } from "../base/entry_chain.ts";
import type { ApplyEntry } from "../node/ports.ts";
import { TemporaryFolder } from "../sqlite/testing.ts";
import {
  applyAll,
  contentOf,
  createTestState,
  entry,
  type EntrySettings,
  openTestWriter,
  type ShortStatement,
} from "./testing.ts";

/** A fixed schema, then chance. */
const SCHEMA: readonly ShortStatement[] = [
  `CREATE TABLE p(id INTEGER PRIMARY KEY, v, u UNIQUE, at DEFAULT CURRENT_TIMESTAMP,
    r DEFAULT (random() % 100))`,
  "CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)",
  "CREATE TABLE k(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID",
  "CREATE TABLE log(a, b, c)",
  "CREATE TABLE rb(x UNIQUE ON CONFLICT ROLLBACK)",
  "CREATE TRIGGER tp AFTER INSERT ON p BEGIN INSERT INTO log VALUES(new.id, random(), datetime()); END",
  `CREATE TRIGGER tr BEFORE INSERT ON c WHEN new.id % 13 = 5
    BEGIN SELECT RAISE(ROLLBACK, 'thirteen and five'); END`,
  "CREATE VIRTUAL TABLE f USING fts5(t)",
  "CREATE INDEX pi ON p(v)",
];

const number = fc.integer({ min: 0, max: 20 });

const statement: fc.Arbitrary<ShortStatement> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(number, number).map(([a, b]): ShortStatement => [
      "INSERT INTO p(v, u) VALUES(?, ?)",
      a,
      b,
    ]),
  },
  {
    weight: 3,
    arbitrary: number.map((a): ShortStatement => ["INSERT INTO c(p) VALUES(?)", a]),
  },
  {
    weight: 2,
    arbitrary: number.map((
      a,
    ): ShortStatement => ["INSERT OR REPLACE INTO k VALUES(?, random())", a]),
  },
  { weight: 2, arbitrary: number.map((a): ShortStatement => ["INSERT INTO rb VALUES(?)", a]) },
  {
    weight: 2,
    arbitrary: number.map((
      a,
    ): ShortStatement => ["INSERT OR ROLLBACK INTO p(id, v) VALUES(?, 1)", a]),
  },
  {
    weight: 2,
    arbitrary: number.map((a): ShortStatement => [
      "INSERT OR FAIL INTO p(id, u) VALUES(900 + ?1, 500 + ?1), (901 + ?1, 3), (902 + ?1, 4)",
      a,
    ]),
  },
  {
    weight: 2,
    arbitrary: number.map((
      a,
    ): ShortStatement => ["INSERT INTO f VALUES('word' || ? || ' other')", a]),
  },
  { weight: 1, arbitrary: number.map((a): ShortStatement => ["DELETE FROM f WHERE rowid=?", a]) },
  { weight: 1, arbitrary: number.map((a): ShortStatement => ["DELETE FROM p WHERE id=?", a]) },
  {
    weight: 1,
    arbitrary: number.map((
      a,
    ): ShortStatement => ["UPDATE p SET v=v+1 WHERE v>? RETURNING id, v", a]),
  },
  {
    weight: 16,
    arbitrary: fc.constantFrom<ShortStatement>(
      "INSERT INTO log VALUES(changes(), last_insert_rowid(), total_changes())",
      "INSERT INTO log SELECT v, random(), 1 FROM p LIMIT 2",
      "INSERT INTO log SELECT id, 2, 2 FROM p WHERE v > 3 AND u < 30 LIMIT 1",
      "INSERT INTO log VALUES(julianday(), strftime('%s', 'n' || 'ow'), hex(randomblob(3)))",
      "SELECT * FROM p ORDER BY random() LIMIT 2",
      "BEGIN",
      "COMMIT",
      "ROLLBACK",
      "SAVEPOINT s",
      "RELEASE s",
      "ROLLBACK TO s",
      "BEGIN; INSERT INTO log VALUES('in', 'one', 'string'); COMMIT; SELECT 1",
      "INSERT INTO log VALUES(1, 2, 3); INSERT INTO nowhere VALUES(1); DELETE FROM log",
      "SELECT * FROM log",
      "SELECT * FROM sqlite_master",
      "ALTER TABLE log ADD COLUMN d DEFAULT 5",
      "ALTER TABLE log DROP COLUMN d",
      "CREATE TABLE IF NOT EXISTS late(a)",
      "DROP TABLE late",
      "ALTER TABLE log RENAME TO log2",
      "ALTER TABLE log2 RENAME TO log",
      "CREATE INDEX pj ON p(u, v)",
      "DROP INDEX pj",
      "CREATE INDEX bad ON nowhere(x)",
      "ANALYZE",
      "REINDEX",
      "DELETE FROM k",
      "DELETE FROM log",
      "nonsense",
      "PRAGMA foreign_keys=ON",
      "PRAGMA foreign_keys=OFF",
      "PRAGMA defer_foreign_keys=ON",
      "PRAGMA user_version=7",
      "",
      "-- nothing",
    ),
  },
);

const settings: fc.Arbitrary<EntrySettings> = fc.record({
  transaction: fc.boolean(),
  rows: fc.boolean(),
});

const drawnEntry = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.array(statement, { minLength: 1, maxLength: 5 }), settings) },
  {
    weight: 1,
    arbitrary: fc.constant<[ShortStatement[], EntrySettings]>([["VACUUM"], {}]),
  },
);

interface Run {
  readonly content: string;
  readonly resultChain: string;
  readonly answers: readonly unknown[];
}

/** Applies a log in batches of one size, reopening the file behind some of them. */
function apply(
  entries: readonly ApplyEntry[],
  options: { readonly batch: number; readonly restartEvery: number; readonly isWaited: boolean },
): Run {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  createTestState(path, { foreignKeys: true });
  let writer = openTestWriter(path);
  const answers: unknown[] = [];
  for (let at = 0, count = 1; at < entries.length; at += options.batch, count++) {
    const batch = entries.slice(at, at + options.batch).map((item) =>
      options.isWaited ? item : { ...item, format: undefined }
    );
    const outcome = applyAll(writer, batch);
    strictEqual(outcome.answers.length, batch.length);
    answers.push(...outcome.answers);
    if (count % options.restartEvery !== 0) continue;
    writer[Symbol.dispose]();
    writer = openTestWriter(path);
  }
  const resultChain = entryChainText(writer.record.resultChain);
  writer[Symbol.dispose]();
  return { content: contentOf(path), resultChain, answers };
}

Deno.test("Writer.apply() gives one state whatever the batches and restarts", () => {
  fc.assert(
    fc.property(fc.array(drawnEntry, { minLength: 5, maxLength: 60 }), (drawn) => {
      const entries = [
        ...SCHEMA.map((sql): [ShortStatement[], EntrySettings] => [[sql], {}]),
        ...drawn,
      ].map(([statements, options], at) => entry(at + 2, statements, options));
      const whole = apply(entries, { batch: 64, restartEvery: 1000, isWaited: true });
      for (const [batch, restartEvery] of [[1, 3], [2, 1000], [7, 2]] as const) {
        deepStrictEqual(apply(entries, { batch, restartEvery, isWaited: true }), whole);
      }
      const unseen = apply(entries, { batch: 5, restartEvery: 4, isWaited: false });
      strictEqual(unseen.content, whole.content);
      strictEqual(unseen.resultChain, whole.resultChain);
    }),
    { numRuns: Number(Deno.env.get("DUST_PROPERTY_RUNS") ?? 40) },
  );
});
