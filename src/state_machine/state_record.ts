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
import { type MemberTable, NO_MEMBERS } from "../command/member_table.ts";
import type { Connection } from "../sqlite/connection.ts";
import { setSwitches } from "../sqlite/settings.ts";
import { createMembers, MEMBER_TABLE, MemberWriter, readMembers } from "./member_record.ts";
import { RETRY_TABLES } from "./retry_ledger.ts";
import type { OwnStatement, SqlSession } from "./sql_session.ts";

const FORMAT_VERSION = 3;
const NOTHING = new Uint8Array(0);

/** The columns and the fields are in one order. */
const COLUMNS = `applied_index, applied_term, entry_chain, result_chain, last_time_ms,
  last_insert_id, rows_affected, last_write_index, foreign_keys, soft_limit_steps, log_clock_ms,
  feature_level`;

const CREATE = `CREATE TABLE sqlite_dust_state(
  id INTEGER PRIMARY KEY CHECK(id=1), format INTEGER NOT NULL, cluster_id BLOB NOT NULL,
  genesis BLOB NOT NULL, configuration BLOB NOT NULL, next_node_id INTEGER NOT NULL,
  applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL, entry_chain TEXT NOT NULL,
  result_chain TEXT NOT NULL, last_time_ms INTEGER NOT NULL, last_insert_id INTEGER NOT NULL,
  rows_affected INTEGER NOT NULL, last_write_index INTEGER NOT NULL, foreign_keys INTEGER NOT NULL,
  soft_limit_steps INTEGER NOT NULL, log_clock_ms INTEGER NOT NULL, feature_level INTEGER NOT NULL)`;

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
  /** Of the cluster (rule F1). */
  featureLevel: number;
}

/** What changes rarely, or never. */
export interface StateIdentity {
  readonly clusterId: Uint8Array;
  /** How the cluster began (command/genesis.ts); empty in states that nobody can join. */
  readonly genesis: Uint8Array;
  readonly configuration: Uint8Array;
  readonly members: MemberTable;
}

/** As `StateIdentity`, for a first state; without members it is one that nobody can join. */
export type FirstIdentity =
  & Pick<StateIdentity, "clusterId" | "configuration">
  & Partial<Pick<StateIdentity, "genesis" | "members">>;

/** Makes the table in a fresh database, before the connection is made defensive. */
export function createState(
  connection: Connection,
  state: { readonly record: StateRecord; readonly identity: FirstIdentity },
): void {
  const { record, identity } = state;
  // The placeholder takes page 2 and gives it back: the first table of a user gets it, as clients of
  // rqlite that compare `rootpage` expect.
  connection.exec("BEGIN; CREATE TABLE placeholder(x)");
  setSwitches(connection, { writableSchema: true });
  connection.exec(CREATE);
  for (const sql of [MEMBER_TABLE, ...RETRY_TABLES]) connection.exec(sql);
  setSwitches(connection, { writableSchema: false });
  connection.exec("DROP TABLE placeholder");
  const { clusterId, configuration, genesis = NOTHING, members = NO_MEMBERS } = identity;
  connection.query(
    `INSERT INTO sqlite_dust_state(id, format, cluster_id, genesis, configuration, next_node_id,
        ${COLUMNS})
      VALUES(1, ${FORMAT_VERSION}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    clusterId,
    genesis,
    configuration,
    members.nextNodeId,
    ...columnValues(record),
  );
  createMembers(connection, members.members);
  connection.exec("COMMIT");
}

/** Reads the row. @throws {FatalError} when it is missing or of a newer build. */
export function readState(
  connection: Connection,
): { readonly record: StateRecord; readonly identity: StateIdentity } {
  const [[format] = []] = connection.query("SELECT format FROM sqlite_dust_state WHERE id=1");
  if (format === undefined) {
    throw new FatalError(65, `Cannot use ${connection.path}: it holds no state of Dust`);
  }
  if (format !== FORMAT_VERSION) {
    throw new FatalError(
      65,
      `Cannot use ${connection.path}: its state has format ${format}, and this build reads ${FORMAT_VERSION}`,
    );
  }
  const [row = []] = connection.query(
    `SELECT cluster_id, genesis, configuration, next_node_id, ${COLUMNS} FROM sqlite_dust_state`,
  );
  const [clusterId, genesis, configuration, nextNodeId, ...values] = row;
  assert(clusterId instanceof Uint8Array, "readState: cluster id is no blob");
  assert(genesis instanceof Uint8Array, "readState: genesis is no blob");
  assert(configuration instanceof Uint8Array, "readState: configuration is no blob");
  const members = { nextNodeId: Number(nextNodeId), members: readMembers(connection) };
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
    level,
  ] = values;
  return {
    identity: { clusterId, genesis, configuration, members },
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
      featureLevel: Number(level),
    },
  };
}

/** Writes the row within a batch's transaction; its statements are prepared once. */
export class StateWriter {
  readonly #update: OwnStatement;
  readonly #configure: OwnStatement;
  readonly #members: MemberWriter;

  constructor(session: SqlSession) {
    const names = COLUMNS.split(",").map((name) => `${name.trim()}=?`).join(",");
    this.#update = session.own(`UPDATE sqlite_dust_state SET ${names} WHERE id=1`);
    this.#configure = session.own("UPDATE sqlite_dust_state SET configuration=? WHERE id=1");
    this.#members = new MemberWriter(session);
  }

  /** @throws {SqliteError} as any write. */
  write(record: StateRecord): void {
    this.#update.run(...columnValues(record));
  }

  /** @throws {SqliteError} as any write. */
  writeConfiguration(configuration: Uint8Array): void {
    this.#configure.run(configuration);
  }

  /** Writes an encoded member table. @returns the ids that are gone. @throws {SqliteError} as any write. */
  writeMembers(members: Uint8Array): readonly number[] {
    return this.#members.write(members);
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
    record.featureLevel,
  ];
}
