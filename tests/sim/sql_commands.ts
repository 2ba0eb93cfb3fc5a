/**
 * Writes in SQL, for runs with real SQLite: ordinary statements and those that have made replicas differ
 * once, then always one row with the write's id. An id that comes twice breaks a unique key, and the
 * client who asked for it would be told.
 */
import { CommandEncoder } from "../../src/command/command_encoder.ts";
import type { Statement } from "../../src/command/command.ts";
import type { Value } from "../../src/command/value.ts";
import type { Chance } from "./chance.ts";

const SCHEMA: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS done(id INTEGER PRIMARY KEY, at DEFAULT CURRENT_TIMESTAMP,
    chance DEFAULT (random()))`,
  "CREATE TABLE IF NOT EXISTS reg(k INTEGER PRIMARY KEY, v, n)",
  "CREATE TABLE IF NOT EXISTS once(x UNIQUE ON CONFLICT ROLLBACK)",
  "CREATE TABLE IF NOT EXISTS child(id INTEGER PRIMARY KEY, k REFERENCES reg DEFERRABLE INITIALLY DEFERRED)",
  "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(t)",
];

/** Statements with `?` for a key. */
const POOL: readonly string[] = [
  "INSERT INTO reg VALUES(?1, random(), 1) ON CONFLICT(k) DO UPDATE SET v=random(), n=n+1",
  "INSERT INTO reg VALUES(?1, random(), 1) ON CONFLICT(k) DO UPDATE SET v=random(), n=n+1",
  "UPDATE reg SET n=n+(SELECT count(*) FROM done), v=datetime() WHERE k<=?1",
  "INSERT INTO once VALUES(?1)",
  "DELETE FROM once WHERE x<?1",
  "INSERT INTO child(k) VALUES(?1)",
  "DELETE FROM reg WHERE k=?1",
  "INSERT OR ROLLBACK INTO reg VALUES(?1, 0, 0)",
  "INSERT INTO words VALUES('word' || ?1 || ' and ' || hex(randomblob(4)))",
  "DELETE FROM words WHERE rowid=(SELECT max(rowid) FROM words) AND ?1>3",
  "BEGIN; UPDATE reg SET n=0 WHERE k=?1; ROLLBACK",
  "CREATE INDEX IF NOT EXISTS byn ON reg(n)",
  "DROP INDEX IF EXISTS byn",
  "ANALYZE",
  "INSERT INTO reg VALUES(100+?1+last_insert_rowid()%5, 0, 0) ON CONFLICT(k) DO UPDATE SET n=n+1",
  "SELECT group_concat(v) FROM (SELECT v FROM reg WHERE n>?1 LIMIT 3)",
];

const encoder = new CommandEncoder();

/** The bytes of a write. Its last value is the id, four bytes, little-endian. */
export function encodeSqlCommand(
  command: { readonly id: number; readonly key: number },
  chance: Chance,
): Uint8Array {
  const { id, key } = command;
  const isSchema = id <= 3 || chance.happens(0.05);
  const texts = isSchema ? SCHEMA : drawn(chance);
  const statements: Statement[] = texts.map((sql) => {
    return statement(sql, sql.includes("?1") ? [key] : []);
  });
  return encoder.encode({
    kind: "execute",
    options: { transaction: chance.happens(0.2), rows: chance.happens(0.3), timeoutMs: 0 },
    nowMs: 0,
    elapsedMs: 0,
    seed: 0n,
    statements: [...statements, statement("INSERT INTO done(id) VALUES(?)", [id])],
  });
}

/** @returns what is wrong with a client's answer. */
export function faultOfAnswer(id: number, results: string): string | undefined {
  if (results.includes("UNIQUE constraint failed: done.id")) return `write ${id} was done twice`;
  if (results.includes(`"last_insert_id":${id}`) || results.includes('"error":')) return undefined;
  return `write ${id} was answered with ${results}`;
}

function drawn(chance: Chance): string[] {
  return Array.from({ length: chance.below(4) }, () => chance.pick(POOL) ?? "ANALYZE");
}

function statement(sql: string, positional: readonly Value[]): Statement {
  return { sql, positional, named: [] };
}
