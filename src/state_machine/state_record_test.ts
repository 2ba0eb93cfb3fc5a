import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Connection } from "../sqlite/connection.ts";
import { setSwitches } from "../sqlite/settings.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import { readState } from "./state_record.ts";
import { contentOf, createTestState, TestWriter } from "./testing.ts";

/** The table as builds made it before the log had a clock of its own; it is on disks. */
const OLD_TABLE = `CREATE TABLE sqlite_dust_state(
  id INTEGER PRIMARY KEY CHECK(id=1), format INTEGER NOT NULL, cluster_id BLOB NOT NULL,
  configuration BLOB NOT NULL, applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL,
  entry_chain TEXT NOT NULL, result_chain TEXT NOT NULL, last_time_ms INTEGER NOT NULL,
  last_insert_id INTEGER NOT NULL, rows_affected INTEGER NOT NULL, last_write_index INTEGER NOT NULL,
  foreign_keys INTEGER NOT NULL, soft_limit_steps INTEGER NOT NULL)`;

/** A state as such a build left it, with the values of a fresh one. */
function createOldState(path: string): void {
  const fresh = `${path}-fresh`;
  createTestState(fresh);
  using source = Connection.open(testLibrary(), { path: fresh, mode: "readwrite" });
  const [row] = source.query("SELECT * FROM sqlite_dust_state");
  ok(row !== undefined);
  using target = Connection.open(testLibrary(), { path, mode: "create" });
  setSwitches(target, { writableSchema: true });
  target.exec(OLD_TABLE);
  setSwitches(target, { writableSchema: false });
  const values = row.slice(0, 14);
  const places = values.map(() => "?").join();
  target.query(`INSERT INTO sqlite_dust_state VALUES(${places})`, ...values);
}

function stateOf(path: string): ReturnType<typeof readState> {
  using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  return readState(connection);
}

Deno.test("readState() reads a state that has no clock of the log yet, as it is", () => {
  using folder = new TemporaryFolder();
  createTestState(folder.file("new"));
  createOldState(folder.file("old"));
  deepStrictEqual(stateOf(folder.file("old")), stateOf(folder.file("new")));
});

Deno.test("a writer gives an old state what it lacks, once, and both go on alike", () => {
  using folder = new TemporaryFolder();
  const keyed = { retry: { kind: "key", user: "", key: "k", format: 0 }, elapsedMs: 3 } as const;
  const contents = (["old", "new"] as const).map((name) => {
    const path = folder.file(name);
    if (name === "old") createOldState(path);
    else createTestState(path);
    for (let start = 0; start < 2; start++) {
      using writer = TestWriter.reopen(path);
      writer.run([`CREATE TABLE t${start}(x)`], keyed);
      writer.run(["INSERT INTO t0 VALUES(1)"], { elapsedMs: 4 });
      strictEqual(writer.writer.record.logClockMs, 7 * (start + 1));
    }
    using checked = Connection.open(testLibrary(), { path, mode: "readwrite" });
    deepStrictEqual(checked.query("PRAGMA integrity_check"), [["ok"]]);
    // The pages differ: in an old state the client's tables may lie before those that were added.
    return contentOf(path).replaceAll(/,\d+\]$/gm, "]");
  });
  strictEqual(contents[0], contents[1]);
});
