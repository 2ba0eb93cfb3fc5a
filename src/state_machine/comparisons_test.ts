/**
 * The digest behind a compare entry, with the threads: of exactly the state at its index, whatever is
 * applied at once behind it; given up for a newer one, for a `-wal` that must be emptied, and at the end.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { logIndex, term } from "../base/ids.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import type { ApplyEntry, StateDigest } from "../node/ports.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { FileReserve } from "../os/deno_file_reserve.ts";
import { Connection } from "../sqlite/connection.ts";
import { hasRowDigest } from "../sqlite/row_digest.ts";
import { TemporaryFolder, testLibrary, testLibraryLocation } from "../sqlite/testing.ts";
import { Comparisons } from "./comparisons.ts";
import { ReadGate } from "./read_gate.ts";
import { digestState } from "./state_digest.ts";
import { StateMachine } from "./state_machine.ts";
import { applyAll, createTestState, entry, openTestWriter, testLiveState } from "./testing.ts";

const ignore = !hasRowDigest(testLibrary());
/** Rows of the large table: some slices. */
const ROW_COUNT = 150;
const FILL = `INSERT INTO t(a) WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n
  LIMIT ${ROW_COUNT}) SELECT zeroblob(100000) FROM n`;

function compareEntry(index: number): ApplyEntry {
  return {
    index: logIndex(index),
    term: term(1),
    kind: "normal",
    payload: encodeCommand({ kind: "compare" }),
    format: undefined,
    configuration: undefined,
  };
}

/** The log that all replicas of a test apply: a large table, and then every fifth entry asks for a digest. */
function logEntry(index: number): ApplyEntry {
  if (index === 2) return entry(index, ["CREATE TABLE t(id INTEGER PRIMARY KEY, a)"]);
  if (index === 3) return entry(index, [FILL]);
  return index % 5 === 0
    ? compareEntry(index)
    : entry(index, [["INSERT INTO t(a) VALUES(?)", index], "UPDATE t SET a = a WHERE id < 5"]);
}

function logEntries(first: number, count: number): ApplyEntry[] {
  return Array.from({ length: count }, (_, at) => logEntry(first + at));
}

async function startMachine(folder: TemporaryFolder, mode: "ram" | "disk"): Promise<StateMachine> {
  const path = folder.file("db.sqlite");
  createTestState(path);
  return await StateMachine.start({
    live: testLiveState({ path, dataDirectory: folder.path, mode }),
    readers: 1,
    clock: new DenoClock(),
    onFatal: (error) => {
      throw error;
    },
  });
}

/** What the digest at `index` must be: of a replica on which nothing runs beside. */
function expectedAt(index: number): { readonly content: string; readonly resultChain: string } {
  using folder = new TemporaryFolder();
  const path = folder.file("twin");
  createTestState(path);
  using writer = openTestWriter(path);
  for (let at = 2; at <= index; at++) applyAll(writer, [logEntry(at)]);
  using connection = Connection.open(testLibrary(), { path, mode: "readonly" });
  connection.exec("BEGIN");
  const [[resultChain] = []] = connection.query("SELECT result_chain FROM sqlite_dust_state");
  const slices = digestState(connection, { sliceBytes: 2 ** 30 });
  let slice = slices.next();
  while (slice.done !== true) slice = slices.next();
  return { content: slice.value, resultChain: String(resultChain) };
}

async function comparison(machine: StateMachine, index: number): Promise<StateDigest | undefined> {
  ok(machine.comparison !== undefined);
  return await machine.comparison(logIndex(index));
}

for (const mode of ["ram", "disk"] as const) {
  Deno.test({
    name:
      `StateMachine.comparison() is of exactly its index, though much is applied behind (${mode})`,
    ignore,
    async fn(): Promise<void> {
      using folder = new TemporaryFolder();
      const machine = await startMachine(folder, mode);
      await machine.apply(logEntries(2, 2));
      // Ends at the compare entry, or has one in its middle; the next ones are on their way before.
      const batches = [machine.apply(logEntries(4, 2))];
      const early = comparison(machine, 5);
      for (let first = 6; first < 36; first += 3) {
        batches.push(machine.apply(logEntries(first, first === 33 ? 6 : 3)));
      }
      const outcomes = await Promise.all(batches);
      deepStrictEqual(outcomes.map(({ appliedIndex }) => appliedIndex), [
        5,
        ...Array.from({ length: 9 }, (_, at) => 8 + 3 * at),
        38,
      ]);
      deepStrictEqual(outcomes.map(({ results }) => results.length), [2, ...Array(9).fill(3), 6]);
      strictEqual(await early, undefined, "nobody had applied it yet");
      // Newer ones have ended the others.
      strictEqual(await comparison(machine, 5), undefined);
      const last = comparison(machine, 35);
      for (let index = 39; index < 80; index += 1) {
        if (index % 5 !== 0) await machine.apply([{ ...logEntry(4), index: logIndex(index) }]);
        else await machine.apply([{ ...entry(index, []), index: logIndex(index) }]);
      }
      const digest = await last;
      await machine.close();
      deepStrictEqual(digest, { index: 35, ...expectedAt(35) });
    },
  });
}

Deno.test({
  name: "StateMachine.comparison() is given up at the end, and asked of a machine that is closed",
  ignore,
  async fn(): Promise<void> {
    using folder = new TemporaryFolder();
    const machine = await startMachine(folder, "disk");
    await machine.apply(logEntries(2, 4));
    const digest = comparison(machine, 5);
    await machine.close();
    giveUpOrBeRight(await digest);
    strictEqual(await comparison(machine, 4), undefined);
  },
});

/** Who was quick enough may have ended before it was to. */
function giveUpOrBeRight(digest: StateDigest | undefined): void {
  if (digest !== undefined) deepStrictEqual(digest, { index: 5, ...expectedAt(5) });
}

/** A file of which the digest is wanted, and the gate before it. */
class ComparisonsTest implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly #files = new FileReserve(new DenoClock());
  readonly gate: ReadGate;
  readonly comparisons: Comparisons;

  constructor() {
    const path = this.#folder.file("db.sqlite");
    createTestState(path);
    using writer = openTestWriter(path);
    for (let at = 2; at <= 5; at++) applyAll(writer, [logEntry(at)]);
    const gate = ReadGate.allocate();
    this.gate = new ReadGate(gate);
    this.comparisons = new Comparisons({
      location: testLibraryLocation(),
      path,
      gate,
      files: this.#files,
      onFatal: (error) => {
        throw error;
      },
    });
  }

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]();
    this.#folder[Symbol.dispose]();
  }
}

Deno.test({
  name:
    "Comparisons gives way while the -wal is to be emptied (rule D3), and goes on with the next",
  ignore,
  async fn(): Promise<void> {
    using test = new ComparisonsTest();
    const { comparisons, gate } = test;
    gate.close();
    await comparisons.begin(5);
    strictEqual(await comparisons.digest(5), undefined);
    gate.open();
    await comparisons.begin(5);
    deepStrictEqual(await comparisons.digest(5), { index: 5, ...expectedAt(5) });
    await comparisons.close();
  },
});

Deno.test({
  name: "Comparisons gives up the older of two, and both at its close",
  ignore,
  async fn(): Promise<void> {
    using test = new ComparisonsTest();
    const { comparisons } = test;
    const older = comparisons.begin(4);
    const olderDigest = comparisons.digest(4);
    const newer = comparisons.begin(5);
    const newerDigest = comparisons.digest(5);
    await Promise.all([older, newer]);
    strictEqual(await olderDigest, undefined);
    match((await newerDigest)?.content ?? "", /^[0-9a-f]{32}$/);
    const last = comparisons.begin(5);
    const lastDigest = comparisons.digest(5);
    await comparisons.close();
    await last;
    giveUpOrBeRight(await lastDigest);
    await comparisons.begin(6);
    strictEqual(await comparisons.digest(6), undefined, "closed");
  },
});
