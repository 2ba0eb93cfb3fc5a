/**
 * Kills a node again and again while it starts, writes, copies its state and cuts its log, and compares
 * after each restart: every acknowledged row is there, once and whole; what nobody was told of is
 * there as a whole or not at all, and stays so; the restart needs no help. In RAM mode the state in
 * memory is gone now and then, as after a power cut. The page cache survives, so what was written and
 * not synced is there: tests/log/log_crash_test.ts takes that away. A seed repeats the plan of the
 * kills; where they meet the node is a matter of time.
 *
 *   deno run -A tests/crash/kill_storm.ts --rounds 100 --mode ram|disk --seed 1
 */
import { parseArgs } from "node:util";
import { SimEntropy } from "../sim/sim_entropy.ts";
import {
  ask,
  clearMemory,
  CrashNode,
  type CrashSite,
  makeCrashSite,
  type NodeMode,
  removeCrashSite,
} from "./crash_node.ts";
import { sleep } from "../process.ts";
import { Ledger } from "./ledger.ts";
import { compareTables, forgetRows, makeTables, runWriters, USUAL_MIX } from "./workload.ts";

const WRITERS = 16;
/** A snapshot is due all the time. */
const FLAGS = ["--raft-snap", "20", "--raft-snap-int", "20ms", "--raft-log-level", "ERROR"];
const SNAPSHOT_PAUSE_MS = 60;
const WRITE_MS_MAX = 700;
const START_MS_MAX = 600;
/** Every so many rounds the rows are deleted. */
const FORGET_ROUNDS = 8;
const LEVELS = ["none", "weak", "linearizable", "strong"] as const;

/** What a storm is made of. */
export interface StormOptions {
  readonly rounds: number;
  readonly mode: NodeMode;
  readonly seed: number;
  /** Called after each round. */
  readonly onRound?: (counters: StormCounters) => void;
}

/** What it did. */
export interface StormCounters {
  rounds: number;
  /** Rows and updates that were acknowledged. */
  acknowledgedRows: number;
  /** Rows and updates that were there although nobody had been told. */
  unacknowledgedRowsFound: number;
  restarts: number;
  killsWhileStarting: number;
  memoryLosses: number;
  /** Snapshots that were asked for and taken; the automatic ones come on top. */
  snapshots: number;
  /** From the start of the process until it was ready. */
  longestRestartMs: number;
}

/** @throws {Error} naming the seed, the first violations and the node's last words. */
export async function runKillStorm(options: StormOptions): Promise<StormCounters> {
  const site = await makeCrashSite({ mode: options.mode, flags: FLAGS });
  const storm = new KillStorm(site, options);
  try {
    return await storm.run();
  } catch (error) {
    const { mode, seed } = options;
    const round = storm.counters.rounds;
    throw new Error(
      `${mode} mode, seed ${seed}, round ${round}, data kept in ${site.dataDirectory}: ${error}`,
      { cause: error },
    );
  }
}

class KillStorm {
  readonly #site: CrashSite;
  readonly #options: StormOptions;
  readonly #entropy: SimEntropy;
  readonly #ledger = new Ledger(WRITERS);
  #node: CrashNode | undefined;
  #hasTables = false;
  readonly counters: StormCounters = {
    rounds: 0,
    acknowledgedRows: 0,
    unacknowledgedRowsFound: 0,
    restarts: 0,
    killsWhileStarting: 0,
    memoryLosses: 0,
    snapshots: 0,
    longestRestartMs: 0,
  };

  constructor(site: CrashSite, options: StormOptions) {
    this.#site = site;
    this.#options = options;
    this.#entropy = new SimEntropy(options.seed);
  }

  async run(): Promise<StormCounters> {
    try {
      for (let round = 1; round <= this.#options.rounds; round++) {
        this.counters.rounds = round;
        await this.#round(round);
        this.#options.onRound?.(this.counters);
      }
      await this.#startAndCompare();
      await this.#stop();
      await this.#startAndCompare();
      await this.#stop();
    } finally {
      await this.#node?.kill();
    }
    await removeCrashSite(this.#site);
    return this.counters;
  }

  async #round(round: number): Promise<void> {
    const entropy = this.#entropy;
    for (let tries = entropy.below(3); tries > 0; tries--) await this.#killWhileStarting();
    const node = await this.#startAndCompare();
    const { address } = this.#site;
    if (!this.#hasTables) this.#hasTables = await makeTables(address, this.#ledger);
    if (round % FORGET_ROUNDS === 0) await forgetRows(address, this.#ledger);
    let isStopped = false;
    const writing = runWriters({
      address,
      ledger: this.#ledger,
      entropy,
      mix: USUAL_MIX,
      operationsMax: Infinity,
      isStopped: () => isStopped,
    });
    const copying = this.#takeSnapshots(() => isStopped);
    const both = Promise.all([writing, copying]);
    await Promise.race([both, sleep(20 + entropy.below(WRITE_MS_MAX))]);
    if (node.isEnded) throw new Error(`The node ended by itself\n${node.text}`);
    const { signal } = await node.kill();
    if (signal !== "SIGKILL") throw new Error(`The node ended by itself\n${node.text}`);
    isStopped = true;
    await both;
    this.counters.acknowledgedRows = this.#ledger.acknowledgedRows;
    await this.#maybeLoseMemory();
  }

  async #takeSnapshots(isStopped: () => boolean): Promise<void> {
    while (!isStopped()) {
      await sleep(this.#entropy.below(SNAPSHOT_PAUSE_MS));
      const answer = await ask(this.#site.address, { path: "/snapshot?trailing_logs=0", body: "" });
      if (answer?.status === 200) this.counters.snapshots += 1;
      else if (answer !== undefined && answer.status !== 204) {
        throw new Error(`Snapshot was answered ${answer.status} ${answer.body}`);
      }
    }
  }

  async #killWhileStarting(): Promise<void> {
    const node = this.#node = CrashNode.start(this.#site);
    await sleep(this.#entropy.below(START_MS_MAX));
    const { signal } = await node.kill();
    if (signal !== "SIGKILL") throw new Error(`The node ended while it started\n${node.text}`);
    this.counters.killsWhileStarting += 1;
    await this.#maybeLoseMemory();
  }

  async #maybeLoseMemory(): Promise<void> {
    if (this.#options.mode === "disk" || this.#entropy.below(3) > 0) return;
    if (await clearMemory(this.#site)) this.counters.memoryLosses += 1;
  }

  async #startAndCompare(): Promise<CrashNode> {
    const node = this.#node = CrashNode.start(this.#site);
    const readyMs = await node.untilReady();
    if (readyMs === undefined) throw new Error(`The node does not start\n${node.text}`);
    this.counters.restarts += 1;
    this.counters.longestRestartMs = Math.max(this.counters.longestRestartMs, Math.round(readyMs));
    if (!this.#hasTables) return node;
    const level = LEVELS[this.#entropy.below(LEVELS.length)] ?? "weak";
    const found = await compareTables(this.#site.address, this.#ledger, level);
    this.counters.unacknowledgedRowsFound += found.unacknowledgedFound;
    if (found.violations.length === 0) return node;
    const first = found.violations.slice(0, 10).join("\n");
    throw new Error(
      `${found.violations.length} violations (read ${level}):\n${first}\n${node.text}`,
    );
  }

  async #stop(): Promise<void> {
    this.#node?.signal("SIGTERM");
    const status = await this.#node?.untilEnded();
    if (status?.code !== 0) {
      throw new Error(`SIGTERM ended in ${status?.code}\n${this.#node?.text}`);
    }
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      rounds: { type: "string", default: "50" },
      mode: { type: "string", default: "ram" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
    },
  });
  const print = (text: string): void => {
    Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
  };
  const mode = values.mode === "disk" ? "disk" : "ram";
  print(`mode ${mode}, seed ${values.seed}`);
  const counters = await runKillStorm({
    rounds: Number(values.rounds),
    mode,
    seed: Number(values.seed),
    onRound: (so) => {
      if (so.rounds % 10 === 0) print(JSON.stringify(so));
    },
  });
  for (const [name, value] of Object.entries(counters)) print(`${name}: ${value}`);
}
