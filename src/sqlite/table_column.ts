/**
 * What the schema says of one column of a table, without a statement.
 */
import type { Connection } from "./connection.ts";
import { allocate, cString, MAIN_SCHEMA, readCString } from "./library.ts";

/** A column as declared. */
export interface TableColumn {
  /** As written, or undefined when no type was given. */
  readonly declaredType: string | undefined;
  readonly collation: string | undefined;
  readonly isNotNull: boolean;
  readonly isPrimaryKey: boolean;
  readonly isAutoincrement: boolean;
}

const LITTLE_ENDIAN = true;
const OUT = allocate(5 * 8);
const VIEW = new DataView(OUT.buffer);
const PARTS = [0, 8, 16, 24, 32].map((at) => OUT.subarray(at, at + 8));
const [TYPE, COLLATION, NOT_NULL, PRIMARY_KEY, AUTOINCREMENT] = PARTS as [
  Uint8Array<ArrayBuffer>,
  Uint8Array<ArrayBuffer>,
  Uint8Array<ArrayBuffer>,
  Uint8Array<ArrayBuffer>,
  Uint8Array<ArrayBuffer>,
];

/** @throws {SqliteError} when there is no such table or column; views have none. */
export function readTableColumn(
  connection: Connection,
  name: { readonly table: string; readonly column: string },
): TableColumn {
  const { symbols } = connection.library;
  connection.check(symbols.sqlite3_table_column_metadata(
    connection.pointer,
    MAIN_SCHEMA,
    cString(name.table),
    cString(name.column),
    TYPE,
    COLLATION,
    NOT_NULL,
    PRIMARY_KEY,
    AUTOINCREMENT,
  ));
  return {
    declaredType: readCString(Deno.UnsafePointer.create(VIEW.getBigUint64(0, LITTLE_ENDIAN))),
    collation: readCString(Deno.UnsafePointer.create(VIEW.getBigUint64(8, LITTLE_ENDIAN))),
    isNotNull: VIEW.getInt32(16, LITTLE_ENDIAN) !== 0,
    isPrimaryKey: VIEW.getInt32(24, LITTLE_ENDIAN) !== 0,
    isAutoincrement: VIEW.getInt32(32, LITTLE_ENDIAN) !== 0,
  };
}
