/**
 * Looks through a database file before it becomes the state (fault S32): a copy that a snapshot made,
 * or one from elsewhere. Damage, text in another encoding, keys without their rows, and a schema that
 * would do what SQL may not do are refused, with the object named.
 * The file is only read. What it holds beyond the schema's reach cannot hurt: functions that show local
 * facts raise wherever they stand (rule Q3).
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { Connection } from "../sqlite/connection.ts";
import { ResultCode, SqliteError } from "../sqlite/errors.ts";
import type { Library } from "../sqlite/library.ts";
import { setLimits, setSwitches } from "../sqlite/settings.ts";
import { freezeArithmetic, freezeChance } from "./frozen_functions.ts";
import { SQL_LIMITS } from "./limits.ts";
import { RandomSource } from "./random_source.ts";
import { OWN_PREFIX } from "./sql_authorizer.ts";
import { ALLOWED_MODULES } from "./sql_policy.ts";
import { SqlSession } from "./sql_session.ts";

/** Where a file comes from, and so what may be in it. */
export type DatabaseOrigin =
  /** A state of Dust: schema and keys were checked entry by entry, the file itself was not. */
  | "state"
  /** Anybody's. */
  | "foreign";

const VIRTUAL_TABLE = /^CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+"?([^\s"(]+)/is;

/** How SQLite words what the authorizer, or the mistrust in schemas, forbids. */
const FORBIDDEN = / is prohibited$|^unsafe use of |^not authorized/;

interface SchemaObject {
  readonly type: string;
  readonly name: string;
  readonly sql: string;
}

/**
 * Checks a file that nobody else has open.
 * @throws {OperatingError} `bad_request` with what is wrong. @throws {SqliteError} when it cannot be read.
 */
export function checkDatabase(
  library: Library,
  options: { readonly path: string; readonly origin: DatabaseOrigin },
): void {
  const { path, origin } = options;
  using connection = Connection.open(library, { path, mode: "readonly", noFollow: true });
  connection.exec("PRAGMA temp_store=MEMORY; PRAGMA query_only=ON");
  checkContent(connection, origin);
  // What clients made through the writer may stand there, also a view that could never be read.
  if (origin === "state") return;
  const objects = schemaOf(connection);
  setLimits(connection, { ...SQL_LIMITS, attachedCount: 0 });
  setSwitches(connection, { defensive: true, trustedSchema: false, loadExtension: false });
  freezeArithmetic(connection);
  freezeChance(connection, { random: new RandomSource(), totalChanges: () => 0 });
  const session = new SqlSession(connection, { isWriter: true });
  for (const object of objects) checkObject(session, object);
}

function checkContent(connection: Connection, origin: DatabaseOrigin): void {
  const finding = findDamage(connection);
  if (finding !== "ok") throw refusal(`it is damaged, or no database: ${finding}`);
  const [[encoding] = []] = connection.query("PRAGMA encoding");
  if (encoding !== "UTF-8") throw refusal(`its text is ${encoding}; only UTF-8 is taken`);
  if (origin === "state") return;
  const [orphan] = connection.query("PRAGMA foreign_key_check");
  if (orphan !== undefined) {
    throw refusal(`a row of table ${orphan[0]} has a foreign key without its row in ${orphan[2]}`);
  }
}

/** What SQLite says of the whole file; `ok` when it is whole. */
function findDamage(connection: Connection): string {
  try {
    const [row] = connection.query("PRAGMA integrity_check(1)");
    return String(row?.[0]);
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error;
    const code = error.extendedCode & 0xff;
    if (code !== ResultCode.NOTADB && code !== ResultCode.CORRUPT) throw error;
    return error.message;
  }
}

function schemaOf(connection: Connection): readonly SchemaObject[] {
  const rows = connection.query("SELECT type, name, coalesce(sql, '') FROM sqlite_schema");
  return rows.map(([type, name, sql]) => ({
    type: String(type),
    name: String(name),
    sql: String(sql),
  }));
}

function checkObject(session: SqlSession, object: SchemaObject): void {
  const { type, name, sql } = object;
  if (name.toLowerCase().startsWith(OWN_PREFIX)) {
    throw refusal(`its ${type} ${name} has a name that is reserved`);
  }
  if (sql.toLowerCase().includes(OWN_PREFIX)) {
    throw refusal(`its ${type} ${name} names a table that is reserved`);
  }
  const module = VIRTUAL_TABLE.exec(sql)?.[1];
  if (module !== undefined && !ALLOWED_MODULES.has(module.toLowerCase())) {
    throw refusal(`its table ${name} is of module ${module}, which is not allowed`);
  }
  for (const probe of probesOf(session, object)) checkProbe(session, { object, probe });
}

/** Statements that make SQLite compile what the object would do; an index does nothing by itself. */
function probesOf(session: SqlSession, { type, name }: SchemaObject): readonly string[] {
  const quoted = quote(name);
  if (type === "view") return [`SELECT * FROM ${quoted}`];
  if (type !== "table" || name.toLowerCase().startsWith("sqlite_")) return [];
  const columns = session.trusted(() =>
    session.connection.query("SELECT name FROM pragma_table_xinfo(?) WHERE hidden=0", name)
  );
  const probes = [`INSERT INTO ${quoted} DEFAULT VALUES`, `DELETE FROM ${quoted}`];
  const column = columns[0]?.[0];
  if (column === undefined) return probes;
  const [first, all] = [quote(String(column)), columns.map(([each]) => quote(String(each)))];
  probes.push(`UPDATE ${quoted} SET ${all.map((each) => `${each}=${first}`).join(",")}`);
  return probes;
}

/** What fails for another reason than being forbidden, such as a view on a table that is gone, may stay. */
function checkProbe(
  session: SqlSession,
  { object, probe }: { readonly object: SchemaObject; readonly probe: string },
): void {
  try {
    const { statement, isKept } = session.compile(probe);
    assert(statement !== undefined, "checkDatabase: a probe without a statement");
    if (!isKept) statement.finalize();
  } catch (error) {
    if (!(error instanceof SqliteError) || error.class !== "result") throw error;
    const isForbidden = (error.extendedCode & 0xff) === ResultCode.AUTH ||
      FORBIDDEN.test(error.message);
    if (!isForbidden) return;
    throw refusal(
      `its ${object.type} ${object.name} does what SQL may not do here: ${error.message}`,
    );
  }
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function refusal(reason: string): OperatingError {
  return new OperatingError("bad_request", `Cannot use database: ${reason}`);
}
