/**
 * One of two processes that must compute the same: `twin.ts BATCH_SIZE`. It applies a fixed log, in
 * batches of so many entries, to a fresh state and prints what came of it, as one line of JSON. Time
 * zone and processor are those of the process.
 */
import { entryChainText } from "../../src/base/entry_chain.ts";
import { Real } from "../../src/command/value.ts";
import type { ApplyEntry } from "../../src/node/ports.ts";
import { TemporaryFolder } from "../../src/sqlite/testing.ts";
import {
  contentOf,
  entry,
  type ShortStatement,
  TestWriter,
} from "../../src/state_machine/testing.ts";

/** What a twin prints. */
export interface TwinReport {
  /** All rows of all tables. */
  readonly content: string;
  /** Over the results of all entries. */
  readonly resultChain: string;
  /** The zone in which the process was started, as proof that it was another. */
  readonly zone: string;
}

const SCHEMA: readonly ShortStatement[] = [
  "CREATE TABLE t(id INTEGER PRIMARY KEY, at TEXT DEFAULT CURRENT_TIMESTAMP, r INT DEFAULT (random()))",
  "CREATE TABLE log(at TEXT, local TEXT, blob BLOB DEFAULT (randomblob(8)))",
  `CREATE TRIGGER note AFTER INSERT ON t BEGIN
    INSERT INTO log(at, local) VALUES(datetime('now','subsec','localtime'), strftime('%s','now','utc'));
  END`,
  "CREATE VIEW recent AS SELECT id, julianday('now') AS age, random() AS r FROM t",
  "CREATE TABLE math(name TEXT, y REAL)",
  "CREATE VIRTUAL TABLE words USING fts5(body)",
  "CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1)",
  "CREATE TABLE bare(a, b)",
];

const MATHEMATICS =
  "acos acosh asin asinh atan atanh cos cosh exp ln log10 log2 sin sinh sqrt tan tanh";

function statements(round: number): readonly ShortStatement[] {
  return [
    "INSERT INTO t DEFAULT VALUES",
    "INSERT INTO t(at) SELECT datetime('now', 'localtime') UNION ALL SELECT current_time",
    ["INSERT INTO words VALUES(?)", `the quick brown fox ${round} jumps`],
    ["INSERT INTO boxes VALUES(?, ?, ?)", round, new Real(round / 3), new Real(round / 3 + 1.1)],
    "INSERT INTO bare SELECT r, age FROM recent ORDER BY random() LIMIT 3",
    "INSERT INTO bare VALUES(sum_of(1), 2)",
    [
      "INSERT INTO math SELECT 'pow', pow(?, 1.7) UNION ALL SELECT 'ninf', -9e999 * ?",
      new Real(round / 7),
      1,
    ],
    ...MATHEMATICS.split(" ").map((name): ShortStatement => [
      `INSERT INTO math VALUES('${name}', ${name}(?))`,
      new Real((round % 97) / 98 + (name === "acosh" ? 1 : 0.001)),
    ]),
    "UPDATE bare SET b = changes() + last_insert_rowid() WHERE rowid % 3 = 0",
    "DELETE FROM bare WHERE rowid IN (SELECT rowid FROM bare ORDER BY random() LIMIT 1)",
  ];
}

/** The fixed log. */
function makeLog(): readonly ApplyEntry[] {
  const log = [entry(2, SCHEMA)];
  for (let round = 0; round < 150; round++) {
    log.push(entry(3 + round, statements(round), { transaction: round % 5 === 0, rows: true }));
  }
  return log;
}

function run(batchSize: number): TwinReport {
  const zone = new Date(0).toString();
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  Deno.env.set("TZ", "UTC");
  const writer = new TestWriter(path);
  const log = makeLog();
  for (let at = 0; at < log.length; at += batchSize) writer.apply(log.slice(at, at + batchSize));
  const resultChain = entryChainText(writer.writer.record.resultChain);
  writer[Symbol.dispose]();
  return { content: contentOf(path), resultChain, zone };
}

if (import.meta.main) {
  const report = JSON.stringify(run(Number(Deno.args[0])));
  Deno.stdout.writeSync(new TextEncoder().encode(report));
}
