/**
 * What a comparison costs: `deno run -A src/state_machine/state_digest_bench.ts [MB]`.
 * MB/s of the digest alone, for rows of some sizes, and then beside writes in batches of 64: how long it takes,
 * and applies per second before and during.
 */
import { type LogIndex, logIndex, term } from "../base/ids.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import type { ApplyEntry } from "../node/ports.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { Connection } from "../sqlite/connection.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import { digestState } from "./state_digest.ts";
import { StateMachine } from "./state_machine.ts";
import { createTestState, entry, testLiveState } from "./testing.ts";

const BATCH_COUNT = 64;
const SLICE_BYTES = 4 * 1024 * 1024;
const ROW_SIZES = [20, 100, 400, 4000, 100_000];
const MEASURE_MS = 2_000;
const MB = 1_000_000;

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** Rows of a key, two numbers and text that make up `sizeBytes` together. */
function fillTable(
  path: string,
  options: { readonly sizeBytes: number; readonly rowBytes: number },
): void {
  using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  const { sizeBytes, rowBytes } = options;
  connection.exec(`PRAGMA synchronous=OFF; DROP TABLE IF EXISTS t;
    CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL);
    INSERT INTO t(a, b, c)
      WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n LIMIT ${
    Math.ceil(sizeBytes / rowBytes)
  })
      SELECT x, printf('%.*c', ${rowBytes}, 'x'), x + 0.5 FROM n`);
}

function digestAlone(path: string, label: string): void {
  using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  connection.exec("BEGIN");
  const started = performance.now();
  const slices = digestState(connection, { sliceBytes: SLICE_BYTES });
  while (slices.next().done !== true);
  const seconds = (performance.now() - started) / 1000;
  const size = Deno.statSync(path).size / MB;
  print(
    `${label}  ${size.toFixed(0)} MB in ${seconds.toFixed(2)} s, ${
      (size / seconds).toFixed(0)
    } MB/s`,
  );
}

async function startMachine(path: string, folder: string): Promise<StateMachine> {
  return await StateMachine.start({
    live: testLiveState({ path, dataDirectory: folder }),
    readers: 1,
    clock: new DenoClock(),
    onFatal: (error) => {
      throw error;
    },
  });
}

/** Writes to a machine, and what they come to. */
class Writes {
  readonly #machine: StateMachine;
  readonly #clock = new DenoClock();
  #index: number;

  constructor(machine: StateMachine) {
    this.#machine = machine;
    this.#index = machine.applied.index;
  }

  /** Applies an entry that asks for a digest. @returns its index. */
  async compare(): Promise<LogIndex> {
    const index = logIndex(++this.#index);
    const payload = encodeCommand({ kind: "compare" });
    const plain = { kind: "normal", format: undefined, configuration: undefined } as const;
    await this.#machine.apply([{ index, term: term(1), payload, ...plain }]);
    return index;
  }

  /** Keeps two batches under way, as the node does, until `isOver`. */
  async rate(isOver: () => boolean): Promise<string> {
    const started = performance.now();
    const first = this.#index;
    let longestMs = 0;
    while (!isOver()) {
      const beganMs = performance.now();
      await Promise.all([
        this.#machine.apply(this.#batch()),
        this.#machine.apply(this.#batch()),
      ]);
      longestMs = Math.max(longestMs, performance.now() - beganMs);
      await this.#clock.sleep(0);
    }
    const perSecond = (this.#index - first) / (performance.now() - started) * 1000;
    return `${perSecond.toFixed(0)}/s, longest turn ${longestMs.toFixed(0)} ms`;
  }

  #batch(): ApplyEntry[] {
    return Array.from({ length: BATCH_COUNT }, () => {
      const sql = "INSERT INTO t(a, b, c) VALUES(?, 'forty bytes of text', 1)";
      return entry(++this.#index, [[sql, this.#index]]);
    });
  }
}

function until(durationMs: number): () => boolean {
  const end = performance.now() + durationMs;
  return () => performance.now() > end;
}

async function beside(path: string, folder: string): Promise<void> {
  const machine = await startMachine(path, folder);
  const writes = new Writes(machine);
  print(`applies alone            ${await writes.rate(until(MEASURE_MS))}`);
  for (const round of [1, 2]) {
    const index = await writes.compare();
    const started = performance.now();
    let result: string | undefined;
    const digest = machine.comparison?.(index).then((found) => {
      const ms = (performance.now() - started).toFixed(0);
      result = found === undefined ? `given up after ${ms} ms` : `done after ${ms} ms`;
    });
    const during = await writes.rate(() => result !== undefined);
    await digest;
    const { walBytes } = await machine.stats();
    const wal = (walBytes / MB).toFixed(0);
    print(`applies beside digest ${round}  ${during}; ${result}, -wal ${wal} MB`);
  }
  print(`applies behind           ${await writes.rate(until(MEASURE_MS))}`);
  await machine.close();
}

async function main(sizeMb: number): Promise<void> {
  using folder = new TemporaryFolder();
  const path = folder.file("db.sqlite");
  for (const rowBytes of ROW_SIZES) {
    createTestState(path);
    fillTable(path, { sizeBytes: sizeMb * MB / 5, rowBytes });
    digestAlone(path, `rows of ${String(rowBytes).padStart(6)} bytes `);
    Deno.removeSync(path);
  }
  createTestState(path);
  fillTable(path, { sizeBytes: sizeMb * MB, rowBytes: 400 });
  digestAlone(path, "rows of    400 bytes ");
  await beside(path, folder.path);
}

if (import.meta.main) await main(Number(Deno.args[0] ?? 1000));
