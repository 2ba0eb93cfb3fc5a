/**
 * The size of the `-wal` (rule D3): bounded without readers, and with one that does not let go.
 */
import { ok, strictEqual } from "node:assert/strict";
import { Connection } from "../sqlite/connection.ts";
import { setSwitches } from "../sqlite/settings.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import { setAutomaticCheckpoint } from "../sqlite/wal.ts";
import { WAL_CHECKPOINT_PAGES, WAL_GATE_BYTES, WAL_GATE_MS_MAX } from "./limits.ts";
import { ReadGate } from "./read_gate.ts";
import { WalKeeper } from "./wal_keeper.ts";

const PAGE_BYTES = 4096;

/** A writer's connection with a keeper, and a clock that only sleeping moves. */
class KeptWal implements Disposable {
  readonly #folder = new TemporaryFolder();
  readonly path = this.#folder.file("db.sqlite");
  readonly connection: Connection;
  readonly gateMemory = ReadGate.allocate();
  readonly keeper: WalKeeper;
  complaints = 0;
  nowMs = 0;

  constructor() {
    this.connection = Connection.open(testLibrary(), { path: this.path, mode: "create" });
    this.connection.exec(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE t(a)",
    );
    setAutomaticCheckpoint(this.connection, 0);
    setSwitches(this.connection, { noCheckpointOnClose: true });
    this.keeper = new WalKeeper({
      connection: this.connection,
      gate: new ReadGate(this.gateMemory),
      walBytes: () => this.walBytes,
      nowMs: () => this.nowMs,
      sleepMs: (durationMs) => {
        this.nowMs += durationMs;
      },
      onReadersInTheWay: () => {
        this.complaints += 1;
      },
    });
  }

  get walBytes(): number {
    return Deno.statSync(`${this.path}-wal`).size;
  }

  get isGateOpen(): boolean {
    return new Int32Array(this.gateMemory)[0] === 0;
  }

  /** Writes so many bytes, in transactions of a megabyte, tidying after each. */
  write(sizeBytes: number): void {
    for (let written = 0; written < sizeBytes; written += 1_000_000) {
      this.connection.exec("INSERT INTO t VALUES(zeroblob(1000000)); DELETE FROM t");
      this.keeper.tidy();
    }
  }

  [Symbol.dispose](): void {
    this.connection.close();
    this.#folder[Symbol.dispose]();
  }
}

Deno.test("WalKeeper keeps the -wal near its threshold while nobody reads", () => {
  using wal = new KeptWal();
  wal.write(200_000_000);
  ok(wal.walBytes < 2 * WAL_CHECKPOINT_PAGES * PAGE_BYTES, `${wal.walBytes} bytes`);
  strictEqual(wal.complaints, 0);
  ok(wal.isGateOpen);
});

Deno.test("WalKeeper closes the gate behind a reader that stays, complains, and empties it in the end", () => {
  using wal = new KeptWal();
  using reader = Connection.open(testLibrary(), { path: wal.path, mode: "readonly" });
  reader.exec("BEGIN");
  reader.query("SELECT count(*) FROM t");
  wal.write(WAL_GATE_BYTES + 10_000_000);
  ok(!wal.isGateOpen);
  ok(wal.keeper.isWaiting);
  const until = wal.nowMs + 3 * WAL_GATE_MS_MAX;
  while (wal.nowMs < until) wal.keeper.tidy();
  ok(wal.complaints >= 2, `${wal.complaints} complaints`);
  ok(!wal.isGateOpen);
  reader.exec("COMMIT");
  wal.keeper.tidy();
  ok(wal.isGateOpen);
  strictEqual(wal.walBytes, 0);
  strictEqual(reader.query("SELECT count(*) FROM t")[0]?.[0], 0);
});

Deno.test("ReadGate lets reads pass, holds them while it is closed, and not for ever", () => {
  const memory = ReadGate.allocate();
  const gate = new ReadGate(memory);
  const passed = (): number => {
    const started = performance.now();
    gate.pass(30);
    return performance.now() - started;
  };
  ok(passed() < 20);
  new ReadGate(memory).close();
  ok(passed() >= 29);
  new ReadGate(memory).open();
  ok(passed() < 20);
});
