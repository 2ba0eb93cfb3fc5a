/**
 * The rules of a cluster (identity and membership, elections and reads, exactly once, time, transport and
 * snapshots, formats) and the tests that fail without them; cluster_rules_test.ts checks that every rule is
 * here and that every test named here exists. `lacks` says what of a rule is not built.
 */

/** One rule. */
export interface ClusterRule {
  readonly what: string;
  readonly tests: readonly string[];
  readonly lacks?: string;
}

/** All of them by their name. */
export const CLUSTER_RULES: Readonly<Record<string, ClusterRule>> = {
  M1: {
    what: "Node ids come from a replicated counter and are never reused",
    tests: [
      "changeMembers() never gives a number again, also not that of who is gone (M1)",
      "who lost its directory comes back in its own place, under a new number (D16)",
      "a name or address of somebody alive is refused, and the cluster does not notice (M4, M10)",
    ],
  },
  M2: {
    what: "--bootstrap-expect cannot form two clusters",
    tests: [
      "Forming.pledge() gives one of two proposers that ask at the same moment its pledge (M2)",
      "Forming.pledge() is kept through a power cut once it is given (M2)",
      "Forming.abort() lets go of its own cluster's pledge only, durably (M2)",
      "Forming.form(): who asks a cluster to be let in is nobody else's any more, also after a crash (M2)",
      "three empty nodes form one cluster, come back to it, and a fourth joins it (M2, M12)",
      "a member that pledged itself and was told nothing more finds out how the cluster began",
    ],
  },
  M3: {
    what: "raft/peers.json: the furthest of those listed begins a new cluster, the others join it",
    tests: [
      "one node that is left goes on alone, and the others are of another cluster then",
      "two nodes that are left agree on the one that is furthest, and the other joins it",
    ],
  },
  M4: {
    what: "A removed node comes back as a new one, its old data set aside",
    tests: [
      "a member that was removed is gone at once, and comes back as a new one, its old data set aside (M4)",
    ],
  },
  M5: {
    what: "A joining voter is ready only once it is promoted",
    tests: ["three nodes: writes and reads of every level on every node"],
  },
  E1: {
    what: "Timers; a turn steps all messages before it ticks, and ticks at most once",
    tests: [
      "EventLoop that stood still hears its leader first, and counts one tick for all the time (E1)",
      "a pre-candidate keeps term and vote, and asks every preVoteRetryTicks (rule E1)",
      "election timeouts are drawn from all of [electionTicks, electionTicksMax], anew for each term",
    ],
  },
  E2: {
    what: "A dead process is noticed by its connections",
    tests: [
      "LeaderWatch asks for votes at once when the leader's process is gone, and again and again (E2)",
      "LeaderWatch waits by its rank among the other voters (E2)",
      "LeaderWatch: a message of the leader ends the election, and evidence that was false is doubted (E2)",
      "LeaderWatch does not wait for a timeout when two stood at the same moment (E2)",
      "ProcessEvidence needs two refusals, PROBE_GAP_MS apart",
      "PeerNetwork: a process that is killed is known to be gone long before a timeout",
      "PeerNetwork: a process that is stopped is silent, not gone, and goes on where it was",
      "PeerNetwork: a killed process that is started again is back, as another one",
      "forgetLeader() lets followers elect at once despite leases (rule E2)",
      "a leader that is told to stop hands over, and no request fails meanwhile",
    ],
  },
  E3: {
    what: "Nothing rests on there being no other leader: no lease reads",
    tests: [
      "forgetLeader() is refused where lease reads would rest on the leader",
      "readIndex() on a leader is answered when a quorum has confirmed it, not before",
      "late answers to an earlier round confirm nothing asked since (etcd 20418)",
      "ReadConfirmations never answers a read with a round that was asked before it came (thesis 6.4)",
    ],
  },
  E4: {
    what: "weak: followed within an election timeout, and an entry of the own term applied",
    tests: [
      "Node is ready only once an entry of its own term is applied (E4)",
      "confirmedMs() is when the round began that a majority has answered, not when it did (E4)",
      "answers to a round before a lost one never count for a later one",
      "EventLoop does not count an older term's answers to heartbeats among those of its own (E4)",
    ],
  },
  E5: {
    what: "Proposals are held during a hand-over and go to the new leader",
    tests: [
      "a leader that is told to stop hands over, and no request fails meanwhile",
      "transferLeadership() is given up after one election timeout; proposals are taken again",
    ],
  },
  V1: {
    what: "States that differ are found behind one entry, and who differs by a verdict in the log",
    tests: [
      "a follower with another row is found, serves no reads, and takes its leader's state, in memory (V1, V2)",
      "judgeDigests() never finds a majority of the voters diverged, and does not look at the order (V1)",
      "Comparison takes no report of another entry, of nobody's, or an older one (V1)",
      "A verdict concerns nobody who reported the right state, and nobody when it is undecided (V1)",
      "ReplicaHealth sends no state in quarantine, nor while nobody knows who is right (V1, V2)",
      "Simulated clusters find states that differ, contain and renew them (V1, V2)",
    ],
    lacks: "chains compared all the time: they are compared with the digests, every 20 seconds",
  },
  V2: {
    what: "Quarantine concerns the state, not the log; never a majority in it",
    tests: [
      "a leader with another row hands over and is renewed; no acknowledged write is lost (V1, V2)",
      "A node that a majority finds different is in quarantine, durably, and keeps acknowledging (V2)",
      "A node in quarantine goes on with its leader's state, from its own log (V2, S2)",
      "A node in quarantine leaves leading to others for three election timeouts, and applies then (V2, D2)",
      "ReplicaHealth never lets as many go into quarantine as are half of the voters (V2)",
      "Peers sends nothing of a state that may be wrong, a copy of before neither (V2)",
    ],
  },
  X1: {
    what: "A forwarded write happens once",
    tests: [
      "a forwarded write is run once; its answer is there until its sender needs it no more (X1)",
      "a forwarded write of an unknown session is refused, and of a process that is gone (X1)",
      "Simulated clusters keep their promises, and work again when healed",
    ],
  },
  X2: {
    what: "A write with a key happens once and gives its first answer again",
    tests: [
      "a write sent again with its key gives the first answer, on any node, after a failover (X2)",
      "Forwarding.write() does not call refused what an earlier attempt may have done (X1, X2)",
    ],
  },
  T1: {
    what: "Time never goes back, and no single clock moves it",
    tests: [
      "Time never goes back, survives a restart, and ignores what is no time (T1, Q9)",
      "ProposedTime is the lower median: one clock that is far off moves nothing (T1)",
    ],
    lacks: "the entry by which an operator moves time back (SetTime)",
  },
  N1: {
    what: "Control never waits behind bulk; what is committed can be delivered",
    tests: [
      "PeerNetwork: a heartbeat overtakes entries that were sent before it",
      "PeerNetwork.send() delivers an entry larger than gRPC takes, and small ones around it",
      "OutboundQueue refuses what passes its bytes or its count, and has room again behind it",
      "OutboundLane has no more than a window under way with a connection that takes nothing",
      "OutboundLane finds a half-open connection by its silence, and keeps one that answers",
    ],
  },
  N2: {
    what: "The engine names ranges, the driver fetches the bytes",
    tests: [
      "entriesFetched() resumes sending and applying where storage said `unavailable`",
      "LogView.fetchNext() reads one range at a time, each once however often it is asked for",
      "LogView.fetchNext() has two slow readers take turns",
    ],
  },
  N3: {
    what: "A snapshot to be sent is a shared file, resumable; the log behind it is kept",
    tests: [
      "Peers makes one copy for all who need it, and removes it when nobody has for a while (N3)",
      "Peers lets the log go past its bound; whom it overtook gets more, and slows writes in the end (N3)",
      "a snapshot that is cut at any chunk goes on from there (N10)",
      "a chunk damaged on the way ends the transfer, and is not written",
    ],
  },
  N4: {
    what: "RAM mode: --raft-snap and POST /snapshot override the amortised rule",
    tests: [
      "Compaction waits for no more than the entries that were asked for by hand (N4)",
      "Compaction.snapshot() records the marker before log and old state go (B.1)",
    ],
    lacks: "a fresh copy for a follower that is further behind than the size of the database: it " +
      "gets the log as long as that reaches back",
  },
  F1: {
    what: "Formats and versions; nothing newer is written before all can read it",
    tests: [
      "An entry of a newer build stops the node; it is no result",
      "Database.carryOut() proposes nothing that this build cannot read: it would stop every node (F1)",
      "checkCommand() refuses versions, kinds and flags of newer builds",
      "a log of a newer format is refused by that name",
    ],
    lacks: "the replicated level and the entry that raises it: members announce theirs in the " +
      "handshake, and the leader proposes what is newer once all of them have announced it",
  },
};
