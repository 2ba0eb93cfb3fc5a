/**
 * The row that is committed with every batch (architecture, section 7): how far the log is applied,
 * both chains, both clocks, the counters that answers show, the replicated settings. One table, one row:
 * `sqlite_dust_state`, a name that SQLite keeps users from creating.
 *
 * Invariant: the row in the file and the effects of entries up to its index are one transaction.
 * Written with UPDATE, never REPLACE (rule Q7).
 */
import { assert } from "../base/assert.ts";
import { type EntryChain, entryChainText, parseEntryChain } from "../base/entry_chain.ts";
import { FatalError } from "../base/errors.ts";
import type { Connection } from "../sqlite/connection.ts";
import { setSwitches } from "../sqlite/settings.ts";
import { RETRY_TABLES } from "./retry_ledger.ts";
import type { OwnStatement, SqlSession } from "./sql_session.ts";

const FORMAT_VERSION = 1;

/** The columns and the fields are in one order. */
const COLUMNS = `applied_index, applied_term, entry_chain, result_chain, last_time_ms,
  last_insert_id, rows_affected, last_write_index, foreign_keys, soft_limit_steps, log_clock_ms`;

/** How it began; the columns behind these are 0 in a file that has not got them (`upgradeState`). */
const FIRST_COLUMNS =
  `id INTEGER PRIMARY KEY CHECK(id=1), format INTEGER NOT NULL, cluster_id BLOB NOT NULL,
  configuration BLOB NOT NULL, applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL,
  entry_chain TEXT NOT NULL, result_chain TEXT NOT NULL, last_time_ms INTEGER NOT NULL,
  last_insert_id INTEGER NOT NULL, rows_affected INTEGER NOT NULL, last_write_index INTEGER NOT NULL,
  foreign_keys INTEGER NOT NULL, soft_limit_steps INTEGER NOT NULL`;

const FIRST_CREATE = `CREATE TABLE sqlite_dust_state(
  ${FIRST_COLUMNS})`;

const CREATE = `CREATE TABLE sqlite_dust_state(
  ${FIRST_COLUMNS}, log_clock_ms INTEGER NOT NULL DEFAULT 0)`;

/** What changes from batch to batch. */
export interface StateRecord {
  appliedIndex: number;
  appliedTerm: number;
  entryChain: EntryChain;
  /** Over the results of all entries, whether or not somebody waits for them (rule V1). */
  resultChain: EntryChain;
  /** The time of the last entry; it never goes back (rule T1). */
  lastTimeMs: number;
  /** What answers show for statements that set neither (the wire contract, section 5.2). */
  lastInsertId: number | bigint;
  rowsAffected: number;
  /** Index of the last entry that may have changed the database. */
  lastWriteIndex: number;
  /** Replicated settings. */
  foreignKeys: boolean;
  softLimitSteps: number;
  /** The log's own clock in milliseconds: what elapsed between entries, bounded for each (rule T1). */
  logClockMs: number;
}

/** What changes rarely, or never. */
export interface StateIdentity {
  readonly clusterId: Uint8Array;
  readonly configuration: Uint8Array;
}

/** Makes the table in a fresh database, before the connection is made defensive. */
export function createState(
  connection: Connection,
  state: { readonly record: StateRecord; readonly identity: StateIdentity },
): void {
  const { record, identity } = state;
  // The placeholder takes page 2 and gives it back: the first table of a user gets it, as clients of
  // rqlite that compare `rootpage` expect.
  connection.exec("BEGIN; CREATE TABLE placeholder(x)");
  setSwitches(connection, { writableSchema: true });
  connection.exec(CREATE);
  for (const sql of RETRY_TABLES) connection.exec(sql);
  setSwitches(connection, { writableSchema: false });
  connection.exec("DROP TABLE placeholder");
  connection.query(
    `INSERT INTO sqlite_dust_state(id, format, cluster_id, configuration, ${COLUMNS})
      VALUES(1, ${FORMAT_VERSION}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    identity.clusterId,
    identity.configuration,
    ...columnValues(record),
  );
  connection.exec("COMMIT");
}

/**
 * Gives the state of an earlier build what it has not got, empty. Before the connection is made
 * defensive; nothing happens to a state that is complete.
 */
export function upgradeState(connection: Connection): void {
  if (!isOld(connection)) return;
  const [[version] = []] = connection.query("PRAGMA schema_version");
  setSwitches(connection, { writableSchema: true });
  connection.exec("BEGIN IMMEDIATE");
  // ALTER TABLE takes no table with this prefix. Rows are read as if they ended in the new default.
  connection.query("UPDATE sqlite_schema SET sql=? WHERE name='sqlite_dust_state'", CREATE);
  for (const sql of RETRY_TABLES) connection.exec(sql);
  connection.exec(`PRAGMA schema_version=${Number(version) + 1 + RETRY_TABLES.length}; COMMIT`);
  setSwitches(connection, { writableSchema: false });
}

function isOld(connection: Connection): boolean {
  const [[sql] = []] = connection.query(
    "SELECT sql FROM sqlite_schema WHERE name='sqlite_dust_state'",
  );
  return sql === FIRST_CREATE;
}

/** Reads the row. @throws {FatalError} when it is missing or of a newer build. */
export function readState(
  connection: Connection,
): { readonly record: StateRecord; readonly identity: StateIdentity } {
  const columns = isOld(connection) ? COLUMNS.replace("log_clock_ms", "0") : COLUMNS;
  const [row] = connection.query(
    `SELECT format, cluster_id, configuration, ${columns} FROM sqlite_dust_state WHERE id=1`,
  );
  if (row === undefined) {
    throw new FatalError(65, `Cannot use ${connection.path}: it holds no state of Dust`);
  }
  const [format, clusterId, configuration, ...values] = row;
  if (format !== FORMAT_VERSION) {
    throw new FatalError(65, `Cannot use ${connection.path}: its state has format ${format}`);
  }
  assert(clusterId instanceof Uint8Array, "readState: cluster id is no blob");
  assert(configuration instanceof Uint8Array, "readState: configuration is no blob");
  const [
    index,
    term,
    entryChain,
    resultChain,
    time,
    insertId,
    rows,
    writeIndex,
    keys,
    steps,
    clock,
  ] = values;
  return {
    identity: { clusterId, configuration },
    record: {
      appliedIndex: Number(index),
      appliedTerm: Number(term),
      entryChain: parseEntryChain(String(entryChain)),
      resultChain: parseEntryChain(String(resultChain)),
      lastTimeMs: Number(time),
      lastInsertId: typeof insertId === "bigint" ? insertId : Number(insertId),
      rowsAffected: Number(rows),
      lastWriteIndex: Number(writeIndex),
      foreignKeys: keys === 1,
      softLimitSteps: Number(steps),
      logClockMs: Number(clock),
    },
  };
}

/** Writes the row within a batch's transaction; its statements are prepared once. */
export class StateWriter {
  readonly #update: OwnStatement;
  readonly #configure: OwnStatement;

  constructor(session: SqlSession) {
    const names = COLUMNS.split(",").map((name) => `${name.trim()}=?`).join(",");
    this.#update = session.own(`UPDATE sqlite_dust_state SET ${names} WHERE id=1`);
    this.#configure = session.own("UPDATE sqlite_dust_state SET configuration=? WHERE id=1");
  }

  /** @throws {SqliteError} as any write. */
  write(record: StateRecord): void {
    this.#update.run(...columnValues(record));
  }

  /** @throws {SqliteError} as any write. */
  writeConfiguration(configuration: Uint8Array): void {
    this.#configure.run(configuration);
  }
}

function columnValues(record: StateRecord): (number | bigint | string)[] {
  return [
    record.appliedIndex,
    record.appliedTerm,
    entryChainText(record.entryChain),
    entryChainText(record.resultChain),
    record.lastTimeMs,
    record.lastInsertId,
    record.rowsAffected,
    record.lastWriteIndex,
    record.foreignKeys ? 1 : 0,
    record.softLimitSteps,
    record.logClockMs,
  ];
}
