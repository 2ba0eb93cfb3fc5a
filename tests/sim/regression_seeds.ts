/**
 * Seeds that found something, for ever part of the regular tests. A seed means another run whenever the
 * simulator changes, so the bug itself is kept as well: by a planted bug, or by a unit test.
 */

/** A seed and what it found. */
export interface RegressionSeed {
  readonly seed: number;
  readonly found: string;
}

/** In the order of their finding. */
export const REGRESSION_SEEDS: readonly RegressionSeed[] = [
  {
    seed: 12,
    found: "a state ahead of the logged commit index: the next compaction ended the node " +
      "(planted: commit_behind_the_state)",
  },
  {
    seed: 22,
    found: "a snapshot was installed during a compaction, whose marker then took it back " +
      "(planted: compaction_without_overtaking_check)",
  },
  {
    seed: 354,
    found: "the verdict on one heavy write, applied, ended the trial of the next " +
      "(planted: two_trials_at_once)",
  },
  {
    seed: 1059,
    found: "a membership change behind an entry that waits for its verdict stopped elections " +
      "(planted: change_behind_a_parked_entry)",
  },
  { seed: 2317, found: "the judge itself was too strict about what a later leader has replaced" },
  {
    seed: 1090,
    found: "the simulation told no paused leader what became of a snapshot, as a transport must: " +
      "that peer was sent nothing more",
  },
  {
    seed: 2266,
    found:
      "a membership change that was applied counted as not applied while a later entry of its " +
      "batch waited for a verdict: nobody could be elected (unit test: ApplyQueue tells what is " +
      "applied of an item before a parked entry)",
  },
  {
    seed: 1419,
    found:
      "of two voters one was removed and switched off; the power failed at the other before it had " +
      "written that the change is committed, and it waited for the vote of the first for ever " +
      "(unit test: ready() has the commit index of a change synced)",
  },
  {
    seed: 12353,
    found: "the simulation let a paused process's two batches overtake each other (seed 12661 too)",
  },
  {
    seed: 3274,
    found:
      "a snapshot was installed over an entry that waited for its verdict, and the node read its " +
      "empty log for ever (unit test: VerdictSearch ends where the log begins anew)",
  },
  {
    seed: 15711,
    found:
      "a follower asked for a snapshot, the leader held back what was behind its log, and could make " +
      "no snapshot: it waited for a verdict that stood there (unit test: requestSnapshot() cannot stall)",
  },
  {
    seed: 7070,
    found:
      "a node that was stopping met an entry that wants a verdict, and looked for it in the closed " +
      "log (unit test: ApplyQueue.stop() ends the search)",
  },
  {
    seed: 18054,
    found: "the judge had not heard of a change that was applied just before a crash",
  },
  {
    seed: 282,
    found:
      "without pre-votes one removed node may stop a change for good, as with etcd: what must " +
      "happen is no longer judged in such runs; production has pre-votes",
  },
  {
    seed: 11156,
    found:
      "the simulation lost a machine for good while a change that gave it a vote waited, in no log yet",
  },
];
