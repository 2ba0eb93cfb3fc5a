/**
 * What one seed decides before anything happens: size of the cluster, settings, and which faults come how
 * often. Every kind of fault is off in many runs (swarm testing): faults mask each other, and a run
 * with all of them at once gets nowhere.
 */
import type { RaftConfig } from "../../src/raft/config.ts";
import { type Chance, stream } from "./chance.ts";

/** Mean milliseconds between two faults of a kind, over the whole cluster; 0 for never. */
export interface FaultRates {
  readonly kill: number;
  readonly powerCut: number;
  /** Power fails at a disk operation soon after. */
  readonly diskCrash: number;
  /** Power fails on most of the cluster at once. */
  readonly blackout: number;
  readonly gracefulStop: number;
  readonly partition: number;
  readonly oneWay: number;
  readonly pause: number;
  readonly clockJump: number;
  readonly slowDisk: number;
  readonly ioError: number;
  readonly diskFull: number;
  readonly bitFlip: number;
  readonly wipe: number;
  readonly rollback: number;
  readonly forgetLeader: number;
  /** The leader is cut off and another one elected at once. */
  readonly coup: number;
  readonly transfer: number;
  readonly membership: number;
  readonly snapshot: number;
  readonly snapshotRequest: number;
}

/** See the file's header. */
export interface SwarmOptions {
  readonly seed: number;
  readonly voters: number;
  /** Real SQLite behind the nodes, not the model: for a share of the seeds, since it takes longer. */
  readonly isSqlite: boolean;
  /** Storms and lulls take turns for so long. */
  readonly durationMs: number;
  readonly stormMs: number;
  /** Without new faults, and with few clients; 0 for none. */
  readonly lullMs: number;
  readonly raft: Partial<RaftConfig>;
  readonly segmentSizeBytes: number;
  readonly snapshotEntries: number;
  readonly snapshotIntervalMs: number;
  readonly trailingEntries: number;
  /** Share of nodes whose state is in memory. */
  readonly ramShare: number;
  readonly networkMs: readonly [min: number, max: number];
  /** Probability that a message takes up to twenty times as long. */
  readonly late: number;
  readonly loss: number;
  readonly doubling: number;
  /** Whether messages of one stream may overtake each other. */
  readonly reorders: boolean;
  readonly syncMs: readonly [min: number, max: number];
  /** The longest that applying a batch takes. */
  readonly applyMs: number;
  /** Probability that a sync stalls for a second or more. */
  readonly syncStall: number;
  readonly clients: number;
  readonly thinkMs: number;
  readonly payloadBytesMax: number;
  readonly readShare: number;
  /** Probability that a write passes its soft limit and needs a verdict (rule A4). */
  readonly heavyShare: number;
  /** Probability of a crash at each disk operation of a start. */
  readonly bootCrash: number;
  readonly restartMs: readonly [min: number, max: number];
  /** Whether peers tell each other of dead processes (rule E2). */
  readonly tellsDeath: boolean;
  /** Mean milliseconds between two states that become other ones (rule V1); 0 for never. */
  readonly divergenceMs: number;
  readonly faults: FaultRates;
}

const SQLITE_SHARE = 0.02;

const SIZES = [1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7];

/** The options of `seed`. */
export function swarmOptions(seed: number): SwarmOptions {
  const chance = stream(seed, "options");
  const voters = chance.pick(SIZES) ?? 3;
  const networkMin = chance.pick([0, 0, 1, 5]) ?? 0;
  const ramShare = chance.pick([0, 0.5, 0.5, 1]) ?? 0.5;
  const heavyShare = chance.happens(0.3) ? 0.02 : 0;
  const storms = chance.within(1, 3);
  const stormMs = Math.floor(chance.within(20, 100) * 1000 / storms);
  const lullMs = chance.within(10, 140) * 1000;
  const isSqlite = stream(seed, "state machine").happens(SQLITE_SHARE);
  return {
    seed,
    voters,
    isSqlite,
    durationMs: storms * (stormMs + lullMs),
    stormMs,
    lullMs,
    raft: raftSettings(chance),
    segmentSizeBytes: chance.pick([4096, 8192, 8192, 16384, 65536]) ?? 8192,
    snapshotEntries: chance.pick([5, 20, 50, 150]) ?? 20,
    snapshotIntervalMs: chance.pick([300, 1000, 3000]) ?? 1000,
    trailingEntries: chance.pick([0, 3, 20, 100]) ?? 3,
    ramShare: isSqlite ? 1 : ramShare,
    networkMs: [networkMin, networkMin + (chance.pick([1, 3, 10, 40]) ?? 1)],
    late: chance.happens(0.4) ? 0.02 : 0,
    loss: chance.pick([0, 0, 0.01, 0.05, 0.15]) ?? 0,
    doubling: chance.pick([0, 0, 0.01, 0.1]) ?? 0,
    reorders: chance.happens(0.5),
    syncMs: [0, chance.pick([1, 3, 10, 50]) ?? 1],
    applyMs: chance.pick([3, 3, 3, 30, 200]) ?? 3,
    syncStall: chance.happens(0.2) ? 0.002 : 0,
    clients: chance.within(1, 5),
    thinkMs: chance.pick([20, 100, 100, 400]) ?? 100,
    payloadBytesMax: chance.pick([16, 100, 1000, 3000]) ?? 100,
    readShare: chance.pick([0.1, 0.4, 0.7]) ?? 0.4,
    heavyShare: isSqlite ? 0 : heavyShare,
    bootCrash: chance.pick([0, 0, 0.01, 0.05]) ?? 0,
    restartMs: chance.pick([[50, 500], [100, 3000], [1000, 15_000]] as const) ?? [100, 3000],
    tellsDeath: chance.happens(0.6),
    divergenceMs: 0,
    faults: faultRates(chance),
  };
}

/** The same, with states that diverge: for the model, which has a way to. */
export function withDivergence(options: SwarmOptions): SwarmOptions {
  const chance = stream(options.seed, "divergence");
  const divergenceMs = chance.pick([2_000, 6_000, 20_000]) ?? 6_000;
  return { ...options, isSqlite: false, divergenceMs };
}

/** Small limits, so that every limit is met; sometimes production's. */
function raftSettings(chance: Chance): Partial<RaftConfig> {
  const settings: Partial<RaftConfig> = {
    batchAppends: chance.happens(0.7),
    checkQuorum: chance.happens(0.85),
    // Off, only what must never happen is judged, not what must: see healing.ts.
    preVote: chance.happens(0.9),
  };
  if (chance.happens(0.4)) return settings;
  return {
    ...settings,
    appendSizeBytesMax: chance.pick([100, 500, 5000]) ?? 500,
    inflightAppendsMax: chance.pick([1, 2, 8, 256]) ?? 8,
    inflightBytesMax: chance.pick([200, 2000, 100_000]) ?? 2000,
    uncommittedBytesMax: chance.pick([500, 5000, 1_000_000]) ?? 5000,
    applySizeBytesMax: chance.pick([100, 2000, 1_000_000]) ?? 2000,
  };
}

const NEVER: FaultRates = {
  kill: 0,
  powerCut: 0,
  diskCrash: 0,
  blackout: 0,
  gracefulStop: 0,
  partition: 0,
  oneWay: 0,
  pause: 0,
  clockJump: 0,
  slowDisk: 0,
  ioError: 0,
  diskFull: 0,
  bitFlip: 0,
  wipe: 0,
  rollback: 0,
  forgetLeader: 0,
  coup: 0,
  transfer: 0,
  membership: 0,
  snapshot: 0,
  snapshotRequest: 0,
};

/** How likely a kind is in a run, and how often it then comes. */
const USUAL: readonly (readonly [kind: keyof FaultRates, likely: number, meanMs: number])[] = [
  ["kill", 0.5, 8000],
  ["powerCut", 0.5, 8000],
  ["diskCrash", 0.5, 6000],
  ["blackout", 0.25, 15_000],
  ["gracefulStop", 0.2, 15_000],
  ["partition", 0.5, 6000],
  ["oneWay", 0.5, 6000],
  ["pause", 0.4, 8000],
  ["clockJump", 0.2, 8000],
  ["slowDisk", 0.3, 8000],
  ["ioError", 0.35, 10_000],
  ["diskFull", 0.25, 15_000],
  ["bitFlip", 0.3, 12_000],
  ["wipe", 0.3, 15_000],
  ["rollback", 0.3, 6000],
  ["forgetLeader", 0.4, 2000],
  ["coup", 0.4, 5000],
  ["transfer", 0.35, 3000],
  ["membership", 0.5, 3000],
  ["snapshot", 0.3, 3000],
  ["snapshotRequest", 0.3, 4000],
];

function faultRates(chance: Chance): FaultRates {
  const rates: Record<keyof FaultRates, number> = { ...NEVER };
  // Some runs are calm, so that what only a long calm shows is seen as well.
  const mood = chance.pick([0.3, 1, 1, 1, 3]) ?? 1;
  for (const [kind, likely, meanMs] of USUAL) {
    const isOn = chance.happens(likely);
    if (isOn) rates[kind] = Math.round(meanMs * mood);
  }
  return rates;
}
