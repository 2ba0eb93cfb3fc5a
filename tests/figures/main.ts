/**
 * Figures of a cluster of real processes with default settings: what the loss of a node costs its clients, and
 * what it takes to come back. Not a test: each command prints one line of JSON, times in milliseconds.
 *
 *   deno run -A tests/figures/main.ts kill-leader ROUNDS     SIGKILL; also pause-leader (SIGSTOP), stop-leader
 *                                                            (SIGTERM), kill-follower; 64 clients write meanwhile
 *   deno run -A tests/figures/main.ts catch-up WRITES log    a node was down for so many writes; also: snapshot
 *   deno run -A tests/figures/main.ts large MEGABYTES        disk mode: snapshot, restart, join
 *   deno run -A tests/figures/main.ts divergence ROUNDS row  a row is changed behind a node's back: found, renewed;
 *                                                            also: ROUNDS page, ROUNDS log; divergence-5 with five
 *                                                            nodes, then also ROUNDS row down, a second one stopped;
 *                                                            status 1 when anything is lost or spreads
 *   deno run -A tests/figures/main.ts comparison MEGABYTES   what clients notice of the nodes' comparing so much
 *   deno run -A tests/figures/main.ts purge WRITES           what the data directories take up meanwhile
 */
import { v8Option } from "../../scripts/compile.ts";
import { execute, TestCluster } from "../cluster.ts";
import { catchUp } from "./catch_up.ts";
import { comparison } from "./comparison.ts";
import { divergence } from "./divergence.ts";
import { rounds } from "./failover.ts";
import { large } from "./large.ts";
import { purge } from "./purge.ts";

const RAM_FOLDERS = "/dev/shm";
const READY_MS_MAX = 300_000;
const LOG_CHARACTERS = 4_000;
const STATUS_MS_MAX = 5_000;
const USAGE = "Usage: see the first lines of tests/figures/main.ts\n";

/** What is measured on a cluster that runs, by the words behind it. */
type Scenario = (cluster: TestCluster, words: readonly string[]) => Promise<object>;

const SCENARIOS: Readonly<
  Record<string, {
    readonly run: Scenario;
    readonly flags?: string[];
    readonly flagsOf?: (number: number) => readonly string[];
  }>
> = {
  "kill-leader": { run: (cluster, words) => rounds(cluster, { blow: "kill-leader", words }) },
  "pause-leader": { run: (cluster, words) => rounds(cluster, { blow: "pause-leader", words }) },
  "stop-leader": { run: (cluster, words) => rounds(cluster, { blow: "stop-leader", words }) },
  "kill-follower": { run: (cluster, words) => rounds(cluster, { blow: "kill-follower", words }) },
  "catch-up": { run: catchUp },
  divergence: { run: divergence, flagsOf: everyOtherOnDisk },
  "divergence-5": { run: divergence, flagsOf: everyOtherOnDisk },
  comparison: { run: comparison },
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
  const byLog = name === "catch-up" && words.includes("log") ? ["--raft-snap", "100000000"] : [];
  const flags = [...(scenario.flags ?? []), ...byLog];
  try {
    const size = name === "large" ? 1 : name === "divergence-5" ? 5 : 3;
    await using cluster = await TestCluster.start(size, {
      flags,
      ...(scenario.flagsOf === undefined ? {} : { flagsOf: scenario.flagsOf }),
      ramFolder,
      readyMsMax: READY_MS_MAX,
    });
    const leader = await cluster.leader();
    await execute(leader, ["CREATE TABLE load(id INTEGER PRIMARY KEY, a INT, b TEXT)"]);
    const figures = await measured(scenario.run, cluster, words);
    const text = JSON.stringify({ name, words, load: Deno.loadavg()[0], ...figures });
    Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
    return 0;
  } finally {
    await Deno.remove(ramFolder, { recursive: true });
  }
}

/** What nodes have said says why a figure could not be had. */
async function measured(
  run: Scenario,
  cluster: TestCluster,
  words: readonly string[],
): Promise<object> {
  try {
    return await run(cluster, words);
  } catch (error) {
    for (const { name: member, node } of cluster.members) {
      const facts = await stateOf(node.url);
      const said = node.log().slice(-LOG_CHARACTERS);
      const text = `${member}, process ${node.pid}, is ${facts}, and said:\n${said}\n`;
      Deno.stderr.writeSync(new TextEncoder().encode(text));
    }
    throw error;
  }
}

/** What a node says of its part in the cluster, or why it does not. */
async function stateOf(url: string): Promise<string> {
  try {
    const parts = ["store.raft", "cluster.replicas"].map(async (key) => {
      const signal = AbortSignal.timeout(STATUS_MS_MAX);
      return await (await fetch(`${url}/status?key=${key}`, { signal })).text();
    });
    return (await Promise.all(parts)).join(" ");
  } catch (error) {
    return String(error);
  }
}

/** Both modes have to get over what befalls them. */
function everyOtherOnDisk(number: number): readonly string[] {
  return number % 2 === 0 ? ["--on-disk"] : [];
}

if (import.meta.main) Deno.exit(await main(Deno.args));
