/**
 * Whether the tables of retry_ledger.ts agree with themselves and with the applied index: each key stands once in the
 * order of the log, numbers and totals have no gap, and nothing was answered by an entry that is not applied yet.
 * Reads only.
 */
import type { Connection } from "../sqlite/connection.ts";

/** Each counts the rows that must not be there. */
const CHECKS: readonly (readonly [string, string])[] = [
  [
    "idempotency keys more or less than ages of them",
    "SELECT abs((SELECT count(*) FROM sqlite_dust_key) - (SELECT count(*) FROM sqlite_dust_key_age))",
  ],
  [
    "ages of idempotency keys that are not there",
    "SELECT count(*) FROM sqlite_dust_key_age a LEFT JOIN sqlite_dust_key k" +
    " ON a.user=k.user AND a.key=k.key WHERE k.key IS NULL",
  ],
  [
    "gaps in the order of idempotency keys",
    "SELECT count(*) FROM (SELECT number - lag(number) OVER w AS step," +
    " total_bytes - size_bytes - lag(total_bytes) OVER w AS excess" +
    " FROM sqlite_dust_key_age WINDOW w AS (ORDER BY number)) WHERE step<>1 OR excess<>0",
  ],
  [
    "idempotency keys of entries that are not applied",
    "SELECT count(*) FROM sqlite_dust_key" +
    " WHERE raft_index > (SELECT applied_index FROM sqlite_dust_state)",
  ],
  [
    "answers kept for nobody",
    "SELECT count(*) FROM sqlite_dust_answer a LEFT JOIN sqlite_dust_session s USING(node_id)" +
    " WHERE s.node_id IS NULL OR a.sequence < s.lowest",
  ],
  [
    "answers of entries that are not applied",
    "SELECT count(*) FROM sqlite_dust_answer" +
    " WHERE raft_index > (SELECT applied_index FROM sqlite_dust_state)",
  ],
];

/** What is wrong, one line for each kind; none when all is well. @throws {SqliteError} when they cannot be read. */
export function problemsWithRetries(connection: Connection): readonly string[] {
  const problems: string[] = [];
  for (const [what, sql] of CHECKS) {
    const [[count] = []] = connection.query(sql);
    if (count !== 0) problems.push(`${count} ${what}`);
  }
  return problems;
}
