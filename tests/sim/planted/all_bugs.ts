/**
 * All planted bugs, and the canary: one that no run may survive. If the canary lives, the harness is dead.
 */
import { DISK_BUGS } from "./disk_bugs.ts";
import { NODE_BUGS } from "./node_bugs.ts";
import { bug, type PlantedBug } from "./planted_bug.ts";
import { SQL_BUGS } from "./sql_bugs.ts";
import { ELECTION_BUGS, LOG_BUGS, READ_AND_MEMBER_BUGS } from "./raft_bugs.ts";

/** Every one of them must be caught. */
export const ALL_BUGS: readonly PlantedBug[] = [
  ...ELECTION_BUGS,
  ...LOG_BUGS,
  ...READ_AND_MEMBER_BUGS,
  ...NODE_BUGS,
  ...DISK_BUGS,
  ...SQL_BUGS,
];

/** Results are wrong from the first entry on. */
export const CANARY: PlantedBug = bug("canary", "replicas agree", {
  in: "tests/sim/model_state.ts",
  find: "configuration, digest: digest >>> 0, values, taint: state.taint };",
  replace: "configuration, digest: ++canary, values, taint: state.taint };\n}\n\n" +
    "let canary = 0;\nfunction unused(): void {",
});
