/**
 * The hazards of replicating SQL statements, S1 to S33, and the tests that stand for each. A row says
 * what could differ between replicas and how it is kept from that; determinism_test.ts checks that every
 * row is here and that every test named here exists. Beside these tests all rows are in reach of the
 * divergence fuzzer (tests/diverge).
 */

/** One hazard. */
export interface Hazard {
  /** What could differ, and what Dust does about it. */
  readonly what: string;
  /** Names of tests, complete. */
  readonly tests: readonly string[];
}

const REFUSED = "What leaves the file, the node or the session is refused (S7, S22 to S28)";
const TWINS = "Two processes that differ in all but the log hold the same state";

/** All hazards by their number. */
export const HAZARDS: Readonly<Record<string, Hazard>> = {
  S1: {
    what: "random() and randomblob(): drawn from the entry's seed, wherever they stand, row by row",
    tests: [
      "Chance comes from the entry's seed, wherever it is drawn (S1, S3)",
      "random() and randomblob() work in DEFAULT, CHECK, triggers and views (rule Q4)",
      TWINS,
    ],
  },
  S2: {
    what: "The present in every spelling: one time per entry, from the clock of the writer's VFS",
    tests: [
      "One time per entry, in every spelling and place (S2, S3, Q9)",
      "ClockVfs gives its time to every spelling of now",
      TWINS,
    ],
  },
  S3: {
    what:
      "Both inside DEFAULT, triggers, views, CHECK, upsert, RETURNING: frozen below the SQL text",
    tests: [
      "One time per entry, in every spelling and place (S2, S3, Q9)",
      "ClockVfs gives its time to DEFAULT, CHECK, trigger, view and upsert",
      "random() and randomblob() work in DEFAULT, CHECK, triggers and views (rule Q4)",
    ],
  },
  S4: {
    what: "Generated columns and indexes on expressions: SQLite's own refusals are kept",
    tests: ["Local time is refused a zone of its own, and generated columns a clock (S4)"],
  },
  S5: {
    what: "localtime and utc: every process lives in UTC",
    tests: [TWINS],
  },
  S6: {
    what: "Counters of the connection: each entry begins anew",
    tests: [
      "changes(), last_insert_rowid() and total_changes() begin anew with each entry (Q6, S6)",
    ],
  },
  S7: { what: "Temporary objects: refused", tests: [REFUSED] },
  S8: {
    what: "BEGIN, COMMIT, SAVEPOINT of a client: savepoints within the entry, closed at its end",
    tests: [
      "A client's transaction is a transaction within its entry, with SQLite's errors (A2, 6.5)",
    ],
  },
  S9: {
    what: "Statements that roll back the whole transaction: the batch is run again around them",
    tests: [
      "A statement that rolls back ends the client's transaction, as in SQLite (A4c)",
      "Writer.apply() gives one state whatever the batches and restarts",
    ],
  },
  S10: {
    what: "Strings of several statements: all are run",
    tests: ["A string of several statements runs them all and answers for the last (6.2)"],
  },
  S11: {
    what: "NUL: refused in SQL, kept in text",
    tests: [
      "SqlText refuses NUL, behind which SQLite would ignore the rest",
      "bindText() and columnText() keep NUL, emoji, BOM and the empty string",
    ],
  },
  S12: {
    what: "Text that is not UTF-8: kept as bytes, shown as U+FFFD",
    tests: [
      "bindTextBytes() and columnBytes() keep bytes that are not UTF-8",
      "JsonWriter.columnText() turns invalid UTF-8 into U+FFFD and keeps NUL",
    ],
  },
  S13: {
    what: "Integers of 64 bits: exact, in and out",
    tests: [
      "bindInteger() and columnInteger() are exact over all 64 bits",
      "writeRows() writes numbers exactly, 64 bits and all (fault S13)",
    ],
  },
  S14: {
    what: "1 and 1.0: the entry carries the type, apply derives nothing",
    tests: ["Values bind by their types and the wire's rules (4.4)"],
  },
  S15: {
    what: "Overflow, infinities, -0.0: one result and one form of it",
    tests: [
      "JsonWriter.real() writes shortest forms, and infinities that JSON can hold",
      "infinity is no number in JSON: as a parameter it is refused, in arithmetic it is a value",
      TWINS,
    ],
  },
  S16: {
    what: "Other versions of SQLite: one pinned build, compared by a hash of it",
    tests: ["handshakeHash differs between builds, and not between two openings (rule Q16)"],
  },
  S17: {
    what: "Mathematics of the processor: replaced by V8's, which is software",
    tests: [
      "freezeArithmetic() gives the values of V8, whatever the processor has",
      "Mathematics does not depend on what the processor can do (Q2)",
    ],
  },
  S18: {
    what:
      "Rows picked by the planner: statistics change through the log only, and are read anew after it",
    tests: [
      "Users do not write statistics; ANALYZE and DROP do (A6)",
      "Statistics that were rolled back leave no trace in later plans (Q5)",
      "Statistics of an entry that never happened leave no trace in later plans (Q5, A4)",
      "What only tunes a connection is accepted and does nothing (S24)",
    ],
  },
  S19: {
    what: "VACUUM renumbers rows: an entry of its own; copies keep every rowid",
    tests: [
      "VACUUM runs alone in its entry, and nowhere else (A2)",
      "A copy of the state keeps rowids that nobody declared (S19)",
    ],
  },
  S20: {
    what: "Behind the last rowid SQLite would draw one by chance: the pinned build says ERROR",
    tests: ["Patched ends of rowids are results, not a full disk (Q1, S20)"],
  },
  S21: {
    what: "AUTOINCREMENT and edits of sqlite_sequence: state like any other",
    tests: ["sqlite_sequence is state: its edits count on every replica and in every copy (S21)"],
  },
  S22: { what: "ATTACH and DETACH: refused", tests: [REFUSED] },
  S23: {
    what: "VACUUM INTO: refused",
    tests: [REFUSED, "VACUUM runs alone in its entry, and nowhere else (A2)"],
  },
  S24: {
    what: "Pragmas: an allow-list over all that the build has; what only tunes is ignored",
    tests: [
      "PRAGMA_RULES names every pragma of the build, and no other",
      "What only tunes a connection is accepted and does nothing (S24)",
      REFUSED,
    ],
  },
  S25: {
    what: "Flags of a node that change what SQL means: replicated, the state's word holds",
    tests: [
      "PRAGMA foreign_keys is a replicated setting, and none within a transaction",
      "A node that is started with other flags keeps the database's settings (S25)",
    ],
  },
  S26: {
    what: "Extensions: never loaded by SQL",
    tests: [
      REFUSED,
      "load_extension() stays off in SQL, and loadExtension() says why a file does not load",
    ],
  },
  S27: {
    what: "Facts about node, build and layout of the file: in reads only",
    tests: [
      "Reads may see facts about the node, and nothing that would stay behind",
      "Functions that show local facts raise, in a DEFAULT too (rule Q3)",
      "Every module of the build is either allowed or a local fact",
      "Where a table begins in the file cannot be stored (S27)",
    ],
  },
  S28: {
    what: "Schema writes: defensive mode stays on, tables of ours are out of reach",
    tests: [REFUSED, "Tables of ours cannot be read, changed, referenced or imitated (Q7)"],
  },
  S29: {
    what: "Failures of one machine: never a result",
    tests: [
      "A full disk is no result: nothing is applied, and the same entries fit later (A3, S29)",
      "classifyError() goes by the extended code (rule A3)",
    ],
  },
  S30: {
    what: "Limits: constants of the program, or replicated",
    tests: [
      "setLimits() bounds values, SQL, columns, parameters, depth and attached databases",
      "Rows of one write are bounded, and the write with them (A3)",
      "meaningDigest() differs when any limit or any line of the policy does (Q16, S30)",
      "isFittingFingerprint() lets the engine differ when told, other limits never (Q16, S30)",
    ],
  },
  S31: {
    what: "FTS5, R-Tree and their shadow tables: flushed by the entry that wrote them",
    tests: [
      "Rows that FTS keeps in memory are written by their own entry, not by a later one (A1)",
      "Writer.apply() gives one state whatever the batches and restarts",
      TWINS,
    ],
  },
  S32: {
    what: "Databases from elsewhere: checked before they are used",
    tests: [
      "checkDatabase() refuses what is damaged, foreign or would do what SQL may not (S32)",
      "checkDatabase() refuses a header that is damaged, and a file that can only be read (S32)",
    ],
  },
  S33: {
    what: "Sessions and changesets miss rows without a key: nothing is built on them",
    tests: ["Nothing is built on sessions of SQLite (S33)"],
  },
};
