/**
 * Bugs in the engine: each takes away one rule of the Raft paper, or of spec/raft-engine.md.
 * Not here: a follower that commits, or acknowledges, what lies behind the entries of an append. This
 * leader's probes always end at or behind the first difference of the logs, so no run gets there.
 */
import { bug, type PlantedBug } from "./planted_bug.ts";

/** Elections, votes, terms. */
export const ELECTION_BUGS: readonly PlantedBug[] = [
  bug("vote_not_persisted", "a vote is durable before it is given (figure 2)", {
    in: "src/raft/ready_maker.ts",
    find: "if (hardState.term !== term || hardState.vote !== vote) return true;",
    replace: "if (hardState.term !== term) return true;",
  }),
  bug("term_not_persisted", "term and vote survive a crash (figure 2)", {
    in: "src/raft/ready_maker.ts",
    find: "if (hardState.term !== term || hardState.vote !== vote) return true;",
    replace: "if (term < 0 || vote < 0) return true;",
  }),
  bug("vote_without_log_check", "election restriction (5.4.1)", {
    in: "src/raft/vote.ts",
    find: "mayVoteFor(state, message) && state.log.isUpToDate(candidateLast);",
    replace: "mayVoteFor(state, message) && candidateLast.index >= 0;",
  }),
  bug("log_check_by_length_only", "election restriction (5.4.1)", {
    in: "src/raft/raft_log.ts",
    find: "return candidateLast.term > own.term ||\n" +
      "      (candidateLast.term === own.term && candidateLast.index >= own.index);",
    replace: "return candidateLast.index >= own.index;",
  }),
  bug("log_check_by_term_only", "election restriction (5.4.1)", {
    in: "src/raft/raft_log.ts",
    find: "(candidateLast.term === own.term && candidateLast.index >= own.index);",
    replace: "candidateLast.term === own.term;",
  }),
  bug("two_votes_in_a_term", "one vote in a term (5.2)", {
    in: "src/raft/vote.ts",
    find: "if (state.vote === NOBODY && state.leader === NOBODY) return true;",
    replace: "if (state.leader === NOBODY) return true;",
  }),
  bug("vote_forgotten_within_the_term", "one vote in a term (5.2)", {
    in: "src/raft/state.ts",
    find: "if (term !== this.term) {",
    replace: "if (term >= this.term) {",
  }),
  bug("forget_leader_forgets_the_vote", "evidence of a dead leader touches no vote (rule E2)", {
    in: "src/raft/forget_leader.ts",
    find: "  state.setLeader(NOBODY);\n",
    replace: "  state.setLeader(NOBODY);\n  state.vote = NOBODY;\n",
  }),
  bug("vote_requests_before_durable", "a candidate's term and vote are durable (election.ts)", {
    in: "src/raft/election.ts",
    find:
      'if (ballot === "pre_vote" || state.config.areVoteRequestsImmediate) state.send(request);',
    replace: "if (ballot.length > 0) state.send(request);",
  }),
  bug("quorum_of_half", "a quorum is a majority (5.2)", {
    in: "src/raft/quorum.ts",
    find: "return Math.floor(voters.length / 2) + 1;",
    replace: "return Math.max(1, Math.floor(voters.length / 2));",
  }),
  bug("stale_terms_accepted", "messages of older terms are refused (5.1)", {
    in: "src/raft/step.ts",
    find: "if (message.term < state.term) {",
    replace: "if (message.term < state.term - 1) {",
  }),
];

/** Replication and commit. */
export const LOG_BUGS: readonly PlantedBug[] = [
  bug("old_term_committed_by_count", "only the own term is committed by counting (5.4.2)", {
    in: "src/raft/raft_log.ts",
    find: "if (position.index <= this.#commit || !this.matches(position)) return false;",
    replace: "if (position.index <= this.#commit) return false;",
  }),
  bug("append_without_previous", "consistency check of AppendEntries (5.3)", {
    in: "src/raft/raft_log.ts",
    find: "if (!this.matches(prev)) return undefined;",
    replace: "if (prev.index > this.lastIndex) return undefined;",
  }),
  bug("append_always_truncates", "an old append takes nothing away (figure 2, AppendEntries 3)", {
    in: "src/raft/raft_log.ts",
    find: "const conflict = entries.findIndex((entry) => !this.matches(entry));",
    replace: "const conflict = entries.length > 0 ? 0 : -1;",
  }),
  bug("heartbeat_commits_everything", "a heartbeat's commit is what the peer holds (5.3)", {
    in: "src/raft/replication.ts",
    find: "return progress.match < state.log.commit ? progress.match : state.log.commit;",
    replace: "return state.log.commit;",
  }),
  bug(
    "leader_counts_unsynced_log",
    "a leader counts its own disk like the others (thesis 10.2.1)",
    {
      in: "src/raft/proposal.ts",
      find: "state.acceptAppend({ to: state.id, index: log.lastIndex });",
      replace: "state.acceptAppend({ to: state.id, index: log.lastIndex });\n" +
        "  state.members.progress(state.id)?.maybeUpdate(log.lastIndex);",
    },
  ),
  bug("match_on_send", "match is what a peer acknowledged (figure 2)", {
    in: "src/raft/progress.ts",
    find: "this.next = logIndex(this.next + append.count);",
    replace:
      "this.next = logIndex(this.next + append.count);\n      this.match = logIndex(this.next - 1);",
  }),
  bug("applies_before_durable", "the state is never ahead of the durable log (rule D1)", {
    in: "src/raft/raft_log.ts",
    find: "return logIndex(Math.min(this.#commit, this.unstable.offset - 1));",
    replace: "return this.#commit;",
  }),
  {
    // Either of the two comparisons is almost enough; storage_answers_test.ts holds each of them.
    name: "acknowledgement_of_any_term",
    breaks: "late acknowledgements count in their own term, for the entry they name",
    edits: [
      {
        path: "src/raft/unstable_log.ts",
        find: "} else if (found !== term) {",
        replace: "} else if (found < 0) {",
      },
      {
        path: "src/raft/storage_answers.ts",
        find: "    if (term === state.term) {",
        replace: "    if (term <= state.term) {",
      },
    ],
  },
  bug("vote_spreads_unmatched_commit", "a commit index is taken over for the same entry only", {
    in: "src/raft/vote.ts",
    find: "if (!state.log.matches({ index: commit, term: commitTerm })) return;",
    replace: "if (commit > state.log.lastIndex || commitTerm < 0) return;",
  }),
  {
    name: "older_snapshot_installed",
    breaks: "a snapshot takes nothing committed away (section 7)",
    edits: [
      {
        path: "src/raft/snapshot.ts",
        find:
          "if (snapshot.index < log.commit || (snapshot.index === log.commit && !isRequested)) return false;",
        replace: "if (snapshot.index < 0) return false;",
      },
      {
        path: "src/raft/snapshot.ts",
        find: "if (!isRequested && log.matches(snapshot)) {",
        replace: "if (!isRequested && snapshot.index < 0) {",
      },
    ],
  },
  bug("snapshot_acknowledged_at_once", "a snapshot is durable before it is acknowledged", {
    in: "src/raft/snapshot.ts",
    find: "state.acceptAppend({ to: message.from, index });",
    replace: 'state.messages.push({ kind: "append_response", from: state.id, to: message.from, ' +
      "term: state.term, index, rejection: undefined });",
  }),
  bug("rejections_ignored", "a leader goes back until the logs meet (5.3)", {
    in: "src/raft/append_response.ts",
    find: "  else handleRejected(state, peer, message);",
    replace: "  else progress.resume();",
  }),
  bug("lost_appends_stay_lost", "retries until followers have everything (5.3)", {
    in: "src/raft/heartbeat.ts",
    find: 'if (progress.match < state.log.lastIndex || progress.state === "probe") {',
    replace: "if (progress.match < 0) {",
  }),
  bug("lost_snapshots_stay_lost", "a snapshot that failed is sent again", {
    in: "src/raft/snapshot.ts",
    find: 'if (report.outcome === "failed") progress.forgetPendingSnapshot();',
    replace: 'if (report.outcome === "failed") return;',
  }),
  bug("uncommitted_bytes_leak", "the limit on proposals counts what is under way", {
    in: "src/raft/proposal.ts",
    find: "state.uncommittedBytes = Math.max(0, state.uncommittedBytes - sizeBytes);",
    replace: "state.uncommittedBytes = Math.max(0, state.uncommittedBytes - sizeBytes * 0);",
  }),
];

/** Reads and membership. */
export const READ_AND_MEMBER_BUGS: readonly PlantedBug[] = [
  bug("read_without_quorum", "a read waits for a round of heartbeats (thesis 6.4)", {
    in: "src/raft/read_queue.ts",
    find: "const count = this.#pending.findIndex((read) => read.round > confirmed);",
    replace: "const count = confirmed < -1 ? 0 : -1;",
  }),
  bug("read_before_own_term", "a new leader learns the commit index first (thesis 6.4)", {
    in: "src/raft/read_index.ts",
    find: "return state.log.termOrZero(state.log.commit) === state.term;",
    replace: "return state.term >= 0;",
  }),
  bug("read_joins_a_sent_round", "the round begins behind the read (thesis 6.4)", {
    in: "src/raft/read_queue.ts",
    find: "  closeRound(): void {\n    this.#isRoundOpen = false;",
    replace: "  closeRound(): void {\n    this.#isRoundOpen = this.#round > 0;",
  }),
  bug("confirmations_outlive_the_term", "late answers confirm nothing new (etcd issue 20418)", {
    in: "src/raft/read_queue.ts",
    find: "    this.#answeredRounds.clear();\n",
    replace: "",
  }),
  bug("joint_commit_by_one_half", "both majorities commit (section 6)", {
    in: "src/raft/quorum.ts",
    find: "return Math.min(incoming, majorityIndex(joint.votersOutgoing, reached));",
    replace: "return incoming;",
  }),
  bug("joint_vote_by_one_half", "both majorities elect (section 6)", {
    in: "src/raft/quorum.ts",
    find: "const outgoing = majorityVote(joint.votersOutgoing, vote);",
    replace: "const outgoing = incoming;",
  }),
  bug("learners_counted", "learners have no vote (thesis 4.2.1)", {
    in: "src/raft/members.ts",
    find: "return jointIndex(this.#configuration, (id) => this.#progress.get(id)?.match ?? 0);",
    replace: "return jointIndex({ voters: this.#ids, votersOutgoing: [] }, " +
      "(id) => this.#progress.get(id)?.match ?? 0);",
  }),
  bug("campaign_with_unapplied_change", "nobody campaigns under an old configuration (rule D2)", {
    in: "src/raft/election.ts",
    find: "if (state.log.hasUnappliedChange()) {",
    replace: "if (state.log.hasUnappliedChange() && term < 0) {",
  }),
  {
    name: "two_changes_at_once",
    breaks: "one membership change at a time (section 6)",
    edits: [
      {
        path: "src/raft/proposal.ts",
        find: "if (pendingConfIndex > applied) {",
        replace: "if (pendingConfIndex > applied && applied < 0) {",
      },
      {
        // The node holds changes back, too, for a reason of its own.
        path: "src/node/change_gate.ts",
        find: 'if (role === "leader" && log.applied < log.lastIndex) return;',
        replace: 'if (role === "leader" && log.applied < -1) return;',
      },
    ],
  },
  {
    name: "many_voters_without_joint",
    breaks: "old and new majorities overlap (section 6)",
    edits: [
      {
        path: "src/raft/conf_change.ts",
        find: 'return change.transition !== "auto" || change.changes.length > 1;',
        replace: 'return change.transition !== "auto";',
      },
      {
        path: "src/raft/configuration_changer.ts",
        find: 'if (outcome.kind === "changed" && removed + added > 1) {',
        replace: 'if (outcome.kind === "changed" && removed + added > 9) {',
      },
    ],
  },
];
