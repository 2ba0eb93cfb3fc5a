/**
 * What the frozen world costs: `deno run -A src/state_machine/frozen_world_bench.ts [SECONDS]`.
 * Inserts per second of one-insert entries in batches of 64: plain, with time and chance in defaults,
 * and with the same two from SQLite itself; statements compiled per second with and without the
 * authorizer; entries and results chained per second (rule S3). Each figure is the best of three runs.
 */
import { nextEntryChain, startEntryChain } from "../base/entry_chain.ts";
import { Connection } from "../sqlite/connection.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import type { ApplyEntry } from "../node/ports.ts";
import { ResultDigest } from "./result_digest.ts";
import { SqlSession } from "./sql_session.ts";
import { CLUSTER_ID, entry, type ShortStatement, TestWriter } from "./testing.ts";

const BATCH_COUNT = 64;
const RUNS = 3;
const MEMORY_FOLDER = "/dev/shm";

const seconds = Number(Deno.args[0] ?? 2);

function print(name: string, perSecond: number): void {
  const text = Math.round(perSecond).toLocaleString("en-US").padStart(12);
  Deno.stdout.writeSync(new TextEncoder().encode(`${name.padEnd(62)}${text}/s\n`));
}

/** Runs `work`, which says how much it did, again and again. @returns the best rate of three runs. */
function best(work: () => number): number {
  let rate = 0;
  for (let run = 0; run < RUNS; run++) {
    const beginMs = performance.now();
    let count = 0;
    while (performance.now() - beginMs < seconds * 1000 / RUNS) count += work();
    rate = Math.max(rate, count * 1000 / (performance.now() - beginMs));
  }
  return rate;
}

/** Entries applied per second by the production's writer. */
function applied(schema: string, statement: ShortStatement): number {
  const path = Deno.makeTempDirSync({ dir: MEMORY_FOLDER, prefix: "dust-bench-" });
  try {
    using writer = new TestWriter(`${path}/db.sqlite`);
    writer.run([schema]);
    return best(() => {
      const from = writer.nextIndex;
      const batch: ApplyEntry[] = [];
      for (let at = 0; at < BATCH_COUNT; at++) batch.push(entry(from + at, [statement]));
      writer.apply(batch);
      return BATCH_COUNT;
    });
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

/** The same two values from SQLite's own clock and chance, on a bare connection. */
function bare(schema: string, sql: string): number {
  using folder = new TemporaryFolder();
  using connection = Connection.open(testLibrary(), { path: folder.file("db"), mode: "create" });
  connection.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; ${schema}`);
  using insert = connection.prepare(sql);
  return best(() => {
    connection.exec("BEGIN");
    for (let at = 0; at < BATCH_COUNT; at++) insert.run();
    connection.exec("COMMIT");
    return BATCH_COUNT;
  });
}

function compiled(options: { readonly isAsked: boolean }): number {
  using connection = Connection.open(testLibrary(), { path: ":memory:", mode: "create" });
  connection.exec("CREATE TABLE t(a, b)");
  const session = options.isAsked ? new SqlSession(connection, { isWriter: true }) : undefined;
  let number = 0;
  return best(() => {
    const sql = `INSERT INTO t SELECT abs(${number++}), upper('x')`;
    if (session === undefined) connection.prepare(sql).finalize();
    else session.cache.prepare(sql).statement?.reset();
    return 1;
  });
}

function chained(): number {
  let chain = startEntryChain(CLUSTER_ID);
  const { payload } = entry(2, [[
    "INSERT INTO t VALUES(?, ?)",
    1,
    "forty bytes of text for each of the rows",
  ]]);
  let index = 2;
  return best(() => {
    for (let at = 0; at < BATCH_COUNT; at++) {
      chain = nextEntryChain(chain, { index: index++, term: 1, payload });
    }
    return BATCH_COUNT;
  });
}

function chainedResults(): number {
  const digest = new ResultDigest();
  let chain = startEntryChain(CLUSTER_ID);
  let index = 2;
  return best(() => {
    for (let at = 0; at < BATCH_COUNT; at++) {
      digest.open(chain, index);
      digest.counters(index++, 1);
      chain = digest.close();
    }
    return BATCH_COUNT;
  });
}

if (import.meta.main) {
  const plain = "CREATE TABLE t(a, b)";
  const frozen = "CREATE TABLE t(a, at DEFAULT CURRENT_TIMESTAMP, r DEFAULT (random()))";
  print("writer: entries, plain insert", applied(plain, ["INSERT INTO t VALUES(?, 2)", 1]));
  print(
    "writer: entries, time and chance in defaults",
    applied(frozen, ["INSERT INTO t(a) VALUES(?)", 1]),
  );
  print("bare connection: plain insert", bare(plain, "INSERT INTO t VALUES(1, 2)"));
  print(
    "bare connection: time and chance of SQLite's own",
    bare(frozen, "INSERT INTO t(a) VALUES(1)"),
  );
  print("statements compiled, authorizer asked (and kept)", compiled({ isAsked: true }));
  print("statements compiled, nobody asked", compiled({ isAsked: false }));
  print("entry chain: entries of 100 bytes", chained());
  print("result chain: results of one insert", chainedResults());
}
