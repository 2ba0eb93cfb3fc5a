/**
 * What can be set on a connection besides SQL: limits, switches, and what its counters say.
 * The numbers are SQLite's own (sqlite3.h) and never change; the names are ours.
 */
import type { Connection } from "./connection.ts";
import { ResultCode, SqliteError } from "./errors.ts";
import { allocate, cString, MAIN_SCHEMA, readCString } from "./library.ts";

/** Limits of `sqlite3_limit`. All of them are replicated constants in Dust (fault S30). */
const LIMITS = {
  length: 0,
  sqlLength: 1,
  columnCount: 2,
  expressionDepth: 3,
  compoundSelectCount: 4,
  vdbeOperationCount: 5,
  functionArgumentCount: 6,
  attachedCount: 7,
  likePatternLength: 8,
  parameterCount: 9,
  triggerDepth: 10,
  workerThreadCount: 11,
} as const;

/** Name of a limit. */
export type Limit = keyof typeof LIMITS;

/** Switches of `sqlite3_db_config`. */
const SWITCHES = {
  foreignKeys: 1002,
  triggers: 1003,
  fts3Tokenizer: 1004,
  loadExtension: 1005,
  noCheckpointOnClose: 1006,
  queryPlannerStability: 1007,
  resetDatabase: 1009,
  defensive: 1010,
  writableSchema: 1011,
  legacyAlterTable: 1012,
  doubleQuotedStringsInDml: 1013,
  doubleQuotedStringsInDdl: 1014,
  views: 1015,
  trustedSchema: 1017,
} as const;

/** Name of a switch. */
export type Switch = keyof typeof SWITCHES;

/** Counters of `sqlite3_db_status`; sizes are in bytes. */
const COUNTERS = {
  cacheUsedSize: 1,
  schemaUsedSize: 2,
  statementUsedSize: 3,
  cacheHitCount: 7,
  cacheMissCount: 8,
  cacheWriteCount: 9,
  deferredForeignKeys: 10,
  cacheSpillCount: 12,
} as const;

/** Name of a counter. */
export type Counter = keyof typeof COUNTERS;

const FILE_CONTROL_PERSIST_WAL = 10;
const FILE_CONTROL_DATA_VERSION = 35;
const KEEP = -1;
const LITTLE_ENDIAN = true;
const OUT = allocate(4);
const OUT_VIEW = new DataView(OUT.buffer);
const HIGHEST = allocate(4);

/** Lowers or raises limits; SQLite caps them at what it was compiled with, in silence. */
export function setLimits(
  connection: Connection,
  limits: { readonly [name in Limit]?: number },
): void {
  const { symbols } = connection.library;
  for (const [name, value] of Object.entries(limits)) {
    symbols.sqlite3_limit(connection.pointer, LIMITS[name as Limit], value);
  }
}

/** The limit in force. */
export function readLimit(connection: Connection, name: Limit): number {
  return connection.library.symbols.sqlite3_limit(connection.pointer, LIMITS[name], KEEP);
}

/**
 * Turns switches on or off.
 * @throws {SqliteError} when this library does not know one.
 */
export function setSwitches(
  connection: Connection,
  switches: { readonly [name in Switch]?: boolean },
): void {
  for (const [name, value] of Object.entries(switches)) {
    configure(connection, SWITCHES[name as Switch], value ? 1n : 0n);
  }
}

/** Whether a switch is on. @throws {SqliteError} when this library does not know it. */
export function readSwitch(connection: Connection, name: Switch): boolean {
  return configure(connection, SWITCHES[name], BigInt(KEEP)) !== 0;
}

function configure(connection: Connection, operation: number, value: bigint): number {
  const { symbols } = connection.library;
  const db = connection.pointer;
  const code = Deno.build.os === "darwin" && Deno.build.arch === "aarch64"
    ? symbols.sqlite3_db_config_apple(db, operation, 0n, 0n, 0n, 0n, 0n, 0n, value, OUT)
    : symbols.sqlite3_db_config(db, operation, value, OUT);
  connection.check(code);
  return OUT_VIEW.getInt32(0, LITTLE_ENDIAN);
}

/** The present value of a counter. @throws {SqliteError} when this library does not know it. */
export function readCounter(connection: Connection, name: Counter): number {
  const { symbols } = connection.library;
  const code = symbols.sqlite3_db_status(connection.pointer, COUNTERS[name], OUT, HIGHEST, 0);
  if (code !== ResultCode.OK) connection.check(code);
  return OUT_VIEW.getInt32(0, LITTLE_ENDIAN);
}

/**
 * Whether some foreign key is violated and its check was put off until COMMIT (rule A1). Costs 60 ns.
 */
export function hasDeferredForeignKeys(connection: Connection): boolean {
  return readCounter(connection, "deferredForeignKeys") !== 0;
}

/** Whether the `-wal` file stays when the last connection closes. */
export function setPersistWal(
  connection: Connection,
  options: { readonly persist: boolean },
): void {
  OUT_VIEW.setInt32(0, options.persist ? 1 : 0, LITTLE_ENDIAN);
  fileControl(connection, FILE_CONTROL_PERSIST_WAL);
}

/** A number that changes with every commit, of this or any connection, that this connection sees. */
export function readDataVersion(connection: Connection): number {
  fileControl(connection, FILE_CONTROL_DATA_VERSION);
  return OUT_VIEW.getUint32(0, LITTLE_ENDIAN);
}

function fileControl(connection: Connection, operation: number): void {
  const { symbols } = connection.library;
  connection.check(
    symbols.sqlite3_file_control(connection.pointer, MAIN_SCHEMA, operation, OUT),
  );
}

/**
 * Loads an extension from a file. SQL's own `load_extension()` stays off.
 * @throws {SqliteError} with the loader's reason.
 */
export function loadExtension(connection: Connection, path: string): void {
  const { symbols } = connection.library;
  const message = allocate(8);
  setSwitches(connection, { loadExtension: true });
  try {
    const load = symbols.sqlite3_load_extension;
    const code = load?.(connection.pointer, cString(path), null, message) ?? ResultCode.ERROR;
    if (code === ResultCode.OK) return;
    const address = new DataView(message.buffer).getBigUint64(0, LITTLE_ENDIAN);
    const pointer = Deno.UnsafePointer.create(address);
    const text = readCString(pointer) ?? "this libsqlite3 cannot load extensions";
    symbols.sqlite3_free(pointer);
    throw new SqliteError(code, text);
  } finally {
    setSwitches(connection, { loadExtension: false });
  }
}
