/**
 * What it costs clients that the nodes compare their states (rule V1): 64 of them write to a cluster that holds
 * much, and what they get while a comparison is under way is set beside what they get otherwise. One is under
 * way from the moment that the leader has applied its entry until it has everybody's digest.
 */
import { type Member, type TestCluster, values } from "../cluster.ts";
import { replicaFacts } from "../diverging.ts";
import { sleep } from "../process.ts";
import { appliedIndex } from "./failover.ts";
import { fill } from "./large.ts";
import { type Outcome, Writers } from "./writers.ts";

const SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
const CLIENTS = 64;
const LOOK_MS = 50;
/** They come every 20 seconds. */
const COMPARISON_MS_MAX = 120_000;

/** When a comparison was under way, of `performance.now()`. */
interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** `words`: megabytes, and how many comparisons to see. */
export async function comparison(
  cluster: TestCluster,
  [megabytes = "1000", count = "3"]: readonly string[],
): Promise<object> {
  const leader = await cluster.leader();
  await fill(leader, Number(megabytes));
  await nextComparison(leader);
  const writers = new Writers({ urls: [leader.node.url], clients: CLIENTS });
  await nextComparison(leader);
  const fromMs = performance.now();
  writers.watch();
  const spans: Span[] = [];
  while (spans.length < Number(count)) spans.push(await nextComparison(leader));
  const toMs = performance.now();
  const outcomes = writers.unwatch();
  await writers.stop();
  const comparedMs = spans.reduce((sum, span) => sum + span.toMs - span.fromMs, 0);
  const isDuring = ({ endedMs }: Outcome): boolean =>
    spans.some((span) => endedMs >= span.fromMs && endedMs <= span.toMs);
  const facts = await replicaFacts(leader);
  return {
    comparisons: spans.map((span) => Math.round(span.toMs - span.fromMs)),
    otherwise: summary(outcomes.filter((each) => !isDuring(each)), toMs - fromMs - comparedMs),
    during: summary(outcomes.filter(isDuring), comparedMs),
    failures: writers.failures.length,
    comparedMembers: facts["compared_members"],
    databaseBytes: await values(leader, SIZE, "none"),
  };
}

function summary(outcomes: readonly Outcome[], ms: number): object {
  const latencies = outcomes.map(({ sentMs, endedMs }) => endedMs - sentMs);
  latencies.sort((left, right) => left - right);
  const at = (share: number): number =>
    Math.round(10 * (latencies[Math.floor(share * latencies.length)] ?? 0)) / 10;
  return {
    seconds: Math.round(ms / 100) / 10,
    writesPerSecond: Math.round(1000 * outcomes.length / ms),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

/** Waits until a comparison has ended that had not when this was called. */
async function nextComparison(leader: Member): Promise<Span> {
  const before = await comparedIndex(leader);
  const untilMs = performance.now() + COMPARISON_MS_MAX;
  /** When the leader had applied how much. */
  const looks: { readonly ms: number; readonly index: number }[] = [];
  while (performance.now() < untilMs) {
    looks.push({ ms: performance.now(), index: await appliedIndex(leader) ?? 0 });
    const index = await comparedIndex(leader);
    if (index > before) {
      const first = looks.find((look) => look.index >= index);
      return { fromMs: first?.ms ?? performance.now(), toMs: performance.now() };
    }
    await sleep(LOOK_MS);
  }
  throw new Error("comparison: there is none");
}

async function comparedIndex(leader: Member): Promise<number> {
  return Number((await replicaFacts(leader))["compared_index"]);
}
