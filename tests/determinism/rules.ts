/**
 * The rules of apply, A1 to A6, and of SQLite and its binding, Q1 to Q16, and the tests that fail
 * without them. determinism_test.ts checks that every rule is here and that every test named here exists.
 */
import type { Hazard } from "./hazards.ts";

const BOUNDARIES = "Writer.apply() gives one state whatever the batches and restarts";

/** All rules by their name. */
export const RULES: Readonly<Record<string, Hazard>> = {
  A1: {
    what: "Batch boundaries change nothing",
    tests: [
      BOUNDARIES,
      "Deferred foreign keys are checked where SQLite would commit (A1)",
      "hasDeferredForeignKeys() sees what COMMIT would refuse (rule A1)",
      "Rows that FTS keeps in memory are written by their own entry, not by a later one (A1)",
    ],
  },
  A2: {
    what: "One entry, one commit, with its index",
    tests: [
      "A client's transaction is a transaction within its entry, with SQLite's errors (A2, 6.5)",
      "VACUUM runs alone in its entry, and nowhere else (A2)",
      "The state row follows the log: chain, configuration, no-ops, last write (S3)",
    ],
  },
  A3: {
    what: "The extended code says which errors are results",
    tests: [
      "classifyError() goes by the extended code (rule A3)",
      "A full disk is no result: nothing is applied, and the same entries fit later (A3, S29)",
      "A shadow table that does not fit its FTS5 table is CORRUPT_VTAB, a result (rule A3)",
      "Rows of one write are bounded, and the write with them (A3)",
      "RoomKeeper keeps a ballast in memory, gives it up once, and takes it up again (A3)",
    ],
  },
  A4: {
    what: "Writes without end are aborted by a verdict in the log",
    tests: [
      "An entry past its limit parks behind a committed prefix, and nothing of it stays (A4)",
      "A verdict is obeyed: run to the end, or never happened (A4)",
      "Node proposes a verdict on an entry that parks, and goes on when it stands in the log (A4)",
      "A write without end is ended, and a restart neither hangs on it nor decides anew (A4)",
    ],
  },
  A4b: {
    what: "What cannot be interrupted is bounded",
    tests: [
      "Searches refuse more work than their bound (rule A4b)",
      "An entry that nothing interrupts is recorded and ends the process; the next start has it voided unrun (A4b)",
      "An entry on record waits for its verdict unrun, and is forgotten once no start meets it again (A4b)",
    ],
  },
  A4c: {
    what: "A transaction that was rolled back takes nothing of its batch along",
    tests: [
      "A statement that rolls back ends the client's transaction, as in SQLite (A4c)",
      BOUNDARIES,
    ],
  },
  A5: {
    what: "Strong reads are barriers, shared by all that wait",
    tests: [
      "Node.barrier() is shared by reads that wait for its turn, and by none that come later (A5)",
    ],
  },
  A6: {
    what: "Users do not write statistics",
    tests: ["Users do not write statistics; ANALYZE and DROP do (A6)"],
  },
  Q1: {
    what: "The pinned build is patched, each site exactly once",
    tests: [
      "patchSource() refuses a source in which a site is missing or stands twice",
      "Patched ends of rowids are results, not a full disk (Q1, S20)",
      "Patch column-names: the sixth equal column has the same name in every database",
      "Patch fts5-locale: a value with a locale is the same bytes on every connection",
      "Patch rowid-end: an INSERT behind the largest rowid is an error, no random rowid",
    ],
  },
  Q2: {
    what: "Mathematics does not depend on the processor",
    tests: [
      "Mathematics does not depend on what the processor can do (Q2)",
      "freezeArithmetic() gives the values of V8, whatever the processor has",
    ],
  },
  Q3: {
    what: "Functions are refused by overriding them",
    tests: [
      "Functions that show local facts raise, in a DEFAULT too (rule Q3)",
      "A function that refuses also does so in a DEFAULT, which no authorizer sees (rule Q3)",
    ],
  },
  Q4: {
    what: "random() and randomblob() are innocuous, and not deterministic",
    tests: [
      "random() and randomblob() work in DEFAULT, CHECK, triggers and views (rule Q4)",
      "A random() that is not innocuous fails in a DEFAULT when the schema is not trusted (rule Q4)",
    ],
  },
  Q5: {
    what: "Schema and statistics in memory are those of the file",
    tests: [
      "Statistics that were rolled back leave no trace in later plans (Q5)",
      "Statistics of an entry that never happened leave no trace in later plans (Q5, A4)",
      BOUNDARIES,
    ],
  },
  Q6: {
    what: "Nothing leaks between entries",
    tests: [
      "changes(), last_insert_rowid() and total_changes() begin anew with each entry (Q6, S6)",
      "PRAGMA defer_foreign_keys ends with its entry (Q6)",
      "what names leave behind does not show in the entries after them (Q6)",
      "optimize() of FTS3, which depends on the connection's past, is refused (Q6)",
    ],
  },
  Q7: {
    what: "Tables of ours are out of reach",
    tests: [
      "Tables of ours cannot be read, changed, referenced or imitated (Q7)",
      "Tables of ours are hidden from reads (Q7, 19.5)",
    ],
  },
  Q8: {
    what: "An exception in a callback stops what called it",
    tests: [
      "An exception in the authorizer denies and is thrown by prepare (rule Q8)",
      "Another exception is thrown by step(), and nothing is written (rule Q8)",
      "ClockVfs reports a time that was asked for before it was set (rule Q8)",
    ],
  },
  Q9: {
    what: "The clock is the entry's, and what is no time is refused",
    tests: [
      "One time per entry, in every spelling and place (S2, S3, Q9)",
      "ClockVfs refuses times that SQLite would turn into NULL (rule Q9)",
      "Time never goes back, survives a restart, and ignores what is no time (T1, Q9)",
    ],
  },
  Q10: {
    what: "One copy of the library per process",
    tests: [
      "openLibrary() opens the same copy by its path, and refuses another one (rule Q10)",
      "A second copy of the library is refused in a Worker (rule Q10)",
    ],
  },
  Q11: {
    what: "A writer that died is the process's end",
    tests: ["A writer that cannot go on says so, and nothing pretends that it did (Q11)"],
  },
  Q12: {
    what: "An interrupt meant for another query is no answer",
    tests: [
      "An interrupt that was meant for another query is not an answer: it is run again (Q12)",
    ],
  },
  Q13: {
    what: "Values cross the binding whole",
    tests: [
      "bindBlob() keeps an empty blob apart from NULL",
      "bindInteger() refuses what would wrap or be cut",
      "A finalized statement throws on use instead of reading freed memory",
    ],
  },
  Q14: {
    what: "Temporary storage is memory",
    tests: ["Large sorts stay in memory, where the pinned build keeps what is temporary (Q14)"],
  },
  Q15: {
    what: "Copies are made by the backup API, of one point in time",
    tests: [
      "Backup inside a read transaction is of one point in time (rule Q15)",
      "A copy of the state keeps rowids that nobody declared (S19)",
    ],
  },
  Q16: {
    what: "Builds are compared by a hash of all that changes results",
    tests: [
      "handshakeHash differs between builds, and not between two openings (rule Q16)",
      "sqliteFingerprint() says the library, the runtime, and our own limits and policy (Q16)",
      "isFittingFingerprint() lets the engine differ when told, other limits never (Q16, S30)",
      "meaningDigest() differs when any limit or any line of the policy does (Q16, S30)",
    ],
  },
};
