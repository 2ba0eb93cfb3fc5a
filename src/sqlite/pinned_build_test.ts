/**
 * Each patch of rule Q1 by what it does, so each test fails on a library without it. On a machine
 * without a C compiler the loader may have fallen back to the system's library: then they are ignored.
 */
import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { FatalError } from "../base/errors.ts";
import { ClockVfs } from "./clock_vfs.ts";
import { Connection } from "./connection.ts";
import { SqliteError } from "./errors.ts";
import { PATCHES, patchSource, recipeHash } from "./pinned_build.ts";
import { hasDeferredForeignKeys } from "./settings.ts";
import { openMemory, testLibrary, testLibraryLocation } from "./testing.ts";

const ignore = testLibraryLocation().origin === "system";

function testPinned(name: string, fn: () => void): void {
  Deno.test({ name, ignore, fn });
}

function isRowidError(error: SqliteError): boolean {
  deepStrictEqual([error.extendedCode, error.class], [1, "result"]);
  match(error.message, /largest rowid/);
  return true;
}

testPinned("Patch column-names: the sixth equal column has the same name in every database", () => {
  const names = (): unknown => {
    using db = openMemory();
    db.exec(`CREATE TABLE t AS SELECT ${Array(12).fill("1 AS a").join(", ")}`);
    return db.query("SELECT name FROM pragma_table_info('t')").flat();
  };
  const expected = ["a", "a:1", "a:2", "a:3", "a:4", "a:10", "a:11", "a:12", "a:13", "a:14"];
  deepStrictEqual(names(), [...expected, "a:15", "a:16"]);
});

testPinned(
  "Patch column-names: two thousand equal columns, and names that are taken, end soon",
  () => {
    using db = openMemory();
    const taken = `1 AS "a:10", 1 AS "a:11"`;
    db.exec(`CREATE TABLE t AS SELECT ${taken}, ${Array(1990).fill("1 AS a").join(", ")}`);
    const names = db.query("SELECT name FROM pragma_table_info('t')").flat();
    strictEqual(new Set(names).size, 1992);
  },
);

testPinned("Patch fts5-locale: a value with a locale is the same bytes on every connection", () => {
  const bytes = (): unknown => {
    using db = openMemory();
    db.exec("CREATE VIRTUAL TABLE f USING fts5(a, locale=1)");
    return db.query("SELECT hex(fts5_locale('en_US', 'text'))")[0]?.[0];
  };
  const first = bytes();
  strictEqual(bytes(), first);
  ok(typeof first === "string" && first.startsWith("6D9724F9136E5916AABE807C7FA6039B"));
});

function fillToTheEnd(db: Connection, declaration: string): void {
  db.exec(`CREATE TABLE t(a ${declaration}, b); INSERT INTO t VALUES (9223372036854775807, 1)`);
}

testPinned(
  "Patch rowid-end: an INSERT behind the largest rowid is an error, no random rowid",
  () => {
    using db = openMemory();
    fillToTheEnd(db, "INTEGER PRIMARY KEY");
    throws(() => db.exec("INSERT INTO t(b) VALUES (2)"), isRowidError);
    throws(() => db.exec("INSERT INTO t(b) VALUES (2)"), isRowidError);
    deepStrictEqual(db.query("SELECT b FROM t"), [[1]]);
    db.exec("INSERT INTO t VALUES (5, 2)");
    db.exec("DELETE FROM t WHERE b = 1; INSERT INTO t(b) VALUES (3)");
    deepStrictEqual(db.query("SELECT a FROM t"), [[5], [6]]);
  },
);

testPinned("Patch rowid-end: also in a trigger and for several rows of one statement", () => {
  using db = openMemory();
  fillToTheEnd(db, "INTEGER PRIMARY KEY");
  db.exec(
    "CREATE TABLE s(x); CREATE TRIGGER g AFTER INSERT ON s BEGIN INSERT INTO t(b) VALUES (1); END",
  );
  throws(() => db.exec("INSERT INTO s VALUES (1)"), isRowidError);
  throws(() => db.exec("INSERT INTO t(b) SELECT b FROM t UNION ALL SELECT 3"), isRowidError);
  deepStrictEqual(db.query("SELECT count(*) FROM s"), [[0]]);
});

testPinned(
  "Patch autoincrement-end: an INSERT at the end is an error and not a full disk (rule A3)",
  () => {
    using db = openMemory();
    fillToTheEnd(db, "INTEGER PRIMARY KEY AUTOINCREMENT");
    throws(() => db.exec("INSERT INTO t(b) VALUES (2)"), isRowidError);
    db.exec("DELETE FROM t");
    throws(() => db.exec("INSERT INTO t(b) VALUES (2)"), isRowidError, "sqlite_sequence remembers");
  },
);

testPinned("Patch deferred-keys: a negative count is shown, as COMMIT refuses it (rule A1)", () => {
  using db = openMemory();
  db.exec(`CREATE TABLE p(id INTEGER PRIMARY KEY);
    CREATE TABLE c(p REFERENCES p DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO c VALUES(1); PRAGMA foreign_keys=ON;
    BEGIN; INSERT INTO c VALUES(1); INSERT INTO p VALUES(1)`);
  ok(hasDeferredForeignKeys(db));
  throws(() => db.exec("COMMIT"), /FOREIGN KEY constraint failed/);
});

testPinned("Patch fts5-logarithm: bm25() is as it was, but for last bits (rule Q2)", () => {
  using db = openMemory();
  db.exec("CREATE VIRTUAL TABLE f USING fts5(a)");
  for (let row = 1; row <= 40; row++) {
    db.exec(`INSERT INTO f VALUES('${row % 13 === 0 ? "rare" : "common"} word${row}')`);
  }
  const [[rare] = []] = db.query("SELECT bm25(f) FROM f('rare') LIMIT 1");
  const [[common] = []] = db.query("SELECT bm25(f) FROM f('common') LIMIT 1");
  // One of 2 words, in documents of average length: the logarithm itself.
  ok(Math.abs(Number(rare) + Math.log(37.5 / 3.5)) < 1e-14, String(rare));
  ok(Math.abs(Number(common) + 1e-6) < 1e-14, String(common));
});

const OBJECT = "json_object('x', 1)";
const WRITES = [
  `INSERT INTO t(a, b) SELECT 1, ${OBJECT}`,
  `INSERT INTO t(a, b) VALUES(2, ${OBJECT}), (3, json('[1]')), (4, 'text')`,
  "UPDATE t SET b = json('[2]') WHERE a = 4",
  `REPLACE INTO t(a, b) VALUES(1, ${OBJECT})`,
  "INSERT INTO t(a, b) VALUES(2, 0) ON CONFLICT(a) DO UPDATE SET b = json_array(excluded.b)",
];
const TABLES_THAT_SEE: readonly (readonly [string, string])[] = [
  ["an index on an expression", "CREATE INDEX i ON t(json_array(b), subtype(b))"],
  ["a partial index", "CREATE INDEX i ON t(a) WHERE subtype(b) = 74"],
  ["an index on a virtual column", "CREATE INDEX i ON t(v)"],
  ["an index on what a stored column says", "CREATE INDEX i ON t(json_array(s))"],
  ["an index on a virtual column of a stored one", "CREATE INDEX i ON t(w)"],
];

for (const [name, index] of TABLES_THAT_SEE) {
  for (const kind of ["", " WITHOUT ROWID"]) {
    testPinned(`Patch subtypes: ${name} says what the stored value says${kind}`, () => {
      using db = openMemory();
      db.exec(`CREATE TABLE t(a INTEGER PRIMARY KEY, b, v AS (json_array(b)),
        s AS (json(CASE WHEN json_valid(b) THEN b END)) STORED, w AS (json_array(s)))${kind}; ${index}`);
      for (const sql of WRITES) {
        db.exec(sql);
        deepStrictEqual(db.query("PRAGMA integrity_check"), [["ok"]], sql);
      }
    });
  }
}

testPinned("Patch subtypes: a CHECK judges the stored value", () => {
  using db = openMemory();
  db.exec("CREATE TABLE t(b CHECK(json_array(b) LIKE '[\"%'))");
  db.exec(`INSERT INTO t SELECT ${OBJECT}`);
  deepStrictEqual(db.query("PRAGMA integrity_check"), [["ok"]]);
});

Deno.test("patchSource() refuses a source in which a site is missing or stands twice", () => {
  const source = PATCHES.map((patch) => patch.before).join("\n");
  const patched = patchSource(source);
  for (const patch of PATCHES) {
    ok(patched.includes(patch.after));
    ok(patch.after.includes(patch.before) || !patched.includes(patch.before), patch.name);
    const without = source.replace(patch.before, "");
    throws(
      () => patchSource(without),
      new FatalError(1, `Cannot patch SQLite: the site of "${patch.name}" was not found`),
    );
    throws(() => patchSource(source + patch.before), /found more than once/);
  }
});

testPinned(
  "The library found is the pinned one, with our options and none that moves plans",
  () => {
    const library = testLibrary();
    ok(library.isPinned);
    strictEqual(library.recipe, recipeHash());
    strictEqual(library.versionNumber, 3_053_002);
    const options = new Set(library.compileOptions);
    for (
      const option of [
        "THREADSAFE=2",
        "DQS=3",
        "TEMP_STORE=2",
        "ENABLE_FTS5",
        "ENABLE_SNAPSHOT",
        "ENABLE_SESSION",
        "ENABLE_GEOPOLY",
        "ENABLE_MATH_FUNCTIONS",
        "ENABLE_COLUMN_METADATA",
      ]
    ) {
      ok(options.has(option), option);
    }
    ok(!options.has("ENABLE_STAT4") && !options.has("OMIT_PROGRESS_CALLBACK"));
    ok(!library.compileOptions.some((option) => option.startsWith("COMPILER=")));
    match(library.handshakeHash, /^[0-9a-f]{16}$/);
  },
);

Deno.test("The clock's VFS does not change the default one", () => {
  const library = testLibrary();
  using clock = new ClockVfs(library, "test-default");
  clock.setTimeMs(0);
  strictEqual(
    Deno.UnsafePointer.value(library.symbols.sqlite3_vfs_find(null)),
    library.vfsAddress,
  );
});

/** Temporary files are unlinked as soon as they are open; their name stays visible. */
function temporaryFiles(): readonly string[] {
  return Array.from(Deno.readDirSync("/proc/self/fd"), ({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/self/fd/${name}`);
    } catch (error) {
      // The folder's own descriptor is closed by then.
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    }
  }).filter((target) => target.includes("/etilqs_"));
}

/** How many temporary files a sort of 20 MB has open behind its first row. */
function filesOfSort(db: Connection): number {
  using statement = db.prepare(
    `WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20000)
      SELECT hex(zeroblob(500)) || x AS text FROM n ORDER BY text DESC`,
  );
  ok(statement.step());
  return temporaryFiles().length;
}

Deno.test({
  name: "Large sorts stay in memory, where the pinned build keeps what is temporary (Q14)",
  ignore: ignore || Deno.build.os !== "linux",
  fn(): void {
    const before = temporaryFiles().length;
    using db = openMemory();
    strictEqual(filesOfSort(db), before);
    db.exec("PRAGMA temp_store=FILE");
    ok(filesOfSort(db) > before, "without the option a sort would be on disk");
  },
});

testPinned(
  "Patch fts3-automerge: the setting is kept, and COMMIT merges nothing by itself",
  () => {
    const segments = (batch: number): unknown => {
      using db = openMemory();
      db.exec("CREATE VIRTUAL TABLE f USING fts4(a); INSERT INTO f(f) VALUES('automerge=2')");
      for (let at = 0; at < 240; at++) {
        if (at % batch === 0) db.exec("BEGIN");
        db.exec(`SAVEPOINT s; INSERT INTO f VALUES('word${at}'); RELEASE s`);
        if (at % batch === batch - 1) db.exec("COMMIT");
      }
      strictEqual(db.query("SELECT value FROM f_stat WHERE id = 2")[0]?.[0], 2);
      return db.query("SELECT level, idx, hex(root) FROM f_segdir");
    };
    deepStrictEqual(segments(120), segments(1));
  },
);

testPinned(
  "Patches fts3-merge, fts3-automerge-setting: FTS3 makes no table that it believes in when it is undone",
  () => {
    for (const command of ["merge=4,2", "automerge=2"]) {
      using db = openMemory();
      db.exec("CREATE VIRTUAL TABLE f USING fts3(a)");
      db.exec("BEGIN; INSERT INTO f VALUES('one'); SAVEPOINT s");
      throws(() => db.exec(`INSERT INTO f(f) VALUES('${command}')`), /SQL logic error/);
      db.exec("ROLLBACK TO s; INSERT INTO f VALUES('two'); COMMIT");
      deepStrictEqual(db.query("SELECT count(*) FROM f WHERE f MATCH 'one OR two'"), [[2]]);
      deepStrictEqual(db.query("SELECT name FROM sqlite_schema WHERE name = 'f_stat'"), []);
    }
  },
);

testPinned("Patch fts5-cookie: an emptied index is the same bytes on a fresh connection", () => {
  const cookies = (connections: 1 | 2): unknown => {
    const path = Deno.makeTempFileSync();
    try {
      const open = (): Connection => Connection.open(testLibrary(), { path, mode: "readwrite" });
      let db = open();
      db.exec("CREATE VIRTUAL TABLE f USING fts5(a, content='')");
      db.exec("INSERT INTO f(f, rank) VALUES('pgsz', 64)");
      if (connections === 2) {
        db.close();
        db = open();
      }
      db.exec("INSERT INTO f(f) VALUES('delete-all')");
      const rows = db.query("SELECT id, hex(block) FROM f_data");
      db.close();
      return rows;
    } finally {
      Deno.removeSync(path);
    }
  };
  deepStrictEqual(cookies(2), cookies(1));
});

testPinned("Functions may spoil what their callers were optimized on: the process lives", () => {
  const program = new URL("./deoptimizing_program.ts", import.meta.url);
  const { success, stdout, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--no-check", program.pathname],
  }).outputSync();
  const text = new TextDecoder().decode(stdout);
  ok(success && text === "alive true\n", text + new TextDecoder().decode(stderr).slice(0, 300));
});

testPinned(
  "Patches fts5-settings, fts5-cookie-undone: settings that were undone are forgotten",
  () => {
    const table = "CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES('x'), ('x x')";
    const content = (db: Connection): unknown => {
      db.exec("INSERT INTO f VALUES('fox'); DELETE FROM f WHERE rowid = 2");
      const shadows = ["f_config", "f_data", "f_idx"].map((name) =>
        db.query(`SELECT * FROM ${name}`)
      );
      return [shadows, db.query("SELECT rowid, rank FROM f WHERE f MATCH 'x'")];
    };
    const expected = ((): unknown => {
      using db = openMemory();
      db.exec(table);
      return content(db);
    })();
    const settings = [
      "'secure-delete', 1",
      "'pgsz', 64",
      "'rank', 'bm25(9.0)'",
      "'deletemerge', 5",
    ];
    for (const setting of settings) {
      using db = openMemory();
      db.exec(table);
      db.exec(`BEGIN; SAVEPOINT s; INSERT INTO f VALUES('undone');
        INSERT INTO f(f, rank) VALUES(${setting}); ROLLBACK TO s; COMMIT`);
      deepStrictEqual(content(db), expected, setting);
    }
  },
);
