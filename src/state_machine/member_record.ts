/**
 * The members of the cluster in the state file: `sqlite_dust_member`, one row each, and the number that
 * the next one gets, in the state row. Both are written with the configuration change that they belong
 * to, in its transaction, and only with one (rule M1).
 * Not here: their bytes in log entries and between nodes (command/member_table.ts).
 */
import { assert } from "../base/assert.ts";
import { decodeMemberTable, type MemberRow } from "../command/member_table.ts";
import type { Connection } from "../sqlite/connection.ts";
import type { ReadValue } from "../sqlite/values.ts";
import type { OwnStatement, SqlSession } from "./sql_session.ts";

/** What `createState` runs. */
export const MEMBER_TABLE = `CREATE TABLE sqlite_dust_member(node_id INTEGER PRIMARY KEY,
  incarnation BLOB NOT NULL, name TEXT NOT NULL, raft_address TEXT NOT NULL, api_url TEXT NOT NULL,
  is_read_only INTEGER NOT NULL)`;

const INSERT = "INSERT INTO sqlite_dust_member VALUES(?, ?, ?, ?, ?, ?)";

/** Fills the table of a fresh state. */
export function createMembers(connection: Connection, members: readonly MemberRow[]): void {
  for (const row of members) connection.query(INSERT, ...valuesOf(row));
}

/** All rows, ids ascending. */
export function readMembers(connection: Connection): readonly MemberRow[] {
  return connection.query("SELECT * FROM sqlite_dust_member ORDER BY node_id").map(rowOf);
}

/** Replaces the table within a batch's transaction; its statements are prepared once. */
export class MemberWriter {
  readonly #ids: OwnStatement;
  readonly #clear: OwnStatement;
  readonly #insert: OwnStatement;
  readonly #count: OwnStatement;

  constructor(session: SqlSession) {
    this.#ids = session.own("SELECT node_id FROM sqlite_dust_member ORDER BY node_id");
    this.#clear = session.own("DELETE FROM sqlite_dust_member");
    this.#insert = session.own(INSERT);
    this.#count = session.own("UPDATE sqlite_dust_state SET next_node_id=? WHERE id=1");
  }

  /** @returns the ids that are gone. @throws {SqliteError} as any write. */
  write(bytes: Uint8Array): readonly number[] {
    const table = decodeMemberTable(bytes);
    assert(table !== undefined, "MemberWriter: no member table");
    const before = this.#ids.rows().map(([id]) => Number(id));
    this.#clear.run();
    for (const row of table.members) this.#insert.run(...valuesOf(row));
    this.#count.run(table.nextNodeId);
    return before.filter((id) => table.members.every(({ nodeId }) => nodeId !== id));
  }
}

function valuesOf(row: MemberRow): [number, Uint8Array, string, string, string, number] {
  const { nodeId, incarnation, name, raftAddress, apiUrl, isReadOnly } = row;
  return [nodeId, incarnation, name, raftAddress, apiUrl, isReadOnly ? 1 : 0];
}

function rowOf(values: readonly ReadValue[]): MemberRow {
  const [nodeId, incarnation, name, raftAddress, apiUrl, isReadOnly] = values;
  assert(incarnation instanceof Uint8Array, "readMembers: incarnation is no blob");
  return {
    nodeId: Number(nodeId),
    incarnation,
    name: String(name),
    raftAddress: String(raftAddress),
    apiUrl: String(apiUrl),
    isReadOnly: isReadOnly === 1,
  };
}
