/**
 * `deno task chaos -- --minutes N [--seed S] [--nodes 3|5]`: a cluster of real processes under faults for N
 * minutes, with clients that write down what they were told; then all is healed and judged. Prints what was done
 * and survived; ends with status 1 when something was violated, or when too little happened. What is needed
 * to look into an anomaly stays in the folder that it names. The seed decides faults and requests, not how
 * long anything takes: a second run with it is alike, not equal.
 */
import { reasonAgainstStrace } from "../crash/tracer.ts";
import { sleep } from "../process.ts";
import { ChaosCluster } from "./chaos_cluster.ts";
import { Client, History, SCHEMA } from "./clients.ts";
import { judge } from "./judge.ts";
import { Nemesis } from "./nemesis.ts";
import { SeededRandom } from "../raft_chaos/random.ts";

const CLIENTS = 8;
const REPORT_MS = 15_000;
const ANOMALIES_SHOWN = 20;

function print(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** One run. @returns whether all is well. */
export async function runChaos(
  options: { readonly minutes: number; readonly seed: number; readonly nodes: number },
): Promise<boolean> {
  const { minutes, seed, nodes } = options;
  const random = new SeededRandom(seed);
  // One for each of them, so that one more draw here does not change what is drawn there.
  const stream = (): SeededRandom => new SeededRandom(random.below(2 ** 32));
  const folder = await Deno.makeTempDir({ prefix: `dust-chaos-${seed}-` });
  const reason = await reasonAgainstStrace();
  print(`Chaos: ${minutes} minutes, ${nodes} nodes, seed ${seed}, in ${folder}`);
  if (reason !== undefined) print(`No disk faults: ${reason}`);
  const modes = Array.from({ length: nodes }, () => random.below(2) === 0);
  const cluster = new ChaosCluster(folder, modes);
  const history = new History();
  let isGood = false;
  try {
    await cluster.start();
    await makeTables(cluster);
    const trace = Deno.openSync(`${folder}/faults.log`, { write: true, create: true });
    const startedMs = performance.now();
    const note = (text: string): void => {
      const line = `${Math.round(performance.now() - startedMs)} ${text}\n`;
      trace.writeSync(new TextEncoder().encode(line));
    };
    const nemesis = new Nemesis({
      cluster,
      random: stream(),
      canTrace: reason === undefined,
      note,
    });
    const clients = Array.from(
      { length: CLIENTS },
      (_, name) => new Client({ cluster, random: stream(), history, name }),
    );
    const reporter = setInterval(() => print(summary(history, nemesis)), REPORT_MS);
    const work = [nemesis.run(), ...clients.map((client) => client.run())];
    await Promise.race([Promise.all(work), sleep(minutes * 60_000)]);
    nemesis.end();
    for (const client of clients) client.end();
    await Promise.all(work);
    clearInterval(reporter);
    trace.close();
    const anomalies = await judge(cluster, history);
    print(summary(history, nemesis));
    const missing = tooFew(history, nemesis, { minutes, canTrace: reason === undefined });
    for (const text of anomalies.slice(0, ANOMALIES_SHOWN)) print(`ANOMALY: ${text}`);
    if (missing.length > 0) print(`Too few to mean anything: ${missing.join(", ")}`);
    isGood = anomalies.length === 0 && missing.length === 0;
    print(
      `${anomalies.length} anomalies; seed ${seed}${isGood ? "" : `, all is kept in ${folder}`}`,
    );
    if (anomalies.length > 0) writeHistory(folder, history);
  } finally {
    await cluster.close();
    if (isGood) await Deno.remove(folder, { recursive: true });
  }
  return isGood;
}

async function makeTables(cluster: ChaosCluster): Promise<void> {
  const [first] = cluster.nodes;
  const response = await fetch(`${first?.directUrl}/db/execute`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(SCHEMA),
  });
  const text = await response.text();
  if (!response.ok || text.includes("error")) throw new Error(`No tables: ${text}`);
}

function summary(history: History, nemesis: Nemesis): string {
  const facts = { ...history.counts, ...nemesis.counts };
  return Object.entries(facts).map(([name, count]) => `${name} ${count}`).join(", ");
}

/** What happened less often than a run of this length must see. */
function tooFew(
  { counts }: History,
  nemesis: Nemesis,
  run: { readonly minutes: number; readonly canTrace: boolean },
): readonly string[] {
  const { diskFaults, ...faults } = nemesis.counts;
  const all = { ...faults, ...(run.canTrace ? { diskFaults } : {}) };
  const rounds = Math.floor(run.minutes / 2);
  const floors: Record<string, number> = {
    acknowledged: 50 * run.minutes,
    reads: 20 * run.minutes,
    sets: run.minutes,
    waits: 5 * run.minutes,
    retries: run.minutes,
    // One round of faults takes a minute or two; of orders that need a majority some fail.
    ...Object.fromEntries(Object.keys(all).map((name) => [name, Math.floor(rounds / 2)])),
  };
  const done: Record<string, number> = { ...counts, ...all };
  return Object.entries(floors).filter(([name, floor]) => (done[name] ?? 0) < floor)
    .map(([name, floor]) => `${name} ${done[name]} of ${floor}`);
}

function writeHistory(folder: string, history: History): void {
  const { registers, lists, rows } = history;
  Deno.writeTextFileSync(
    `${folder}/history.json`,
    JSON.stringify({ registers: [...registers], lists, rows }),
  );
}

function numberAfter(args: readonly string[], name: string, otherwise: number): number {
  const at = args.indexOf(name);
  const value = at < 0 ? otherwise : Number(args[at + 1]);
  if (!(value > 0)) throw new RangeError(`${name} wants a number above 0`);
  return value;
}

if (import.meta.main) {
  const isGood = await runChaos({
    minutes: numberAfter(Deno.args, "--minutes", 1),
    seed: numberAfter(Deno.args, "--seed", 1 + Math.floor(Math.random() * 1e6)),
    nodes: numberAfter(Deno.args, "--nodes", 3),
  });
  Deno.exit(isGood ? 0 : 1);
}
