/**
 * The bytes of a `-wal` that SQLite itself has written, whole and changed.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setSwitches } from "./settings.ts";
import { Connection } from "./connection.ts";
import { findLibrary } from "./loader.ts";
import { type ReadAt, readWalFile } from "./wal_file.ts";

const FRAME_BYTES = 24 + 4096;

function reader(bytes: Uint8Array): ReadAt {
  return (into, position) => {
    const piece = bytes.subarray(position, position + into.length);
    into.set(piece);
    return piece.length;
  };
}

function makeWal(): Uint8Array {
  const { library } = findLibrary();
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/a ?#%.sqlite`;
    using connection = Connection.open(library, { path, mode: "create" });
    setSwitches(connection, { noCheckpointOnClose: true });
    connection.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(a)");
    for (let at = 0; at < 20; at++) connection.exec("INSERT INTO t VALUES(zeroblob(3000))");
    const bytes = Deno.readFileSync(`${path}-wal`);
    // Alone, as it lies there: nothing of the -wal, and no file is made.
    const names = [...Deno.readDirSync(folder)].length;
    using alone = Connection.open(library, { path, mode: "immutable" });
    deepStrictEqual(alone.query("SELECT count(*) FROM sqlite_schema"), [[0]]);
    strictEqual([...Deno.readDirSync(folder)].length, names);
    return bytes;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("readWalFile() counts the frames that are whole, and those behind one that is not", () => {
  const bytes = makeWal();
  const count = (bytes.length - 32) / FRAME_BYTES;
  ok(Number.isInteger(count) && count > 20);
  const whole = { wholeFrames: count, endOffset: bytes.length, strandedFrames: 0 };
  deepStrictEqual(readWalFile(reader(bytes)), whole);
  const changed = bytes.slice();
  const at = 32 + 3 * FRAME_BYTES;
  changed[at + 1000] = (changed[at + 1000] ?? 0) ^ 1;
  deepStrictEqual(readWalFile(reader(changed)), {
    wholeFrames: 3,
    endOffset: at,
    strandedFrames: count - 3,
  });
  const cut = readWalFile(reader(bytes.subarray(0, at + 100)));
  deepStrictEqual([cut.wholeFrames, cut.strandedFrames], [3, 0]);
  const headless = bytes.slice();
  headless[20] = (headless[20] ?? 0) ^ 1;
  strictEqual(readWalFile(reader(headless)).endOffset, 0);
});
