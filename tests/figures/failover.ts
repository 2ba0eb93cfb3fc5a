/**
 * What clients notice when a node dies, falls silent or stops, while 64 of them write through all nodes.
 * The gap is from the blow to the first acknowledgement of a write that was sent after it.
 */
import { type Member, type TestCluster } from "../cluster.ts";
import { sleep } from "../process.ts";
import { type Outcome, Writers } from "./writers.ts";

const CLIENTS = 64;
const BETWEEN_ROUNDS_MS = 1_000;

/** Past the gap, so that failures that come late are counted too. */
const AFTERMATH_MS = 500;
const CAUGHT_UP_MS_MAX = 60_000;

/** What befalls whom. */
export type Blow = "kill-leader" | "pause-leader" | "stop-leader" | "kill-follower";

interface Round {
  readonly gapMs: number;
  /** Between two acknowledgements, the longest time. */
  readonly silenceMs: number;
  /** Terms that began, the first election's among them. */
  readonly elections: number;
  readonly failedAtVictim: readonly string[];
  readonly failedElsewhere: readonly string[];
}

/** Strikes so many times, and lets the victim come back each time. */
export async function rounds(
  cluster: TestCluster,
  { blow, words: [count = "10"] }: { readonly blow: Blow; readonly words: readonly string[] },
): Promise<object> {
  const urls = cluster.members.map(({ node }) => node.url);
  const writers = new Writers({ urls, clients: CLIENTS });
  const done: Round[] = [];
  try {
    for (let round = 0; round < Number(count); round++) {
      await sleep(BETWEEN_ROUNDS_MS);
      done.push(await strike(cluster, { blow, writers }));
    }
  } finally {
    await writers.stop();
  }
  return {
    gaps: done.map(({ gapMs, elections }) => elections > 1 ? `${gapMs} (${elections})` : gapMs),
    gap: spread(done.map(({ gapMs }) => gapMs)),
    silence: spread(done.map(({ silenceMs }) => silenceMs)),
    acknowledged: writers.acknowledged,
    failedAtVictim: counted(done.flatMap(({ failedAtVictim }) => failedAtVictim)),
    failedElsewhere: counted(done.flatMap(({ failedElsewhere }) => failedElsewhere)),
  };
}

async function strike(
  cluster: TestCluster,
  { blow, writers }: { readonly blow: Blow; readonly writers: Writers },
): Promise<Round> {
  const leader = await cluster.leader();
  const [follower = leader] = cluster.others(leader);
  const victim = blow === "kill-follower" ? follower : leader;
  const [witness = victim] = cluster.others(victim);
  const termBefore = await raftFigure(witness, "term");
  writers.watch();
  const struckMs = performance.now();
  const ended = hit(victim, blow);
  const first = await writers.firstSentAfter(struckMs);
  await sleep(AFTERMATH_MS);
  await ended;
  const outcomes = writers.unwatch();
  const elections = (await raftFigure(witness, "term") ?? 0) - (termBefore ?? 0);
  if (blow === "pause-leader") Deno.kill(victim.node.pid, "SIGCONT");
  else await cluster.restart(victim);
  await untilCaughtUp(victim, witness);
  return { ...judge(outcomes, { victim, struckMs, first }), elections };
}

async function hit(victim: Member, blow: Blow): Promise<void> {
  if (blow === "pause-leader") Deno.kill(victim.node.pid, "SIGSTOP");
  else await victim.node.stop(blow === "stop-leader" ? "SIGTERM" : "SIGKILL");
}

function judge(
  outcomes: readonly Outcome[],
  { victim, struckMs, first }: {
    readonly victim: Member;
    readonly struckMs: number;
    readonly first: number;
  },
): Omit<Round, "elections"> {
  const failed = outcomes.filter(({ failure }) => failure !== undefined);
  const isAtVictim = ({ url }: Outcome): boolean => url === victim.node.url;
  const acknowledged = outcomes.filter(({ failure }) => failure === undefined);
  let silenceMs = 0;
  let last = struckMs;
  for (const { endedMs } of acknowledged) {
    silenceMs = Math.max(silenceMs, endedMs - last);
    last = endedMs;
  }
  return {
    gapMs: Math.round(first - struckMs),
    silenceMs: Math.round(silenceMs),
    failedAtVictim: failed.filter(isAtVictim).map(({ failure }) => failure ?? ""),
    failedElsewhere: failed.filter((each) => !isAtVictim(each)).map(({ failure }) => failure ?? ""),
  };
}

async function untilCaughtUp(member: Member, witness: Member): Promise<void> {
  const untilMs = performance.now() + CAUGHT_UP_MS_MAX;
  while (performance.now() < untilMs) {
    const [own, other] = [await appliedIndex(member), await appliedIndex(witness)];
    if (own !== undefined && other !== undefined && own >= other - 1_000) return;
    await sleep(20);
  }
  throw new Error(`${member.name} does not catch up:\n${member.node.log()}`);
}

/** How far a node is; undefined when it does not say. */
export async function appliedIndex(member: Member): Promise<number | undefined> {
  return await raftFigure(member, "applied_index");
}

async function raftFigure({ node }: Member, name: string): Promise<number | undefined> {
  try {
    const url = `${node.url}/status?key=store.raft.${name}`;
    const text = await (await fetch(url, { signal: AbortSignal.timeout(5_000) })).text();
    return Number.isFinite(Number(text)) ? Number(text) : undefined;
  } catch (error) {
    // Not there yet, or too busy to answer.
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    return undefined;
  }
}

function spread(values: readonly number[]): object {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number): number | undefined =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  return { median: at(0.5), p90: at(0.9), worst: sorted.at(-1) };
}

function counted(reasons: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const reason of reasons) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}
