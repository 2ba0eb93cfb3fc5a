/**
 * Looks through a database file before it becomes the state (fault S32): a copy that a snapshot made,
 * or one from elsewhere. Damage, text in another encoding, a file that cannot be written, keys without
 * their rows, and a schema that would do what SQL may not do are refused, with the object named.
 * Nothing is written to the file. What it holds beyond the schema's reach cannot hurt: functions that show local
 * facts raise wherever they stand (rule Q3).
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import { Connection } from "../sqlite/connection.ts";
import { ResultCode, SqliteError } from "../sqlite/errors.ts";
import type { Library } from "../sqlite/library.ts";
import { setLimits, setSwitches } from "../sqlite/settings.ts";
import { freezeArithmetic, freezeChance } from "./frozen_functions.ts";
import { SQL_LIMITS } from "./replicated_limits.ts";
import { RandomSource } from "./random_source.ts";
import { OWN_PREFIX } from "./sql_authorizer.ts";
import { SqlSession } from "./sql_session.ts";

/** Where a file comes from, and so what may be in it. */
export type DatabaseOrigin =
  /** A state of Dust: schema and keys were checked entry by entry, the file itself was not. */
  | "state"
  /** Anybody's. */
  | "foreign";

/**
 * What integrity_check finds though nothing is damaged, as a client's statements bring it about: a CHECK that
 * would judge otherwise today (chance), a full-text index that was not told what became of its content.
 */
const NO_DAMAGE =
  /^CHECK constraint failed in |^(?:malformed|unable to validate the) inverted index for FTS\d /;

/** Findings looked at. Those about pages come first, before any about rows. */
const FINDINGS_MAX = 10_000;

/** How SQLite words what the authorizer, or the mistrust in schemas, forbids. */
const FORBIDDEN = / is prohibited$|^unsafe use of |^not authorized/;

interface SchemaObject {
  readonly type: string;
  readonly name: string;
  readonly sql: string;
  readonly isVirtual: boolean;
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
  freezeForChecks(connection);
  checkContent(connection, origin);
  // What clients made through the writer may stand there, also a view that could never be read.
  if (origin === "state") return;
  assertWritable(library, path);
  const objects = schemaOf(connection);
  setLimits(connection, { ...SQL_LIMITS, attachedCount: 0 });
  setSwitches(connection, { defensive: true, trustedSchema: false, loadExtension: false });
  const session = new SqlSession(connection, { isWriter: true });
  using nothing = Connection.open(library, { path: ":memory:", mode: "create" });
  const empty = new SqlSession(nothing, { isWriter: true });
  for (const object of objects) {
    checkName(object);
    if (object.isVirtual) checkModule(empty, object);
    for (const probe of probesOf(session, object)) checkProbe(session, { object, probe });
  }
}

/** What `lookThroughState` found. */
export interface StateFindings {
  /** What is damaged, in SQLite's words; undefined when nothing is. */
  readonly damage: string | undefined;
  /** What hurts nothing, and is worth knowing. */
  readonly notes: readonly string[];
}

/**
 * Looks through the state file of a node that does not run, as far as `checkDatabase` goes for a file from elsewhere,
 * and writes nothing. Keys without rows and views that may not be read are no damage: clients can bring them about.
 * @throws {SqliteError} when it cannot be read for another reason than damage.
 */
export function lookThroughState(connection: Connection): StateFindings {
  freezeForChecks(connection);
  const finding = findDamage(connection);
  if (finding !== "ok") return { damage: finding, notes: [] };
  const notes: string[] = [];
  const orphans = connection.query("PRAGMA foreign_key_check").length;
  if (orphans > 0) notes.push(`${orphans} rows have a foreign key without its row`);
  const objects = schemaOf(connection).filter(({ name }) => !name.startsWith(OWN_PREFIX));
  const stranger = objects.find(({ sql }) => sql.toLowerCase().includes(OWN_PREFIX));
  if (stranger !== undefined) return { damage: `${stranger.name} names a reserved table`, notes };
  setLimits(connection, { ...SQL_LIMITS, attachedCount: 0 });
  setSwitches(connection, { defensive: true, trustedSchema: false, loadExtension: false });
  const session = new SqlSession(connection, { isWriter: true });
  for (const object of objects) {
    const problem = problemWithProbes(session, object);
    if (problem !== undefined) notes.push(problem);
  }
  return { damage: undefined, notes };
}

function problemWithProbes(session: SqlSession, object: SchemaObject): string | undefined {
  try {
    for (const probe of probesOf(session, object)) checkProbe(session, { object, probe });
    return undefined;
  } catch (error) {
    if (error instanceof OperatingError) return error.message.replace("Cannot use database: ", "");
    throw error;
  }
}

/** A header may say that this SQLite can read the file and no more: then no writer could use it. */
function assertWritable(library: Library, path: string): void {
  using connection = Connection.open(library, { path, mode: "readwrite", noFollow: true });
  setSwitches(connection, { noCheckpointOnClose: true });
  try {
    connection.exec("BEGIN IMMEDIATE; ROLLBACK");
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error;
    if ((error.extendedCode & 0xff) !== ResultCode.READONLY) throw error;
    throw refusal("its format is one that can be read only");
  }
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

/** For a connection that only checks: an index on sin(x) holds what our sin() says. */
export function freezeForChecks(connection: Connection): void {
  connection.exec("PRAGMA temp_store=MEMORY; PRAGMA query_only=ON");
  freezeArithmetic(connection);
  freezeChance(connection, { random: new RandomSource(), totalChanges: () => 0 });
}

/** The tables that are b-trees, those behind virtual ones among them. */
export function tablesToScan(connection: Connection): readonly string[] {
  const sql = "SELECT name FROM sqlite_schema WHERE type='table' AND rootpage>0";
  return ["sqlite_schema", ...connection.query(sql).map(([name]) => String(name))];
}

/**
 * Reads one table and its indexes, and compares them. One that is gone is sound.
 * @returns what is damaged, in SQLite's words. @throws {SqliteError} also when it was interrupted.
 */
export function scanTable(connection: Connection, table: string): string | undefined {
  const sql = "SELECT * FROM pragma_integrity_check(?)";
  try {
    return connection.query(sql, table).map(([finding]) => String(finding))
      .find((text) => text !== "ok" && !NO_DAMAGE.test(text));
  } catch (error) {
    if (error instanceof SqliteError && /^no such table: /.test(error.message)) return undefined;
    throw error;
  }
}

/** What SQLite says of the whole file; `ok` when it is whole. */
function findDamage(connection: Connection): string {
  try {
    const rows = connection.query(`PRAGMA integrity_check(${FINDINGS_MAX})`);
    return rows.map(([finding]) => String(finding)).find((text) => !NO_DAMAGE.test(text)) ?? "ok";
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error;
    const code = error.extendedCode & 0xff;
    if (code !== ResultCode.NOTADB && code !== ResultCode.CORRUPT) throw error;
    return error.message;
  }
}

function schemaOf(connection: Connection): readonly SchemaObject[] {
  // What SQLite takes for a virtual table, however its text is spelled.
  const virtual = new Set(
    connection.query("SELECT name FROM pragma_table_list WHERE schema='main' AND type='virtual'")
      .map(([name]) => name),
  );
  const rows = connection.query("SELECT type, name, coalesce(sql, '') FROM sqlite_schema");
  return rows.map(([type, name, sql]) => ({
    type: String(type),
    name: String(name),
    sql: String(sql),
    isVirtual: type === "table" && virtual.has(name),
  }));
}

function checkName({ type, name, sql }: SchemaObject): void {
  if (name.toLowerCase().startsWith(OWN_PREFIX)) {
    throw refusal(`its ${type} ${name} has a name that is reserved`);
  }
  if (sql.toLowerCase().includes(OWN_PREFIX)) {
    throw refusal(`its ${type} ${name} names a table that is reserved`);
  }
}

/** Whether the authorizer would let a client make it, in a database where nothing is in its way. */
function checkModule(empty: SqlSession, { name, sql }: SchemaObject): void {
  try {
    const { statement, isKept } = empty.compile(sql);
    if (statement !== undefined && !isKept) statement.finalize();
  } catch (error) {
    if (!(error instanceof SqliteError) || error.class !== "result") throw error;
    throw refusal(`its table ${name} is of a module that is not allowed: ${error.message}`);
  }
}

/** Statements that make SQLite compile what the object would do; an index does nothing by itself. */
function probesOf(session: SqlSession, { type, name }: SchemaObject): readonly string[] {
  const quoted = quote(name);
  const isTable = type === "table" && !name.toLowerCase().startsWith("sqlite_");
  if (!isTable && type !== "view") return [];
  const columns = columnsOf(session, name);
  // A view is changed by its triggers, or not at all.
  const look = type === "view" ? [`SELECT * FROM ${quoted}`] : [];
  const probes = [...look, `INSERT INTO ${quoted} DEFAULT VALUES`, `DELETE FROM ${quoted}`];
  const [column] = columns;
  if (column === undefined) return probes;
  const [first, all] = [quote(String(column)), columns.map((each) => quote(String(each)))];
  probes.push(`UPDATE ${quoted} SET ${all.map((each) => `${each}=${first}`).join(",")}`);
  return probes;
}

/** Columns that can be set. None of a view that cannot be read: the probe that reads it says why. */
function columnsOf(session: SqlSession, name: string): readonly unknown[] {
  const sql = "SELECT name FROM pragma_table_xinfo(?) WHERE hidden=0";
  try {
    return session.trusted(() => session.connection.query(sql, name)).flat();
  } catch (error) {
    if (error instanceof SqliteError && error.class === "result") return [];
    throw error;
  }
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
