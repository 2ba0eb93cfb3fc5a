/**
 * What the threads carry: `deno run -A src/state_machine/state_machine_bench.ts [SECONDS]`.
 * Applies per second of one-insert entries in batches of 64, point reads per second with 64 clients,
 * rows per second of range reads (int, 40-byte text, int), and the memory that a thread costs.
 */
import type { ApplyEntry } from "../node/ports.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { TemporaryFolder } from "../sqlite/testing.ts";
import type { QueryRequest } from "../command/request.ts";
import { StateMachine } from "./state_machine.ts";
import { createTestState, entry, testLiveState } from "./testing.ts";

const BATCH_COUNT = 64;
const CLIENT_COUNT = 64;
const ROW_COUNT = 100_000;
const RANGE_ROWS = 1000;

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

function rssMiB(): string {
  return (Deno.memoryUsage().rss / 1024 / 1024).toFixed(1);
}

let nextQueryId = 1;

function query(sql: string, ...values: readonly unknown[]): QueryRequest {
  return {
    id: nextQueryId++,
    body: { kind: "json", text: JSON.stringify([[sql, ...values]]) },
    transaction: false,
    format: 0,
    timeoutMs: 0,
    level: "none",
    freshnessMs: 0,
    freshnessStrict: false,
    linearizableTimeoutMs: 0,
  };
}

async function readAll(results: string | ReadableStream<Uint8Array>): Promise<number> {
  if (typeof results === "string") return results.length;
  let size = 0;
  for await (const piece of results) size += piece.length;
  return size;
}

async function ask(machine: StateMachine, request: QueryRequest): Promise<number> {
  const outcome = await machine.query(request, { unified: false });
  if (outcome.kind !== "answer") throw new TypeError("a query turned into a write");
  return await readAll(outcome.results);
}

/** Keeps two batches under way, as the node does. */
async function applies(machine: StateMachine, seconds: number): Promise<void> {
  let index: number = machine.applied.index;
  const text = "forty bytes of text for each of the rows";
  const batch = (): ApplyEntry[] =>
    Array.from({ length: BATCH_COUNT }, () => {
      index += 1;
      return entry(index, [["INSERT INTO t(a, b, c) VALUES(?, ?, ?)", index % 1000, text, index]]);
    });
  const started = performance.now();
  const first = index;
  while (index < ROW_COUNT || performance.now() - started < seconds * 1000) {
    await Promise.all([machine.apply(batch()), machine.apply(batch())]);
  }
  const rate = (index - first) / (performance.now() - started) * 1000;
  print(
    `applies       ${rate.toFixed(0)}/s (encoding of the commands included), RSS ${rssMiB()} MiB`,
  );
}

async function pointReads(machine: StateMachine, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000;
  let count = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      await ask(machine, query("SELECT * FROM t WHERE id=?", 1 + count % ROW_COUNT));
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: CLIENT_COUNT }, client));
  print(`point reads   ${(count / seconds).toFixed(0)}/s, RSS ${rssMiB()} MiB`);
}

async function rangeReads(machine: StateMachine, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000;
  let count = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      const from = count % (ROW_COUNT - RANGE_ROWS);
      await ask(
        machine,
        query("SELECT id, b, c FROM t WHERE id>? ORDER BY id LIMIT ?", from, RANGE_ROWS),
      );
      count += RANGE_ROWS;
    }
  };
  await Promise.all(Array.from({ length: 4 }, client));
  print(`range reads   ${(count / seconds).toFixed(0)} rows/s, RSS ${rssMiB()} MiB`);
}

async function stream(machine: StateMachine): Promise<void> {
  const started = performance.now();
  const size = await ask(
    machine,
    query("SELECT l.id, l.b, l.c FROM t l, (SELECT 1 FROM t LIMIT 20)"),
  );
  const seconds = (performance.now() - started) / 1000;
  const rows = 20 * machine.applied.index;
  print(
    `stream        ${(rows / seconds).toFixed(0)} rows/s, ${
      (size / seconds / 1e6).toFixed(0)
    } MB/s, RSS ${rssMiB()} MiB`,
  );
}

async function main(seconds: number): Promise<void> {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  createTestState(path);
  print(`before        RSS ${rssMiB()} MiB`);
  const machine = await StateMachine.start({
    live: testLiveState({ path, dataDirectory: folder.path }),
    readers: 2,
    clock: new DenoClock(),
    onFatal: (error) => {
      throw error;
    },
  });
  print(`writer        RSS ${rssMiB()} MiB`);
  await machine.apply([
    entry(2, ["CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c INTEGER)"]),
  ]);
  await ask(machine, query("SELECT 1"));
  print(`one reader    RSS ${rssMiB()} MiB`);
  await applies(machine, seconds);
  await pointReads(machine, seconds);
  await rangeReads(machine, seconds);
  await stream(machine);
  await machine.close();
}

if (import.meta.main) await main(Number(Deno.args[0] ?? 3));
