/**
 * The digest of all that is state (rules V1, S19): the schema, and of each table the rows with their rowids,
 * types and bits. Our own tables count, and those of virtual tables, which themselves do not; nor do
 * root pages, indexes and columns that are computed when read. Replicas that may be built differently inside
 * have one digest as long as SQL cannot tell them apart.
 *
 * The result chain is left out: it is compared by itself, as only the contents call for a verdict.
 * In slices, as whoever takes it must look up now and then. Not here: the thread (digest_worker.ts).
 */
import type { Connection } from "../sqlite/connection.ts";
import { RowDigest } from "../sqlite/row_digest.ts";

/** By name, as the order of a schema's rows says what was made first, and VACUUM changes it. */
const SCHEMA = `SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name, type, tbl_name`;

const TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY name";

/** `hidden` is 2 for columns that are computed when read, and 3 for computed ones that are stored. */
const COLUMNS = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden IN (0, 3) ORDER BY cid";

const IS_KEYED = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?";

const ROWID_NAMES = ["rowid", "_rowid_", "oid"] as const;

/** SQLite's own limit on the columns of a result. */
const COLUMNS_AT_ONCE_MAX = 2000;

/**
 * Takes the digest of what `connection` sees in its open read transaction; pauses whenever some `sliceBytes` were
 * taken in. Its library must have a digest (`hasRowDigest`).
 * @returns 32 hex digits. @throws {SqliteError} when the file cannot be read.
 */
export function* digestState(
  connection: Connection,
  options: { readonly sliceBytes: number },
): Generator<void, string, void> {
  const digest = new RowDigest(connection.library);
  yield* addRows(digest, connection, { sql: SCHEMA, ...options });
  for (const [value] of connection.query(TABLES)) {
    const name = String(value);
    {
      using head = connection.prepare("VALUES('table', ?)");
      head.bindText(1, name);
      while (digest.add(head, options.sliceBytes));
    }
    for (const sql of selectsOf(connection, name)) {
      yield* addRows(digest, connection, { sql, ...options });
    }
  }
  return digest.end();
}

function* addRows(
  digest: RowDigest,
  connection: Connection,
  options: { readonly sql: string; readonly sliceBytes: number },
): Generator<void, void, void> {
  using statement = connection.prepare(options.sql);
  while (digest.add(statement, options.sliceBytes)) yield;
}

/** Mostly one statement. NOT INDEXED: in the order of the key, whatever indexes and statistics suggest. */
function selectsOf(connection: Connection, table: string): readonly string[] {
  const columns = connection.query(COLUMNS, table).map(([name]) => String(name));
  if (table === "sqlite_dust_state") columns.splice(columns.indexOf("result_chain"), 1);
  const rowid = rowidName(connection, table, columns);
  const names = (rowid === undefined ? columns : [rowid, ...columns]).map(quoted);
  const lists: string[] = [];
  for (let from = 0; from < names.length; from += COLUMNS_AT_ONCE_MAX) {
    lists.push(names.slice(from, from + COLUMNS_AT_ONCE_MAX).join(", "));
  }
  return lists.map((list) => `SELECT ${list} FROM main.${quoted(table)} NOT INDEXED`);
}

/** Undefined for a table without, and for one whose rowid no statement can name. */
function rowidName(
  connection: Connection,
  table: string,
  columns: readonly string[],
): string | undefined {
  const [[isKeyed] = []] = connection.query(IS_KEYED, table);
  if (isKeyed === 1) return undefined;
  const taken = new Set(columns.map((column) => column.toLowerCase()));
  return ROWID_NAMES.find((name) => !taken.has(name));
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
