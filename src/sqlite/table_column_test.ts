import { deepStrictEqual, throws } from "node:assert/strict";
import { SqliteError } from "./errors.ts";
import { readTableColumn } from "./table_column.ts";
import { openMemory } from "./testing.ts";

Deno.test("readTableColumn() says what the schema says", () => {
  using db = openMemory();
  db.exec(
    "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, n TEXT COLLATE NOCASE NOT NULL, x)",
  );
  deepStrictEqual(readTableColumn(db, { table: "t", column: "id" }), {
    declaredType: "INTEGER",
    collation: "BINARY",
    isNotNull: false,
    isPrimaryKey: true,
    isAutoincrement: true,
  });
  deepStrictEqual(readTableColumn(db, { table: "t", column: "N" }), {
    declaredType: "TEXT",
    collation: "NOCASE",
    isNotNull: true,
    isPrimaryKey: false,
    isAutoincrement: false,
  });
  deepStrictEqual(readTableColumn(db, { table: "t", column: "x" }).declaredType, undefined);
  throws(() => readTableColumn(db, { table: "t", column: "y" }), SqliteError);
  throws(() => readTableColumn(db, { table: "u", column: "x" }), SqliteError);
});
