/**
 * Figures of a cluster of real processes with default settings: what the loss of a node costs its clients, and
 * what it takes to come back. Not a test: each command prints one line of JSON, times in milliseconds.
 *
 *   deno run -A tests/figures/main.ts kill-leader ROUNDS     SIGKILL; also pause-leader (SIGSTOP), stop-leader
 *                                                            (SIGTERM), kill-follower; 64 clients write meanwhile
 *   deno run -A tests/figures/main.ts catch-up WRITES log    a node was down for so many writes; also: snapshot
 *   deno run -A tests/figures/main.ts large MEGABYTES        disk mode: snapshot, restart, join
 *   deno run -A tests/figures/main.ts divergence ROUNDS      a row is changed behind a node's back: found, renewed;
 *                                                            also: ROUNDS down, with a second node stopped,
 *                                                            divergence-5 with five nodes
 *   deno run -A tests/figures/main.ts purge WRITES           what the data directories take up meanwhile
 */
import { v8Option } from "../../scripts/compile.ts";
import { execute, TestCluster } from "../cluster.ts";
import { catchUp } from "./catch_up.ts";
import { divergence } from "./divergence.ts";
import { rounds } from "./failover.ts";
import { large } from "./large.ts";
import { purge } from "./purge.ts";

const RAM_FOLDERS = "/dev/shm";
const READY_MS_MAX = 300_000;
const USAGE = "Usage: see the first lines of tests/figures/main.ts\n";

/** What is measured on a cluster that runs, by the words behind it. */
type Scenario = (cluster: TestCluster, words: readonly string[]) => Promise<object>;

const SCENARIOS: Readonly<Record<string, { readonly run: Scenario; readonly flags?: string[] }>> = {
  "kill-leader": { run: (cluster, words) => rounds(cluster, { blow: "kill-leader", words }) },
  "pause-leader": { run: (cluster, words) => rounds(cluster, { blow: "pause-leader", words }) },
  "stop-leader": { run: (cluster, words) => rounds(cluster, { blow: "stop-leader", words }) },
  "kill-follower": { run: (cluster, words) => rounds(cluster, { blow: "kill-follower", words }) },
  "catch-up": { run: catchUp },
  divergence: { run: divergence },
  "divergence-5": { run: divergence },
  large: { run: large, flags: ["--on-disk"] },
  purge: { run: purge },
};

async function main([name = "", ...words]: readonly string[]): Promise<number> {
  const scenario = SCENARIOS[name];
  if (scenario === undefined) {
    Deno.stderr.writeSync(new TextEncoder().encode(USAGE));
    return 2;
  }
  const project = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
  Deno.env.set("DENO_V8_FLAGS", v8Option(project).replace("--v8-flags=", ""));
  const ramFolder = await Deno.makeTempDir({ prefix: "dust-figures-", dir: RAM_FOLDERS });
  const byLog = words.includes("log") ? ["--raft-snap", "100000000"] : [];
  const flags = [...(scenario.flags ?? []), ...byLog];
  try {
    const size = name === "large" ? 1 : name === "divergence-5" ? 5 : 3;
    await using cluster = await TestCluster.start(size, {
      flags,
      ramFolder,
      readyMsMax: READY_MS_MAX,
    });
    const leader = await cluster.leader();
    await execute(leader, ["CREATE TABLE load(id INTEGER PRIMARY KEY, a INT, b TEXT)"]);
    const figures = await scenario.run(cluster, words);
    const text = JSON.stringify({ name, words, load: Deno.loadavg()[0], ...figures });
    Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
    return 0;
  } finally {
    await Deno.remove(ramFolder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
