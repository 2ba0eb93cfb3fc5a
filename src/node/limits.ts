/**
 * Bounds of the node's room that belong to the cluster: members, forwarding, hand-over. Bounds that other
 * rooms must agree on stand in base/limits.ts.
 */

/** Members of one cluster, learners included. */
export const MEMBERS_MAX = 99;

/** Changes of the members that wait for their turn. */
export const MEMBER_CHANGES_WAITING_MAX = 64;

/** How often the leader looks for learners to promote and members to reap. Milliseconds. */
export const LOOK_MS = 100;

/** A learner so many entries behind the commit index has caught up: they take it less than a heartbeat. */
export const PROMOTION_LAG_ENTRIES_MAX = 1024;

/** How long a hand-over may take; the engine itself gives up after an election timeout. */
export const TRANSFER_MS_MAX = 1_500;

/** How long a leader may be silent before it counts as not to be reached, and a learner forgets it. */
export const LEADER_SILENCE_MS_MAX = 2_000;

/** How long a request waits for a leader to be elected before it is told that there is none. */
export const LEADER_WAIT_MS_MAX = 2_500;

/** Between two attempts to forward a request that was refused because the leader had just changed. */
export const FORWARD_RETRY_MS = 20;

/** How often a request may be passed on (fault N15). */
export const FORWARD_HOPS_MAX = 3;

/** Forwarded writes of this node without an answer; the state keeps answers for so many (rule X1). */
export const FORWARDED_WRITES_MAX = 16_384;

/** Evidence of a leader's end was false: not believed again for so long (rule E2). Milliseconds. */
export const FALSE_EVIDENCE_MS = 30_000;

/** Rule E2: steps and chance of the first pre-vote on evidence, and of the next ones. Milliseconds. */
export const EVIDENCE_RANK_MS = 100;
export const EVIDENCE_SPREAD_MS = 50;
export const EVIDENCE_RETRY_MS = 100;
export const EVIDENCE_RETRY_SPREAD_MS = 200;

/**
 * What of the log is kept for whoever gets a copy of the state (rule N3). Whom the log has overtaken once gets
 * four times as much; writes are slowed then, and past eight times as much it is let go: a member that takes
 * for ever must not fill the disks of the others.
 */
export const HELD_LOG_BYTES_MAX = 512 * 1024 * 1024;
export const SLOW_WRITES_LOG_BYTES = 4 * HELD_LOG_BYTES_MAX;
export const HELD_LOG_BYTES_AFTER_MISS_MAX = 8 * HELD_LOG_BYTES_MAX;

/** Snapshots that have arrived and are not installed: each takes as much room as the database. */
export const RECEIVED_SNAPSHOTS_MAX = 3;

/** How long a follower waits for the verdict on an entry that it did not come back from, before it takes its leader's state. */
export const STUCK_STATE_WAIT_MS = 10_000;

/** Log that stays behind a snapshot for members that are a little behind, at most; whole segments go. */
export const TRAILING_LOG_BYTES = 256 * 1024 * 1024;

/** Ranges of the log that wait to be read back, for slow members and for apply. */
export const WANTED_RANGES_MAX = 2 * MEMBERS_MAX;

/** How long a copy of the state that nobody needs any more stays, with the log behind it. Milliseconds. */
export const EXPORT_IDLE_MS_MAX = 15_000;

/** Before a copy is tried again that found no room. Milliseconds. */
export const EXPORT_RETRY_MS = 1_000;

/** How often the members' states are compared, and how long members are waited for (rule V1). Milliseconds. */
export const COMPARE_INTERVAL_MS = 20_000;
export const COMPARE_WAIT_MS = 15_000;

/** So many times as long as a comparison takes passes before the next. */
export const COMPARE_DURATION_FACTOR = 10;

/** After so long a leader does not wait for its own digest any more. Milliseconds. */
export const COMPARE_OWN_MS_MAX = 600_000;

/** How often a report that does not reach the leader is sent, and how far apart. Milliseconds. */
export const REPORT_ATTEMPTS_MAX = 5;
export const REPORT_RETRY_MS = 500;

/** How long a call about the state of a replica may take. Milliseconds. */
export const REPLICA_CALL_MS_MAX = 5_000;

/** Between two steps of a node in quarantine: asking for a state, handing over. Milliseconds. */
export const QUARANTINE_STEP_MS = 500;

/** A node in quarantine without a leader goes on applying after so long: it may be needed to lead (rule D2). */
export const QUARANTINE_LEADERLESS_MS = 2_400;

/** How long a request is passed on and waited for, unless its client says otherwise. Milliseconds. */
export const FORWARD_TIMEOUT_MS_DEFAULT = 30_000;

/** Calls with writes that are under way to a leader at once. */
export const FORWARD_CALLS_MAX = 2;

/** Writes in one such call, and bytes of them; a single larger one goes alone. */
export const FORWARD_WRITES_AT_ONCE_MAX = 1024;
export const FORWARD_WRITES_AT_ONCE_BYTES = 1024 * 1024;

/** Reads that come while a round of questions is under way wait so long for its answer before they ask for themselves. Milliseconds. */
export const READ_ROUND_MS = 20;

/** Rounds without an answer, past which the next one is asked only after READ_RETRY_MS: they are lost, or nothing is answered. */
export const READ_ROUNDS_MAX = 8;

/** After so long without an answer a round counts as lost, and is asked again. Milliseconds. */
export const READ_RETRY_MS = 200;

/** The log is read again in slices of so many bytes, so far apart; then it rests. Some 5 MB a second. Milliseconds. */
export const SCRUB_SLICE_BYTES = 512 * 1024;
export const SCRUB_SLICE_MS = 100;
export const SCRUB_REST_MS = 20_000;

/** The state's file is read again so long after the start, and so long after each time. Milliseconds. */
export const SCAN_FIRST_MS = 20_000;
export const SCAN_REST_MS = 600_000;

/** After a damaged copy of the state was replaced the new one is read so soon. Milliseconds. */
export const SCAN_AGAIN_MS = 5_000;
