/**
 * A node that was down for many writes comes back while 64 clients go on writing: by the log, or by a snapshot
 * when the log is gone (the default settings keep 10,240 entries).
 */
import { execute, type Member, type TestCluster } from "../cluster.ts";
import { appliedIndex } from "./failover.ts";
import { residentMb, Sampler } from "./process_memory.ts";
import { sleep } from "../process.ts";
import { Writers } from "./writers.ts";

const FILLERS = 256;
const CLIENTS = 64;
const SETTLE_MS = 3_000;

/** Closer than this to the leader is caught up, since both move on. */
const LAG_MAX = 2_000;
const CATCH_UP_MS_MAX = 300_000;

/** `words`: how many writes; then `log` or `snapshot`. */
export async function catchUp(
  cluster: TestCluster,
  [writes = "500000"]: readonly string[],
): Promise<object> {
  const leader = await cluster.leader();
  const [late = leader, other = leader] = cluster.others(leader);
  await late.node.stop("SIGKILL");
  const urls = [leader.node.url];
  const fillStartedMs = performance.now();
  await new Writers({ urls, clients: FILLERS, limit: Number(writes) }).done();
  const fillMs = Math.round(performance.now() - fillStartedMs);
  await sleep(SETTLE_MS);
  const memoryBefore = residentMb(leader.node.pid);
  const writers = new Writers({ urls: [leader.node.url, other.node.url], clients: CLIENTS });
  await sleep(SETTLE_MS);
  const writtenBefore = writers.acknowledged;
  const sampler = new Sampler(() => residentMb(leader.node.pid).own, 100);
  const lateSampler = new Sampler(() => ownMb(late), 100);
  const startedMs = performance.now();
  await cluster.restart(late);
  const readyMs = Math.round(performance.now() - startedMs);
  await untilClose(late, leader);
  const caughtUpMs = Math.round(performance.now() - startedMs);
  const writesMeanwhile = writers.acknowledged - writtenBefore;
  const memoryDuring = Math.max(...sampler.stop());
  const memoryOfLate = Math.max(...lateSampler.stop());
  await sleep(SETTLE_MS);
  await writers.stop();
  await sleep(SETTLE_MS);
  const total = JSON.parse(await execute(leader, ["DELETE FROM load WHERE id < 0"]));
  return {
    total,
    fillMs,
    readyMs,
    caughtUpMs,
    writesPerSecondMeanwhile: Math.round(writesMeanwhile / caughtUpMs * 1000),
    failures: writers.failures.length,
    leaderMb: {
      before: memoryBefore,
      duringOwnMax: memoryDuring,
      after: residentMb(leader.node.pid),
    },
    lateOwnMbMax: memoryOfLate,
  };
}

function ownMb({ node }: Member): number {
  try {
    return residentMb(node.pid).own;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

async function untilClose(late: Member, leader: Member): Promise<void> {
  const untilMs = performance.now() + CATCH_UP_MS_MAX;
  while (performance.now() < untilMs) {
    const [own = 0, target = Infinity] = [await appliedIndex(late), await appliedIndex(leader)];
    if (own >= target - LAG_MAX) return;
    await sleep(20);
  }
  throw new Error(`It does not catch up:\n${late.node.log()}`);
}
