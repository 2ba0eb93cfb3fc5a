/**
 * `deno task diverge -- --processes`: generated logs as requests to clusters of real processes, to which things
 * happen meanwhile. A run is some clusters one after the other, a cluster some logs, each of a seed of its own
 * and behind the drop of all that the one before has left. Behind each log the contents of all nodes are
 * compared here; the nodes compare them themselves all the time, and must never raise an alarm. Not
 * repeatable like the fuzzer of state machines: what is sent is, but not when what happens.
 */
import { meddle } from "../diverging.ts";
import { sleep } from "../process.ts";
import { stream } from "../sim/chance.ts";
import { generateLog } from "./generated_log.ts";
import { ProcessCluster } from "./process_cluster.ts";
import { compareContents } from "./process_contents.ts";
import { type DeedCounts, Deeds, DEEDS_OF_A_ROUND, transfer } from "./process_deeds.ts";
import { Traffic, type TrafficCounts } from "./process_traffic.ts";

/** What of the test's own is in each cluster; no generated statement names it. */
const GUARDED = [
  "CREATE TABLE IF NOT EXISTS guarded(id INTEGER PRIMARY KEY, v)",
  "INSERT OR IGNORE INTO guarded WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100) " +
  "SELECT i, 'right' FROM n",
];
const MEDDLE = "UPDATE guarded SET v = 'wrong' WHERE id = 50";
const LEFT_BEHIND = `SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view')
  AND name NOT LIKE 'sqlite%' AND name <> 'guarded' ORDER BY sql NOT LIKE 'CREATE VIRTUAL%', rowid DESC`;
const DROPS_MAX = 8;
const DROP_PAUSE_MS = 500;
/** Nodes compare their states every 20 s, and as soon as another one leads. */
const COMPARED_MS_MAX = 60_000;
const LOOK_MS = 100;
/** Syncs take longer than all the rest, so only every so many clusters have a disk, like seeds in manners.ts. */
const DISK_EVERY_CLUSTERS = 5;
const NOTES_SHOWN = 100;
const PROGRESS_EVERY_MS = 60_000;
/** So many times as many logs as planned, at most: requests without an answer are no progress. */
const LOGS_FACTOR_MAX = 3;

/** What is run. */
export interface ProcessRunOptions {
  readonly seed: number;
  readonly statementCount: number;
  /** Statements on one cluster, and of one log. */
  readonly perCluster: number;
  readonly perLog: number;
  /** It ends with the log under way when it takes longer; Infinity for never. */
  readonly minutesMax: number;
  /** Whether a row is changed behind a node's back, which must be noticed. */
  readonly isMeddled: boolean;
  /** Prints what is done when. */
  readonly isVerbose: boolean;
  readonly print: (text: string) => void;
}

type Counts = TrafficCounts & DeedCounts & {
  clusters: number;
  logs: number;
  deeds: number;
  /** Made by the test, of all tables of all nodes. */
  comparisons: number;
  tables: number;
  /** Made by the nodes: all of them, and those in which each member reported. */
  ownComparisons: number;
  ownComparisonsOfAll: number;
};

/** @returns whether all went well, and enough has happened to say so. */
export async function runProcesses(options: ProcessRunOptions): Promise<boolean> {
  const run = new ProcessRun(options);
  const clusters = Math.ceil(options.statementCount / options.perCluster);
  let problems: readonly string[] = [];
  for (let number = 0; number < clusters && problems.length === 0 && !run.isLate; number++) {
    try {
      problems = await run.cluster(number, Math.ceil(options.statementCount / clusters));
    } catch (error) {
      // It did not start, or not end.
      problems = [textOf(error)];
    }
  }
  const { print, seed } = options;
  print(run.line());
  const missing = problems.length > 0 ? [] : run.tooFew();
  if (run.isLate) print(`Ended after ${options.minutesMax} minutes`);
  for (const problem of problems) print(`PROBLEM: ${problem}`);
  if (missing.length > 0) print(`Too few to mean anything: ${missing.join(", ")}`);
  print(`${problems.length} problems; seed ${seed}`);
  return problems.length === 0 && missing.length === 0;
}

class ProcessRun {
  readonly #options: ProcessRunOptions;
  readonly #reasons = new Map<string, number>();
  readonly #counts: Counts = {
    ...NOTHING_SENT,
    ...NOTHING_DONE,
    clusters: 0,
    logs: 0,
    deeds: 0,
    comparisons: 0,
    tables: 0,
    ownComparisons: 0,
    ownComparisonsOfAll: 0,
  };
  readonly #startMs = performance.now();
  #printedMs = this.#startMs;
  /** What the cluster at hand adds to the counts. */
  #current: { readonly cluster: ProcessCluster; readonly traffic: Traffic } | undefined;

  constructor(options: ProcessRunOptions) {
    this.#options = options;
  }

  /** Whether it has taken as long as it may. */
  get isLate(): boolean {
    return performance.now() - this.#startMs > 60_000 * this.#options.minutesMax;
  }

  /** One cluster from its start to its end. @returns what must not be. */
  async cluster(number: number, statementCount: number): Promise<readonly string[]> {
    const { seed, print } = this.#options;
    const notes: string[] = [];
    const note = (text: string): void => {
      notes.push(`${new Date().toISOString()} ${text}`);
      if (this.#options.isVerbose) print(notes.at(-1) ?? "");
    };
    await using cluster = await ProcessCluster.start(stream(seed, "cluster", number), {
      hasDisk: number % DISK_EVERY_CLUSTERS === 1,
    });
    const traffic = new Traffic({
      random: stream(seed, "traffic", number),
      available: () => cluster.available,
      note,
    });
    const deeds = new Deeds({
      cluster,
      traffic,
      random: stream(seed, "deeds", number),
      counts: this.#counts,
      note,
    });
    this.#current = { cluster, traffic };
    let difference: string | undefined;
    try {
      difference = await this.#logs({
        cluster,
        traffic,
        deeds,
        number,
        statementCount,
        note,
      });
    } catch (error) {
      difference = textOf(error);
    }
    Object.assign(this.#counts, this.#totals());
    for (const [why, count] of traffic.reasons) {
      this.#reasons.set(why, (this.#reasons.get(why) ?? 0) + count);
    }
    this.#current = undefined;
    const problems = [...(difference === undefined ? [] : [difference]), ...cluster.alarms];
    if (problems.length > 0) {
      const logs = this.#options.isMeddled ? "" : `, its logs are in ${cluster.keepLogs()}`;
      print(`Cluster ${number} of seed ${seed}${logs}. What was done:`);
      for (const line of notes.slice(-NOTES_SHOWN)) print(`  ${line}`);
    }
    return problems;
  }

  /** What has happened so far. */
  line(): string {
    const seconds = ((performance.now() - this.#startMs) / 1000).toFixed(1);
    const reasons = [...this.#reasons].sort(([, left], [, right]) => right - left).slice(0, 12)
      .map(([why, count]) => `${count} ${why}`);
    return `${seconds} s\n${countsText(this.#totals())}\nRequests not answered by statement: ${
      reasons.join("; ")
    }`;
  }

  /** What happened less often than a run of this length must see. */
  tooFew(): readonly string[] {
    const { clusters, logs, deeds, accepted, refused } = this.#counts;
    const statementCount = this.isLate ? accepted + refused : this.#options.statementCount;
    // Each cluster begins with a join by log; then all deeds are dealt again and again.
    const rounds = Math.floor((deeds - clusters) / DEEDS_OF_A_ROUND);
    const most = Math.ceil(0.7 * rounds);
    const floors: Partial<Counts> = {
      accepted: 0.4 * statementCount,
      refused: 0.05 * statementCount,
      deeds: this.isLate ? 0 : clusters * (DEEDS_OF_A_ROUND + 1),
      comparisons: logs,
      tables: 30 * logs,
      ownComparisonsOfAll: Math.max(clusters, most),
      restarts: 2 * most,
      restartsElsewhere: most,
      kills: 3 * most,
      killsOfLeaders: most,
      transfers: most,
      snapshots: 3 * most,
      removals: most + clusters,
      joinsByLog: Math.ceil(0.7 * clusters),
      joinsBySnapshot: most,
      catchUpsBySnapshot: Math.ceil(0.5 * rounds),
    };
    const done = new Map<string, number>(Object.entries(this.#counts));
    return Object.entries(floors).filter(([name, floor]) => (done.get(name) ?? 0) < floor)
      .map(([name, floor]) => `${name} ${done.get(name)} of ${floor}`);
  }

  async #logs({ cluster, traffic, deeds, number, statementCount, note }: {
    readonly cluster: ProcessCluster;
    readonly traffic: Traffic;
    readonly deeds: Deeds;
    readonly number: number;
    readonly statementCount: number;
    readonly note: (text: string) => void;
  }): Promise<string | undefined> {
    const { perLog, isMeddled } = this.#options;
    const planned = Math.ceil(statementCount / perLog);
    const deedCount = Math.max(1, Math.ceil((DEEDS_OF_A_ROUND + 1) / planned));
    this.#counts.clusters++;
    await traffic.order(GUARDED);
    for (let log = 0; log < LOGS_FACTOR_MAX * planned; log++) {
      if (log >= planned && traffic.answered >= statementCount) break;
      if (log > 0 && this.isLate) break;
      note(`log ${log}, seed ${this.#seedOf(number, log)}, behind ${traffic.answered} statements`);
      const isHarmed = isMeddled && log > 0;
      if (isHarmed) await this.#meddle(cluster);
      await this.#log({ cluster, traffic, seed: this.#seedOf(number, log) }, async () => {
        // A copy of another node would mend what was done to this one.
        if (isHarmed) return;
        await deeds.run(deedCount);
        this.#counts.deeds += deedCount;
      });
      note("comparison");
      const difference = await this.#compare(cluster);
      if (difference !== undefined) return `${difference}\n${await this.#saysItself(cluster)}`;
      if (cluster.alarms.size > 0) return undefined;
      this.#progress();
    }
    return await this.#calm(cluster);
  }

  /** No two clusters of a run have a log in common. */
  #seedOf(number: number, log: number): number {
    const { seed, perCluster, perLog } = this.#options;
    return seed + number * LOGS_FACTOR_MAX * Math.ceil(perCluster / perLog) + log;
  }

  async #log(
    { cluster, traffic, seed }: {
      readonly cluster: ProcessCluster;
      readonly traffic: Traffic;
      readonly seed: number;
    },
    meanwhile: () => Promise<void>,
  ): Promise<void> {
    await dropAll({ cluster, traffic, seed });
    await Promise.all([
      traffic.send(seed, generateLog(seed, this.#options.perLog)),
      meanwhile(),
    ]);
    this.#counts.logs++;
  }

  async #compare(cluster: ProcessCluster): Promise<string | undefined> {
    const { tableCount, difference, index } = await compareContents(cluster.members);
    this.#counts.comparisons++;
    this.#counts.tables += tableCount;
    return difference === undefined ? undefined : `Behind entry ${index}: ${difference}`;
  }

  async #meddle(cluster: ProcessCluster): Promise<void> {
    const leader = await cluster.leader();
    const victim = cluster.members.find((member) => member !== leader) ?? leader;
    this.#options.print(`A row is changed behind the back of ${victim.name}`);
    await meddle(victim, MEDDLE);
  }

  /** Contents differ: whether the nodes notice it themselves. */
  async #saysItself(cluster: ProcessCluster): Promise<string> {
    await transfer(cluster);
    const untilMs = performance.now() + COMPARED_MS_MAX;
    while (performance.now() < untilMs) {
      if (cluster.alarms.size > 0) {
        await cluster.lookAtAll();
        return "The nodes have noticed it themselves";
      }
      await sleep(LOOK_MS);
    }
    return "The nodes have not noticed it themselves";
  }

  /** Nobody writes and all are there: the nodes compare what they hold at last. */
  async #calm(cluster: ProcessCluster): Promise<string | undefined> {
    const before = cluster.comparedByAll;
    await transfer(cluster);
    const untilMs = performance.now() + COMPARED_MS_MAX;
    while (performance.now() < untilMs) {
      await sleep(LOOK_MS);
      if (cluster.comparedByAll > before) {
        await cluster.lookAtAll();
        return undefined;
      }
    }
    return `The nodes have not compared their states within ${COMPARED_MS_MAX} ms`;
  }

  #totals(): Counts {
    const totals = { ...this.#counts };
    if (this.#current === undefined) return totals;
    const { cluster, traffic: { counts } } = this.#current;
    totals.requests += counts.requests;
    totals.accepted += counts.accepted;
    totals.refused += counts.refused;
    totals.refusedWithRequest += counts.refusedWithRequest;
    totals.unknown += counts.unknown;
    totals.unknownRequests += counts.unknownRequests;
    totals.again += counts.again;
    totals.ownComparisons += cluster.compared.size;
    totals.ownComparisonsOfAll += cluster.comparedByAll;
    return totals;
  }

  #progress(): void {
    if (performance.now() - this.#printedMs < PROGRESS_EVERY_MS) return;
    this.#printedMs = performance.now();
    const seconds = Math.round((this.#printedMs - this.#startMs) / 1000);
    this.#options.print(`${seconds} s: ${countsText(this.#totals())}`);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}

function countsText(counts: Counts): string {
  return Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", ");
}

const NOTHING_SENT: TrafficCounts = {
  requests: 0,
  accepted: 0,
  refused: 0,
  refusedWithRequest: 0,
  unknown: 0,
  unknownRequests: 0,
  again: 0,
};

const NOTHING_DONE: DeedCounts = {
  restarts: 0,
  restartsElsewhere: 0,
  kills: 0,
  killsOfLeaders: 0,
  transfers: 0,
  snapshots: 0,
  removals: 0,
  joinsByLog: 0,
  joinsBySnapshot: 0,
  catchUpsBySnapshot: 0,
};

/** Takes away what a log has left. What cannot be dropped stays: the next one lives with it. */
async function dropAll(
  { cluster, traffic, seed }: {
    readonly cluster: ProcessCluster;
    readonly traffic: Traffic;
    readonly seed: number;
  },
): Promise<void> {
  const path = `/db/query?level=linearizable&q=${encodeURIComponent(LEFT_BEHIND)}`;
  for (let attempt = 0; attempt < DROPS_MAX; attempt++) {
    const [member] = cluster.available;
    const answer = member === undefined ? undefined : await cluster.ask(member, path);
    const { results = [] } = (answer?.status === 200 ? JSON.parse(answer.text) : {}) as {
      readonly results?: readonly { readonly values?: readonly (readonly [string, string])[] }[];
    };
    const [result] = results;
    if (result === undefined) {
      await sleep(DROP_PAUSE_MS);
      continue;
    }
    const { values: left = [] } = result;
    const drops = left.map(([type, name]) => `DROP ${type} "${name}"`);
    const keys = seed % 2 === 0 ? "ON" : "OFF";
    await traffic.order(["PRAGMA foreign_keys=OFF", ...drops, `PRAGMA foreign_keys=${keys}`]);
    if (left.length === 0) return;
  }
}
