/**
 * Bugs in the driver: what is durable when, what clients are told, what a start trusts. Some of them were
 * there once, and the simulator found them; these say so.
 * Not here: entries that were read back and replaced since (log_view_test.ts). They are newer in memory
 * until they are applied, and forgotten then, unless the tail is full, which takes many megabytes. Nor
 * a switch to an installed state before its marker: no operation of the disk lies between the two.
 */
import { bug, type PlantedBug } from "./planted_bug.ts";

/** See the file's header. */
export const NODE_BUGS: readonly PlantedBug[] = [
  bug("read_shares_a_round_under_way", "the round is asked behind the read (thesis 6.4)", {
    in: "src/node/read_confirmations.ts",
    find: "    this.#askWhenDue(nowMs);\n    return promise;",
    replace: "    if (this.#lastRound > this.#endedRound) {\n" +
      "      for (const read of this.#gathering.splice(0)) {\n" +
      "        this.#asked.push({ ...read, round: this.#lastRound });\n      }\n    }\n" +
      "    this.#askWhenDue(nowMs);\n    return promise;",
  }),
  bug("acknowledged_before_fsync", "nothing is promised before it is on the disk", {
    in: "src/node/append_queue.ts",
    find: "    return this.#log.sync({ mayBlock }).then(() => works);",
    replace: "    for (const work of works) work.onDurable();\n" +
      "    return this.#log.sync({ mayBlock }).then(() => []);",
  }),
  bug("never_synced", "entries are synced, not only written", {
    in: "src/node/append_queue.ts",
    find: "if (works.some((work) => work.mustSync)) return this.#write(works);",
    replace: "if (works.some((work) => work.entries.length > 0)) return this.#write(works);",
  }),
  bug("installed_configuration_ignored", "a snapshot's configuration is in force (section 7)", {
    in: "src/node/event_loop.ts",
    find: "      this.#configuration = snapshot.configuration;\n",
    replace: "",
  }),
  bug("apply_stops_at_an_install", "entries behind a snapshot are applied (rule S2)", {
    in: "src/node/event_loop.ts",
    find: "      this.applyQueue.resumeAt(marker.index);\n",
    replace: "",
  }),
  bug("install_without_draining", "apply stands still while a snapshot is installed (rule S2)", {
    in: "src/node/event_loop.ts",
    find: "      await this.applyQueue.drain();\n",
    replace: "",
  }),
  bug("writes_survive_leadership", "a lost leadership ends the waits of its writes", {
    in: "src/node/event_loop.ts",
    find: 'if (wasLeader && state.role !== "leader") {',
    replace: 'if (wasLeader && state.role !== "leader" && state.leader < 0) {',
  }),
  bug("unknown_said_to_be_refused", "refused means that nothing happened", {
    in: "src/node/proposals.ts",
    find: 'this.#remove(index)?.reject(new OperatingError("outcome_unknown", options.unknown));',
    replace: 'this.#remove(index)?.reject(new OperatingError("not_leader", options.unknown));',
  }),
  bug("write_proposed_twice", "a write stands once in the log", {
    in: "src/node/event_loop.ts",
    find: "    batch.forEach((proposal, place) => {\n      this.proposals.place",
    replace: "    const again = this.#entropy.below(50) === 0 ? batch.slice(0, 1) : [];\n" +
      "    for (const { payload } of again) {\n" +
      '      this.#raft.propose([{ kind: "normal", size: payload.length, payload }]);\n    }\n' +
      "    batch.forEach((proposal, place) => {\n      this.proposals.place",
  }),
  bug("answered_before_applied", "a write is answered with its own result", {
    in: "src/node/proposals.ts",
    find: "    const proposal = this.#remove(index);\n    if (proposal === undefined) return;",
    replace: "    const proposal = this.#remove(index + 1) ?? this.#remove(index);\n" +
      "    if (proposal === undefined) return;",
  }),
  bug("read_does_not_wait_for_apply", "a read runs once its index is applied (thesis 6.4)", {
    in: "src/node/node.ts",
    find: "if (index > this.appliedIndex) await this.#waits.until(index, deadlineMs);",
    replace: "if (index < 0) await this.#waits.until(index, deadlineMs);",
  }),
  bug("ready_before_own_term", "a leader serves once an entry of its term is applied (rule E4)", {
    in: "src/node/node.ts",
    find: "this.leaderId !== NOBODY && this.#loop.isOfOwnTerm(appliedIndex) &&",
    replace: "this.leaderId !== NOBODY && appliedIndex >= 0 &&",
  }),
  bug("tail_keeps_replaced_entries", "replaced entries are never applied (figure 7)", {
    in: "src/node/entry_tail.ts",
    find: "if (first.index < this.to) this.#truncateFrom(first.index);",
    replace: "if (first.index < this.to) return;",
  }),
  bug("batches_joined_without_replacing", "a later batch replaces what it overlaps (figure 7)", {
    in: "src/node/append_queue.ts",
    find:
      "      joined.length = Math.max(0, Math.min(joined.length, first.index - begin.index));\n",
    replace: "      if (first.index < begin.index) joined.length = 0;\n",
  }),
  bug("purged_before_the_marker", "state, marker, purge: in this order (B.1)", {
    in: "src/node/compaction.ts",
    find: "    if (!this.#isTrusted() || !(await this.#saveMarker(marker))) return false;\n",
    replace: "    await this.#stateMachine.releaseGenerations(marker.generation);\n" +
      "    if (!this.#isTrusted() || !(await this.#saveMarker(marker))) return false;\n",
  }),
  bug("log_purged_before_the_marker", "state, marker, purge: in this order (B.1)", {
    in: "src/node/compaction.ts",
    find: "    if (!this.#isTrusted() || !(await this.#saveMarker(marker))) return false;\n" +
      "    const heldIndex",
    replace: "    await this.#log.purge(marker.index);\n" +
      "    if (!this.#isTrusted() || !(await this.#saveMarker(marker))) return false;\n    const heldIndex",
  }),
  bug("install_forgets_the_vote", "the marker carries the vote record (rule S2)", {
    in: "src/node/event_loop.ts",
    find: "const hardState = { term, vote, commit: snapshot.index };",
    replace: "const hardState = { term, vote: 0 as typeof vote, commit: snapshot.index };",
  }),
  bug("compaction_without_overtaking_check", "an installed snapshot is not taken back (seed 22)", {
    in: "src/node/node.ts",
    find: "      if (isOvertaken) return;\n",
    replace: "",
  }),
  bug("commit_behind_the_state", "on start commit = max(logged, applied) (rule D2; seed 12)", {
    in: "src/node/event_loop.ts",
    find:
      "const commit = logIndex(Math.max(options.hardState.commit, stateMachine.applied.index));",
    replace: "const { commit } = options.hardState;",
  }),
  {
    name: "two_trials_at_once",
    breaks: "verdicts of several entries do not mix (rule A4; seed 354)",
    edits: [
      {
        path: "src/node/node.ts",
        find: "      if (this.#trying === parked.index) this.#trying = undefined;",
        replace: "      this.#trying = parked.index === 0 ? parked.index : undefined;",
      },
      {
        path: "src/node/node.ts",
        find: "    if (this.#trying !== parked.index) return;\n",
        replace: '    if (this.#trying === undefined) throw new Error("Whose trial was that?");\n',
      },
    ],
  },
  bug("change_behind_a_parked_entry", "no change behind what wants a verdict (seed 1059)", {
    in: "src/node/change_gate.ts",
    find: '    if (role === "leader" && log.applied < log.lastIndex) return;\n',
    replace: "",
  }),
  bug("leaving_behind_a_parked_entry", "no change behind what wants a verdict (seed 1059)", {
    in: "src/node/event_loop.ts",
    find: "    if (this.#changeGate.isClosed && !this.proposals.hasUrgent) return;\n",
    replace: "",
  }),
  {
    name: "own_trial_is_obeyed",
    breaks: "the first verdict in the log holds (rule A4)",
    edits: [
      {
        path: "src/node/node.ts",
        find: '    const payload = encodeCommand({\n      kind: "verdict",',
        replace: '    this.#loop.applyQueue.obeyTrial({\n      kind: "verdict",\n' +
          '      index: parked.index,\n      verdict: ended ? "run" : "void",\n      reason,\n    });\n' +
          '    const payload = encodeCommand({\n      kind: "verdict",',
      },
      {
        path: "src/node/apply_queue.ts",
        find: "  #obey(verdict: VerdictCommand): void {",
        replace: "  obeyTrial(verdict: VerdictCommand): void {\n    this.#found = verdict;\n" +
          "    this.#resendOnceBack();\n    this.#pump();\n  }\n\n" +
          "  #obey(verdict: VerdictCommand): void {",
      },
    ],
  },
  bug("verdict_search_skips_one", "every replica finds the log's verdict (rule A4)", {
    in: "src/node/verdict_search.ts",
    find: "    this.#searched = options.parked.index;",
    replace: "    this.#searched = options.parked.index + 2;",
  }),
  bug("full_disk_counts_as_written", "what met a full disk is promised to nobody", {
    in: "src/node/append_queue.ts",
    find: "      if (!isDiskFull(error)) throw error;\n      return this.#run(this.#retryLater());",
    replace:
      "      if (!isDiskFull(error)) throw error;\n      this.#waiting.splice(0, works.length);\n" +
      "      for (const work of works) work.onDurable();\n" +
      "      return this.#run(this.#retryLater());",
  }),
];
