/**
 * The Raft engine under every fault that its contract allows, many short runs from fixed seeds. A failed
 * run names its seed; `RAFT_CHAOS_SEED=n` repeats it, `RAFT_CHAOS_RUNS=n` makes more of them.
 */
import { ok } from "node:assert/strict";
import type { RaftConfig } from "../src/raft/config.ts";
import { act, calm } from "./raft_chaos/actions.ts";
import { SeededRandom } from "./raft_chaos/random.ts";
import { World } from "./raft_chaos/world.ts";

const ACTIONS_PER_RUN = 3000;

/** Small limits, so that every limit is met. */
const LIMITS: Partial<RaftConfig> = {
  electionTicks: 8,
  electionTicksMax: 15,
  checkQuorumTicks: 8,
  heartbeatTicks: 1,
  preVoteRetryTicks: 2,
  appendSizeBytesMax: 120,
  inflightAppendsMax: 3,
  inflightBytesMax: 60,
  uncommittedBytesMax: 200,
  applySizeBytesMax: 120,
};

/** Votes always tell the commit index: without, some membership changes end in silence (vote.ts). */
function randomConfig(random: SeededRandom): Partial<RaftConfig> {
  return {
    ...LIMITS,
    batchAppends: random.chance(0.5),
    checkQuorum: random.chance(0.8),
    preVote: random.chance(0.8),
  };
}

/** @returns the number of reads that were answered. */
function run(seed: number): number {
  const random = new SeededRandom(seed);
  const world = new World({
    random,
    voters: 1 + random.below(5),
    spares: random.below(3),
    config: randomConfig(random),
  });
  try {
    for (let i = 0; i < ACTIONS_PER_RUN; i++) act(world);
    calm(world);
  } catch (error) {
    throw new Error(`Chaos run failed: RAFT_CHAOS_SEED=${seed}`, { cause: error });
  }
  return world.judge.readsAnswered;
}

Deno.test("Raft keeps its promises under loss, doubling, reordering, crashes and membership changes", () => {
  const only = Deno.env.get("RAFT_CHAOS_SEED");
  if (only !== undefined) {
    run(Number(only));
    return;
  }
  const runs = Number(Deno.env.get("RAFT_CHAOS_RUNS") ?? 60);
  let reads = 0;
  for (let seed = Number(Deno.env.get("RAFT_CHAOS_FIRST") ?? 1); seed <= runs; seed++) {
    reads += run(seed);
  }
  ok(reads > runs, `only ${reads} reads were answered in ${runs} runs`);
});
