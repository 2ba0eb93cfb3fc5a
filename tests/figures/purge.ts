/**
 * What many writes leave on disk: the log is purged behind snapshots, so that what a data directory takes up
 * stays bounded while nobody stops writing.
 */
import { get, type TestCluster } from "../cluster.ts";
import { folderMb, Sampler } from "./process_memory.ts";
import { sleep } from "../process.ts";
import { Writers } from "./writers.ts";

const CLIENTS = 256;
const EVERY_MS = 5_000;
const SETTLE_MS = 15_000;

/** `words`: how many writes. */
export async function purge(
  cluster: TestCluster,
  [writes = "1000000"]: readonly string[],
): Promise<object> {
  const leader = await cluster.leader();
  const urls = [leader.node.url];
  const startedMs = performance.now();
  const writers = new Writers({ urls, clients: CLIENTS, limit: Number(writes) });
  const sampler = new Sampler(() => {
    const logs = cluster.members.map(({ dataDirectory }) => folderMb(`${dataDirectory}/log`));
    const all = cluster.members.map(({ dataDirectory }) => folderMb(dataDirectory));
    return { writes: writers.acknowledged, logs, all };
  }, EVERY_MS);
  await writers.done();
  const tookMs = Math.round(performance.now() - startedMs);
  await sleep(SETTLE_MS);
  const samples = sampler.stop();
  const firstLogIndex = await Promise.all(
    cluster.members.map((member) => get(member, "/status?key=store.raft.first_log_index")),
  );
  return {
    tookMs,
    failures: writers.failures.length,
    samples: samples.map(({ writes, logs, all }) => `${writes}: log ${logs}, all ${all}`),
    logMbMax: Math.max(...samples.flatMap(({ logs }) => logs)),
    folderMbMax: Math.max(...samples.flatMap(({ all }) => all)),
    firstLogIndex,
  };
}
