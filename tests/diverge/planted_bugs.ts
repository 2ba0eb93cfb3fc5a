/**
 * Bugs that make replicas differ, each put into a copy of the code to see whether the fuzzer notices.
 * They are the ways in which determinism has been lost before, here or in other databases.
 */
import { bug, type PlantedBug } from "../sim/planted/planted_bug.ts";

const WRITER = "src/state_machine/writer.ts";
const BATCHES = "src/state_machine/batch_runner.ts";
const ENTRIES = "src/state_machine/entry_runner.ts";
const STATEMENTS = "src/state_machine/statement_runner.ts";
const POLICY = "src/state_machine/sql_policy.ts";

const CHANCE_AND_TIME: readonly PlantedBug[] = [
  bug("chance_not_seeded", "chance comes from the entry (rule Q4)", {
    in: WRITER,
    find: "        this.#random.seed(seed[0], seed[1]);\n",
    replace: "        if (seed[0] < 0) this.#random.seed(seed[0], seed[1]);\n",
  }),
  bug("chance_not_frozen", "random() is ours (rule Q4)", {
    in: "src/state_machine/frozen_functions.ts",
    find: '  define("random", 0, () => options.random.int64());\n',
    replace: "",
  }),
  bug("clock_not_frozen", "the clock stands still within an entry (rule Q9)", {
    in: WRITER,
    find: "      vfs: this.#clock.name,\n",
    replace: "",
  }),
  bug("clock_of_the_batch", "the clock is the entry's (rule Q9)", {
    in: WRITER,
    find: "if (nowMs !== this.#timeMs) this.#clock.setTimeMs(nowMs);",
    replace: "if (this.#timeMs < 0) this.#clock.setTimeMs(nowMs);",
  }),
  bug("zone_of_the_node", "local time is UTC everywhere (fault S5)", {
    in: "tests/diverge/replica_process.ts",
    find: '  Deno.env.set("TZ", "UTC");\n',
    replace: "",
  }),
  bug("arithmetic_of_the_processor", "mathematics does not ask the processor (rule Q2)", {
    in: WRITER,
    find: "    freezeArithmetic(this.connection);\n",
    replace: "",
  }),
];

const LEAKS: readonly PlantedBug[] = [
  bug("last_insert_rowid_leaks", "nothing leaks between entries (rule Q6)", {
    in: BATCHES,
    find: "    context.session.connection.setLastInsertRowid(0);\n",
    replace: "",
  }),
  bug("changes_leaks", "nothing leaks between entries (rule Q6)", {
    in: BATCHES,
    find: "    this.#resetChanges.run();\n",
    replace: "",
  }),
  bug("total_changes_leaks", "nothing leaks between entries (rule Q6)", {
    in: WRITER,
    find: "this.connection.totalChanges - this.#context.totalChangesBefore",
    replace: "this.connection.totalChanges",
  }),
  bug("deferred_keys_leak", "nothing leaks between entries (rule Q6)", {
    in: BATCHES,
    find: "      this.#undefer.run();\n",
    replace: "",
  }),
  bug("transaction_left_open", "a client's transaction ends with its entry (rule A2)", {
    in: ENTRIES,
    find: "    if (this.#user.isOpen) this.#rollbackOpen();\n",
    replace: "",
  }),
  bug("schema_not_forgotten", "plans do not follow a replica's past (rule Q5)", {
    in: BATCHES,
    find: "      session.schemaTouched = false;\n      this.#host.reloadSchema();\n",
    replace: "      session.schemaTouched = false;\n",
  }),
  bug("statistics_survive_rollback", "plans do not follow a replica's past (rule Q5)", {
    in: "src/state_machine/savepoints.ts",
    find: "    if (this.#session.schemaTouched) this.#session.reloadSchema();\n",
    replace: "",
  }),
  bug("foreign_keys_of_the_node", "settings are replicated (fault S25)", {
    in: WRITER,
    find: "    setSwitches(this.connection, { foreignKeys: record.foreignKeys });\n",
    replace: "    setSwitches(this.connection, { foreignKeys: false });\n",
  }),
  bug("setting_survives_rollback", "a batch that starts over starts as it began (rule A4c)", {
    in: BATCHES,
    find: "    if (foreignKeys !== this.#committed.foreignKeys) {",
    replace: "    if (foreignKeys !== foreignKeys) {",
  }),
];

const BATCH_BOUNDARIES: readonly PlantedBug[] = [
  bug("deferred_keys_at_commit", "keys are checked where SQLite would (rule A1)", {
    in: STATEMENTS,
    find: "    if (options.isLoose && hasDeferredForeignKeys(session.connection)) {",
    replace: "    if (!options && hasDeferredForeignKeys(session.connection)) {",
  }),
  bug("prefix_of_a_batch_lost", "a rolled-back transaction takes no others along (rule A4c)", {
    in: BATCHES,
    find: "        target = at;\n        continue;\n",
    replace: "        committed = at;\n        continue;\n",
  }),
  bug("full_text_not_flushed", "a batch's boundaries change nothing (rule A1)", {
    in: BATCHES,
    find: '      context.savepoints.open("flush");\n      context.savepoints.release("flush");\n',
    replace: "",
  }),
  bug("unseen_rows_not_compared", "the chain of results does not ask who waits (rule V1)", {
    in: STATEMENTS,
    find: "      while (statement.step()) onRow();\n      digest.end();\n",
    replace: "      while (statement.step());\n      digest.end();\n",
  }),
];

const POLICIES: readonly PlantedBug[] = [
  bug("local_facts_in_writes", "facts of a node stay there (fault S27)", {
    in: POLICY,
    find: '...words(LOCAL_PRAGMAS, { write: "refuse", read: "get" } as const)',
    replace: '...words(LOCAL_PRAGMAS, { write: "get", read: "get" } as const)',
  }),
  bug("settings_of_a_connection", "pragmas cannot change what SQL means (fault S24)", {
    in: POLICY,
    find: '...words(REFUSED_PRAGMAS, { write: "refuse", read: "refuse" } as const)',
    replace: '...words(REFUSED_PRAGMAS, { write: "any", read: "refuse" } as const)',
  }),
  {
    name: "optimize_allowed",
    breaks: "functions do not depend on a connection's past (rule Q6)",
    edits: [
      { path: POLICY, find: "octet_length offsets percent", replace: "optimize offsets percent" },
      { path: POLICY, find: "load_extension optimize sqlite_log", replace: "load_extension" },
    ],
  },
  bug("snapshot_renumbers_rowids", "a copy is the same state (fault S19)", {
    in: "src/state_machine/state_file.ts",
    find: "  backup.finish();\n",
    replace: '  backup.finish();\n  target.exec("VACUUM");\n',
  }),
  bug("kept_statements_of_the_schema", "results do not depend on what is kept (rule Q5)", {
    in: "src/state_machine/sql_session.ts",
    find: "    if (!prepared.isKept) return prepared;\n",
    replace: "    if (prepared !== undefined) return prepared;\n",
  }),
  bug("explain_is_not_compiled_anew", "results do not depend on what is kept (rule Q5)", {
    in: "src/state_machine/sql_session.ts",
    find: "    else if (statement.explain === 0) return prepared;\n",
    replace: "    else return prepared;\n",
  }),
  bug("explain_is_kept", "kept answers are the same everywhere (rule X2)", {
    in: ENTRIES,
    find: "      if (this.#context.isNamed && isQuery && statement.explain !== 0) {",
    replace: "      if (!options && isQuery && statement.explain !== 0) {",
  }),
  bug("kept_statements_fail_later", "results do not depend on what is kept (rule Q5)", {
    in: ENTRIES,
    find: "      if (options.kept !== undefined) ",
    replace: "      if (!options) ",
  }),
];

/** All of them; each must be caught. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  ...CHANCE_AND_TIME,
  ...LEAKS,
  ...BATCH_BOUNDARIES,
  ...POLICIES,
];
