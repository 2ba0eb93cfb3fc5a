/**
 * Ends a node at the Nth call of every kind that changes files, SQLite's own included, while it is
 * born, starts, writes, cuts its log into segments, copies its state, purges and stops; or lets that
 * call fail with EIO, upon which it must stop by itself. Then starts it without faults and compares as
 * the kill storm does. First runs without faults count the calls; the points are spread over them.
 *
 *   deno run -A tests/crash/kill_points.ts --rounds 100 --errors 20 --mode ram|disk --seed 1
 *   ... --call unlinkat    kills at calls of one kind only
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
import {
  countCalls,
  countingTracer,
  type FaultPoint,
  faultTracer,
  FILE_CALLS,
  type FileCall,
  hasInjected,
  reasonAgainstStrace,
} from "./tracer.ts";
import { compareTables, makeTables, type OperationMix, runWriters } from "./workload.ts";

const WRITERS = 4;
const OPERATIONS = 20;
const FLAGS = ["--raft-snap", "20", "--raft-snap-int", "50ms", "--raft-log-level", "ERROR"];
/** Large values fill the first segment, which is small. */
const LARGE_MIX: OperationMix = [["row", 3], ["transaction", 3], ["count", 2], ["large", 3]];
/** One of each writer fills a segment of the usual size. */
const HUGE_MIX: OperationMix = [["huge", 1]];
const SNAPSHOTS = 3;
/** So many rounds share a data directory: the first one sees it being born. */
const ROUNDS_PER_SITE = 5;
/** One of so many points is in a run with huge values. */
const HUGE_SHARE = 4;
/** Calls whose failure a node must not survive. */
const FAILING_CALLS = ["fdatasync", "pwrite64", "fsync"] as const satisfies readonly FileCall[];
/** EX_IOERR: how a node ends when its disk fails. */
const EXIT_IO_ERROR = 74;
/** How long a node that met an error may live on while it is written to. */
const STOP_MS_MAX = 5_000;

/** What a run is made of. */
export interface KillPointOptions {
  readonly mode: NodeMode;
  /** Points at which the node is killed. */
  readonly rounds: number;
  /** Points at which a call fails. */
  readonly errors: number;
  readonly seed: number;
  /** The calls at which the node is killed; all when left out. */
  readonly calls?: readonly FileCall[];
  readonly onRound?: (point: FaultPoint, counters: KillPointCounters) => void;
}

/** A fault in a run with or without huge values, whose calls were counted apart. */
interface RunPoint extends FaultPoint {
  readonly isHuge: boolean;
}

/** What it did. */
export interface KillPointCounters {
  rounds: number;
  /** The node was killed at its point; in the others it had stopped before. */
  kills: number;
  /** The call failed, and the node stopped. */
  errorsMet: number;
  /** Kills and errors by call. */
  byCall: Partial<Record<FileCall, number>>;
  /** Of the kills: before the node was ready. */
  killsWhileStarting: number;
  memoryLosses: number;
  acknowledgedRows: number;
  unacknowledgedRowsFound: number;
  longestRestartMs: number;
}

/** @throws {Error} naming the point, the violations and the node's last words. */
export async function runKillPoints(options: KillPointOptions): Promise<KillPointCounters> {
  const run = new KillPoints(options);
  return await run.run();
}

class KillPoints {
  readonly #options: KillPointOptions;
  readonly #entropy: SimEntropy;
  #site: CrashSite | undefined;
  #ledger = new Ledger(WRITERS);
  #hasTables = false;
  #acknowledgedBefore = 0;
  readonly #counters: KillPointCounters = {
    rounds: 0,
    kills: 0,
    errorsMet: 0,
    byCall: {},
    killsWhileStarting: 0,
    memoryLosses: 0,
    acknowledgedRows: 0,
    unacknowledgedRowsFound: 0,
    longestRestartMs: 0,
  };

  constructor(options: KillPointOptions) {
    this.#options = options;
    this.#entropy = new SimEntropy(options.seed);
  }

  async run(): Promise<KillPointCounters> {
    const { rounds, errors, seed, calls = FILE_CALLS } = this.#options;
    // The very first start fills Deno's own caches.
    await this.#count({ isHuge: false });
    const points: RunPoint[] = [];
    for (const isHuge of [false, true]) {
      const counts = await this.#count({ isHuge });
      const share = (number: number): number => {
        const huge = Math.floor(number / HUGE_SHARE);
        return isHuge ? huge : number - huge;
      };
      const common = { counts, isHuge, entropy: this.#entropy };
      points.push(
        ...spread({ ...common, calls, number: share(rounds), fault: "SIGKILL" }),
        ...spread({ ...common, calls: FAILING_CALLS, number: share(errors), fault: "EIO" }),
      );
    }
    shuffle(points, this.#entropy);
    for (const point of points) {
      if (this.#counters.rounds % ROUNDS_PER_SITE === 0) await this.#newSite();
      this.#counters.rounds += 1;
      try {
        await this.#round(point);
      } catch (error) {
        const { dataDirectory, mode } = this.#site ?? { dataDirectory: "", mode: "" };
        const where = `${mode} mode, seed ${seed}, round ${this.#counters.rounds}`;
        const what = `${point.fault} at ${point.call} ${point.number}`;
        throw new Error(`${where}, ${what}, data kept in ${dataDirectory}: ${error}`, {
          cause: error,
        });
      }
      this.#options.onRound?.(point, this.#counters);
    }
    if (this.#site !== undefined) await removeCrashSite(this.#site);
    return this.#counters;
  }

  /** The calls of a run without faults, from birth to stop. */
  async #count(
    { isHuge }: { readonly isHuge: boolean },
  ): Promise<ReadonlyMap<FileCall, number>> {
    const site = await this.#newSite();
    const output = `${site.ramDirectory}/trace`;
    const node = CrashNode.start(site, { tracer: countingTracer(output) });
    await node.untilReady();
    await this.#work(node, { isHuge });
    node.signal("SIGTERM");
    const { code } = await node.untilEnded();
    if (code !== 0) throw new Error(`The run without faults ended in ${code}\n${node.text}`);
    return await countCalls(output);
  }

  async #newSite(): Promise<CrashSite> {
    if (this.#site !== undefined) await removeCrashSite(this.#site);
    this.#acknowledgedBefore += this.#ledger.acknowledgedRows;
    this.#ledger = new Ledger(WRITERS);
    this.#hasTables = false;
    this.#site = await makeCrashSite({ mode: this.#options.mode, flags: FLAGS });
    return this.#site;
  }

  async #round(point: RunPoint): Promise<void> {
    const site = this.#site;
    if (site === undefined) throw new Error("There is no site");
    const output = `${site.dataDirectory.slice(0, -"/data".length)}/trace`;
    const node = CrashNode.start(site, { tracer: faultTracer(point, output) });
    try {
      const readyMs = await node.untilReady();
      if (readyMs !== undefined) {
        await this.#work(node, point);
        if (point.fault === "EIO") await this.#assertStopped(node, output);
        node.signal("SIGTERM");
      }
      const status = await node.untilEnded();
      await this.#tally(point, { status, output, isStarting: readyMs === undefined, node });
    } finally {
      await node.kill();
    }
    const { mode } = this.#options;
    if (mode === "ram" && this.#entropy.below(3) === 0 && await clearMemory(site)) {
      this.#counters.memoryLosses += 1;
    }
    await this.#restartAndCompare(site);
  }

  async #tally(point: FaultPoint, end: {
    readonly status: Deno.CommandStatus;
    readonly output: string;
    readonly isStarting: boolean;
    readonly node: CrashNode;
  }): Promise<void> {
    const { status, output, isStarting, node } = end;
    const counters = this.#counters;
    const isKilled = status.signal === "SIGKILL";
    const isMet = point.fault === "EIO" ? await hasInjected(output) : isKilled;
    const isStopped = status.code === 0 || (isMet && status.code === EXIT_IO_ERROR);
    const isSound = isKilled ? point.fault === "SIGKILL" : isStopped;
    if (!isSound) throw new Error(`The node ended by itself: ${status.code}\n${node.text}`);
    if (!isMet) return;
    if (isKilled) counters.kills += 1;
    else counters.errorsMet += 1;
    if (isStarting) counters.killsWhileStarting += 1;
    counters.byCall[point.call] = (counters.byCall[point.call] ?? 0) + 1;
  }

  /** Tables, writers, snapshots: as far as the node lives. */
  async #work(node: CrashNode, { isHuge }: { readonly isHuge: boolean }): Promise<void> {
    const { address } = this.#requireSite();
    if (!this.#hasTables) this.#hasTables = await makeTables(address, this.#ledger);
    if (!this.#hasTables) return;
    for (let part = 0; part < SNAPSHOTS && !node.isEnded; part++) {
      await this.#write(LARGE_MIX, Math.ceil(OPERATIONS / SNAPSHOTS));
      if (isHuge && part === 1) await this.#write(HUGE_MIX, 1);
      await ask(address, { path: "/snapshot?trailing_logs=0", body: "" });
    }
  }

  async #write(mix: OperationMix, operationsMax: number): Promise<void> {
    await runWriters({
      address: this.#requireSite().address,
      ledger: this.#ledger,
      entropy: this.#entropy,
      mix,
      operationsMax,
      isStopped: () => false,
    });
  }

  /** A node that met an error must not go on; that may show when it next needs the file. */
  async #assertStopped(node: CrashNode, output: string): Promise<void> {
    if (!await hasInjected(output)) return;
    const deadlineMs = performance.now() + STOP_MS_MAX;
    while (!node.isEnded && performance.now() < deadlineMs) {
      await this.#write(LARGE_MIX, 1);
      await sleep(50);
    }
    if (!node.isEnded) throw new Error(`The node goes on after EIO\n${node.text}`);
  }

  async #restartAndCompare(site: CrashSite): Promise<void> {
    const counters = this.#counters;
    const node = CrashNode.start(site);
    try {
      const readyMs = await node.untilReady();
      if (readyMs === undefined) throw new Error(`The node does not start again\n${node.text}`);
      counters.longestRestartMs = Math.max(counters.longestRestartMs, Math.round(readyMs));
      if (!this.#hasTables) this.#hasTables = await makeTables(site.address, this.#ledger);
      const found = await compareTables(site.address, this.#ledger, "weak");
      counters.unacknowledgedRowsFound += found.unacknowledgedFound;
      counters.acknowledgedRows = this.#acknowledgedBefore + this.#ledger.acknowledgedRows;
      if (found.violations.length > 0) {
        throw new Error(`Violations:\n${found.violations.slice(0, 10).join("\n")}\n${node.text}`);
      }
    } finally {
      await node.kill();
    }
  }

  #requireSite(): CrashSite {
    if (this.#site === undefined) throw new Error("There is no site");
    return this.#site;
  }
}

/** So many points, shared evenly by the calls that were seen, each call's spread over its count by chance. */
function spread(options: {
  readonly counts: ReadonlyMap<FileCall, number>;
  readonly calls: readonly FileCall[];
  readonly number: number;
  readonly fault: FaultPoint["fault"];
  readonly isHuge: boolean;
  readonly entropy: SimEntropy;
}): readonly RunPoint[] {
  const { counts, number, fault, isHuge, entropy } = options;
  const calls = options.calls.filter((call) => counts.has(call));
  shuffle(calls, entropy);
  const points: RunPoint[] = [];
  for (const [at, call] of calls.entries()) {
    const share = Math.floor(number / calls.length) + (at < number % calls.length ? 1 : 0);
    const most = counts.get(call) ?? 1;
    for (let place = 0; place < share; place++) {
      const at = (place + entropy.below(1000) / 1000) * most / share;
      points.push({ call, fault, number: 1 + Math.floor(at), isHuge });
    }
  }
  return points;
}

function shuffle<T>(items: T[], entropy: SimEntropy): void {
  for (let at = items.length - 1; at > 0; at--) {
    const other = entropy.below(at + 1);
    const [left, right] = [items[at], items[other]];
    if (left !== undefined && right !== undefined) [items[at], items[other]] = [right, left];
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      rounds: { type: "string", default: "100" },
      errors: { type: "string", default: "20" },
      mode: { type: "string", default: "ram" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      call: { type: "string" },
    },
  });
  const print = (text: string): void => {
    Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
  };
  const reason = await reasonAgainstStrace();
  if (reason !== undefined) {
    print(reason);
    Deno.exit(1);
  }
  const mode = values.mode === "disk" ? "disk" : "ram";
  print(`mode ${mode}, seed ${values.seed}`);
  const counters = await runKillPoints({
    mode,
    rounds: Number(values.rounds),
    errors: Number(values.errors),
    calls: FILE_CALLS.filter((call) => values.call === undefined || values.call === call),
    seed: Number(values.seed),
    onRound: (point, so) => {
      if (so.rounds % 10 === 0) {
        print(`round ${so.rounds}: ${point.fault} at ${point.call} ${point.number}`);
      }
    },
  });
  for (const [name, value] of Object.entries(counters)) print(`${name}: ${JSON.stringify(value)}`);
}
