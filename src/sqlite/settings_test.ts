import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { Connection } from "./connection.ts";
import { SqliteError } from "./errors.ts";
import {
  hasDeferredForeignKeys,
  loadExtension,
  readCounter,
  readDataVersion,
  readLimit,
  readSwitch,
  setLimits,
  setPersistWal,
  setSwitches,
} from "./settings.ts";
import { openMemory, TemporaryFolder, testLibrary } from "./testing.ts";

Deno.test("setLimits() bounds values, SQL, columns, parameters, depth and attached databases", () => {
  using db = openMemory();
  setLimits(db, {
    length: 1000,
    sqlLength: 200,
    columnCount: 5,
    expressionDepth: 5,
    parameterCount: 4,
    attachedCount: 0,
  });
  deepStrictEqual([readLimit(db, "length"), readLimit(db, "attachedCount")], [1000, 0]);
  const refused: [string, RegExp][] = [
    ["SELECT zeroblob(1001)", /string or blob too big/],
    [`SELECT '${"x".repeat(200)}'`, /too big|too long/],
    ["SELECT 1, 2, 3, 4, 5, 6", /too many columns/],
    ["SELECT 1+1+1+1+1+1", /Expression tree is too large/],
    ["SELECT ?5", /variable number must be between \?1 and \?4/],
    ["ATTACH ':memory:' AS x", /too many attached databases/],
  ];
  for (const [sql, message] of refused) throws(() => db.exec(sql), message);
  using statement = db.prepare("SELECT ?");
  throws(
    () => statement.bindBlob(1, new Uint8Array(1001)),
    (error: SqliteError) => error.extendedCode === 18 && error.class === "result",
  );
  statement.bindBlob(1, new Uint8Array(1000));
});

Deno.test("setSwitches() turns foreign keys, double-quoted strings and the defensive mode on and off", () => {
  using db = openMemory();
  db.exec("CREATE TABLE p(a PRIMARY KEY); CREATE TABLE c(a REFERENCES p)");
  deepStrictEqual(
    [readSwitch(db, "foreignKeys"), readSwitch(db, "doubleQuotedStringsInDml")],
    [false, true],
  );
  db.exec("INSERT INTO c VALUES (1); DELETE FROM c");
  setSwitches(db, { foreignKeys: true, defensive: true, doubleQuotedStringsInDml: false });
  throws(() => db.exec("INSERT INTO c VALUES (1)"), /FOREIGN KEY constraint failed/);
  throws(() => db.exec('SELECT "fiona"'), /no such column/);
  db.exec("PRAGMA writable_schema = ON");
  throws(() => db.exec("UPDATE sqlite_schema SET sql = ''"), /may not be modified/);
  ok(readSwitch(db, "defensive"));
});

Deno.test("hasDeferredForeignKeys() sees what COMMIT would refuse (rule A1)", () => {
  using db = openMemory();
  setSwitches(db, { foreignKeys: true });
  db.exec(`CREATE TABLE p(a PRIMARY KEY);
    CREATE TABLE c(a REFERENCES p DEFERRABLE INITIALLY DEFERRED);
    BEGIN; SAVEPOINT s`);
  ok(!hasDeferredForeignKeys(db));
  db.exec("INSERT INTO c VALUES (1)");
  ok(hasDeferredForeignKeys(db));
  db.exec("ROLLBACK TO s");
  ok(!hasDeferredForeignKeys(db));
  db.exec("INSERT INTO c VALUES (1); INSERT INTO p VALUES (1)");
  ok(!hasDeferredForeignKeys(db));
  db.exec("COMMIT");
});

Deno.test("readCounter() has sizes of cache, schema and statements", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
  using statement = db.prepare("SELECT a FROM t");
  ok(readCounter(db, "cacheUsedSize") > 0);
  ok(readCounter(db, "schemaUsedSize") > 0);
  ok(readCounter(db, "statementUsedSize") > 0);
  ok(!statement.isBusy);
});

Deno.test("readDataVersion() changes when another connection commits", () => {
  using folder = new TemporaryFolder();
  const open = (): Connection =>
    Connection.open(testLibrary(), { path: folder.file("db"), mode: "create" });
  using one = open();
  using two = open();
  one.exec("CREATE TABLE t(a)");
  two.exec("SELECT * FROM t");
  const before = readDataVersion(two);
  one.exec("INSERT INTO t VALUES (1)");
  two.exec("SELECT * FROM t");
  ok(readDataVersion(two) !== before);
});

Deno.test("setPersistWal() and noCheckpointOnClose keep the -wal when the last connection closes", () => {
  using folder = new TemporaryFolder();
  const exists = (name: string): boolean =>
    [...Deno.readDirSync(folder.path)].some((entry) => entry.name === name);
  for (const keep of ["persist", "no checkpoint", "nothing"]) {
    const db = Connection.open(testLibrary(), { path: folder.file(keep), mode: "create" });
    db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t(a)");
    if (keep === "persist") setPersistWal(db, { persist: true });
    if (keep === "no checkpoint") setSwitches(db, { noCheckpointOnClose: true });
    db.close();
    strictEqual(exists(`${keep}-wal`), keep !== "nothing", keep);
  }
});

Deno.test("load_extension() stays off in SQL, and loadExtension() says why a file does not load", () => {
  using db = openMemory();
  throws(() => db.exec("SELECT load_extension('x')"), /not authorized/);
  throws(() => loadExtension(db, "/nonexistent/extension.so"), /nonexistent/);
  ok(!readSwitch(db, "loadExtension"));
  throws(() => db.exec("SELECT load_extension('x')"), /not authorized/);
});
