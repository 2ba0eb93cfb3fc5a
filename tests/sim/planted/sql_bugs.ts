/**
 * Bugs in how entries are run in SQLite: what makes replicas differ that applied one log in other batches,
 * or with a restart in between. Real SQLite runs behind every seed here, not behind a share of them.
 */
import { bug, type PlantedBug } from "./planted_bug.ts";

const EVERY_SEED = {
  path: "tests/sim/swarm_options.ts",
  find: "const SQLITE_SHARE = 0.02;",
  replace: "const SQLITE_SHARE = 1;",
};

function inSqlite(planted: PlantedBug): PlantedBug {
  return { ...planted, edits: [...planted.edits, EVERY_SEED] };
}

/** See the file's header. */
export const SQL_BUGS: readonly PlantedBug[] = [
  bug("sql_chance_not_seeded", "chance comes from the entry (rule Q4)", {
    in: "src/state_machine/writer.ts",
    find: "        this.#random.seed(seed[0], seed[1]);\n",
    replace: "        if (seed[0] < 0) this.#random.seed(seed[0], seed[1]);\n",
  }),
  bug("sql_clock_goes_back", "time never goes back (rule T1)", {
    in: "src/state_machine/writer.ts",
    find: "if (nowMs !== this.#timeMs) this.#clock.setTimeMs(nowMs);",
    replace: "if (this.#timeMs < 0) this.#clock.setTimeMs(nowMs);",
  }),
  bug("sql_last_rowid_leaks", "nothing leaks between entries (rule Q6)", {
    in: "src/state_machine/batch_runner.ts",
    find: "    context.session.connection.setLastInsertRowid(0);\n",
    replace: "",
  }),
  bug("sql_prefix_of_a_batch_lost", "a rolled-back transaction takes no others along (rule A4c)", {
    in: "src/state_machine/batch_runner.ts",
    find: "      if (at > committed) {\n        target = at;\n        continue;\n      }\n",
    replace: "      if (at > committed) {\n        committed = at;\n        continue;\n      }\n",
  }),
].map(inSqlite);
