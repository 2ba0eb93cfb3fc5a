/**
 * What a state machine holds, as hashes: of the schema, and of each table with its rowids, shadow tables
 * of virtual tables, statistics and our own tables included. Values are hashed by type and by bits, so
 * that -0.0, NUL in text and invalid UTF-8 count. Where pages lie does not: a table's root page is
 * left out.
 */
import { createHash } from "node:crypto";
import { OperatingError } from "../../src/base/errors.ts";
import { Connection } from "../../src/sqlite/connection.ts";
import { setSwitches } from "../../src/sqlite/settings.ts";
import type { Statement } from "../../src/sqlite/statement.ts";
import { checkDatabase } from "../../src/state_machine/database_check.ts";
import { freezeArithmetic } from "../../src/state_machine/frozen_functions.ts";
import { testLibrary } from "../../src/sqlite/testing.ts";
import { ValueType } from "../../src/sqlite/values.ts";

/** Hashes by table; the schema is `sqlite_schema`. */
export type ContentHashes = Readonly<Record<string, string>>;

/** Generated columns are in `table_xinfo` under this number or the next. */
const HIDDEN_GENERATED = 2;
const BITS = new DataView(new ArrayBuffer(8));
const BITS_BYTES = new Uint8Array(BITS.buffer);

type Hash = ReturnType<typeof createHash>;

/** Hashes the database at `path`, which may be in use between two batches. */
export function contentHashes(path: string): ContentHashes {
  using connection = openPlain(path);
  connection.exec("BEGIN");
  const hashes: Record<string, string> = {};
  const schema = "SELECT rowid, type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid";
  hashes["sqlite_schema"] = hashOf(connection, schema);
  for (const [type, name, sql] of connection.query("SELECT type, name, sql FROM sqlite_schema")) {
    if (type !== "table" || /^CREATE VIRTUAL/i.test(String(sql))) continue;
    hashes[String(name)] = hashOf(connection, selectAll(connection, String(name)));
  }
  return hashes;
}

/** The rows of a table as text, for a reader who wants to see what differs. */
export function contentRows(path: string, table: string): readonly string[] {
  using connection = openPlain(path);
  const sql = table === "sqlite_schema"
    ? "SELECT rowid, type, name, tbl_name, sql FROM sqlite_schema"
    : selectAll(connection, table);
  return connection.query(sql).map((row) =>
    row.map((value) => value instanceof Uint8Array ? `x${value.toHex()}` : String(value)).join("|")
  );
}

/** Why a node would not take the file for a state; empty when it would. */
export function integrityFaults(path: string): readonly string[] {
  try {
    checkDatabase(testLibrary(), { path, origin: "state" });
    return [];
  } catch (error) {
    if (!(error instanceof OperatingError)) throw error;
    return [error.message];
  }
}

function openPlain(path: string): Connection {
  const connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  setSwitches(connection, { noCheckpointOnClose: true });
  // Indexes on expressions hold what these gave.
  freezeArithmetic(connection);
  return connection;
}

function selectAll(connection: Connection, table: string): string {
  const name = quoted(table);
  const info = connection.query(`PRAGMA table_xinfo(${name})`);
  const columns = info.filter((row) => row[6] === 0 || Number(row[6]) >= HIDDEN_GENERATED)
    .map((row) => String(row[1]));
  const [[isKeyed] = []] = connection.query(
    "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?",
    table,
  );
  const list = columns.map(quoted).join(", ");
  if (isKeyed === 1) return `SELECT ${list} FROM ${name}`;
  const taken = new Set(columns.map((column) => column.toLowerCase()));
  const rowid = ["rowid", "_rowid_", "oid"].find((alias) => !taken.has(alias));
  if (rowid === undefined) return `SELECT ${list} FROM ${name}`;
  return `SELECT ${rowid}, ${list} FROM ${name} ORDER BY ${rowid}`;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function hashOf(connection: Connection, sql: string): string {
  const hash = createHash("sha256");
  using statement = connection.prepare(sql);
  while (statement.step()) {
    for (let column = 0; column < statement.columnCount; column++) {
      addValue(hash, statement, column);
    }
  }
  return hash.digest("hex").slice(0, 16);
}

function addValue(hash: Hash, statement: Statement, column: number): void {
  const type = statement.columnType(column);
  hash.update(Uint8Array.of(type));
  switch (type) {
    case ValueType.INTEGER:
      BITS.setBigInt64(0, BigInt(statement.columnInteger(column)));
      hash.update(BITS_BYTES);
      return;
    case ValueType.REAL:
      BITS.setFloat64(0, statement.columnReal(column));
      hash.update(BITS_BYTES);
      return;
    case ValueType.NULL:
      return;
    default: {
      const bytes = statement.columnBytes(column);
      BITS.setUint32(0, bytes.length);
      hash.update(BITS_BYTES.subarray(0, 4)).update(bytes);
    }
  }
}
