/**
 * What a campaign sums up over its runs: the faults that really happened and the work that was done in
 * spite of them. A campaign in which one of them is near zero has tested less than it claims.
 */

/** Counts of one run, or of many. */
export interface Counters {
  starts: number;
  exits: number;
  powerCuts: number;
  tornWrites: number;
  diskCrashes: number;
  crashesInRecovery: number;
  kills: number;
  blackouts: number;
  gracefulStops: number;
  partitions: number;
  /** Of these, between the halves of a joint configuration that only one half knows of. */
  halvesSplit: number;
  oneWayPartitions: number;
  pauses: number;
  clockJumps: number;
  slowDisks: number;
  syncErrors: number;
  writeErrors: number;
  fullDisks: number;
  bitFlips: number;
  damageRefused: number;
  wipes: number;
  rollbacks: number;
  leadersForgotten: number;
  falseEvidence: number;
  coups: number;
  transfers: number;
  membershipChanges: number;
  snapshotsTaken: number;
  snapshotsInstalled: number;
  snapshotsRequested: number;
  databasesCompared: number;
  divergences: number;
  alarms: number;
  undecided: number;
  quarantines: number;
  renewals: number;
  statesSent: number;
  elections: number;
  /** Of these, won under a joint configuration: it was entered and not left. */
  jointElections: number;
  /** Of these, by a node whose configuration some other node had left already. */
  outdatedElections: number;
  writesAcked: number;
  writesRefused: number;
  writesUnknown: number;
  verdicts: number;
  reads: number;
  followerReads: number;
  messages: number;
  messagesLost: number;
  messagesDoubled: number;
  committed: number;
}

/** All zero. */
export function noCounters(): Counters {
  return {
    starts: 0,
    exits: 0,
    powerCuts: 0,
    tornWrites: 0,
    diskCrashes: 0,
    crashesInRecovery: 0,
    kills: 0,
    blackouts: 0,
    gracefulStops: 0,
    partitions: 0,
    halvesSplit: 0,
    oneWayPartitions: 0,
    pauses: 0,
    clockJumps: 0,
    slowDisks: 0,
    syncErrors: 0,
    writeErrors: 0,
    fullDisks: 0,
    bitFlips: 0,
    damageRefused: 0,
    wipes: 0,
    rollbacks: 0,
    leadersForgotten: 0,
    falseEvidence: 0,
    coups: 0,
    transfers: 0,
    membershipChanges: 0,
    snapshotsTaken: 0,
    snapshotsInstalled: 0,
    snapshotsRequested: 0,
    databasesCompared: 0,
    divergences: 0,
    alarms: 0,
    undecided: 0,
    quarantines: 0,
    renewals: 0,
    statesSent: 0,
    elections: 0,
    jointElections: 0,
    outdatedElections: 0,
    writesAcked: 0,
    writesRefused: 0,
    writesUnknown: 0,
    verdicts: 0,
    reads: 0,
    followerReads: 0,
    messages: 0,
    messagesLost: 0,
    messagesDoubled: 0,
    committed: 0,
  };
}

/** Adds `more` to `sum`. */
export function addCounters(sum: Counters, more: Counters): void {
  for (const key of Object.keys(sum)) {
    const name = key as keyof Counters;
    sum[name] += more[name];
  }
}
