/**
 * The watch on the leader's process (rule E2), with the real engine: node 1 of three, which follows node 2
 * until that one's process is said to be gone.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { productionConfig } from "../raft/config.ts";
import { encodeConfiguration, votersOnly } from "../raft/configuration.ts";
import type { Message, VoteRequest } from "../raft/message.ts";
import { NOBODY } from "../raft/types.ts";
import { LeaderWatch } from "./leader_watch.ts";
import { FALSE_EVIDENCE_MS, LEADER_SILENCE_MS_MAX } from "./limits.ts";
import { Node } from "./node.ts";
import { MemoryLog, MemoryStateMachine, settle } from "./testing.ts";

const SELF = nodeId(1);
const LEADER = nodeId(2);
const OTHER = nodeId(3);
const LEARNER = nodeId(4);
const TICK_MS = 50;

interface Watched {
  readonly node: Node;
  readonly watch: LeaderWatch;
  readonly clock: FakeClock;
  readonly sent: Message[];
  /** Requests for votes that were sent since the last call, to node 3. */
  readonly asked: () => VoteRequest[];
}

/** `self`: 1 or 3, so that the rank among the other voters is 0 or 1; any other number is a learner's. */
async function follow(self = SELF): Promise<Watched> {
  const log = new MemoryLog();
  const stateMachine = new MemoryStateMachine(log);
  const voters = votersOnly([SELF, LEADER, OTHER]);
  const learners = voters.voters.includes(self) ? [] : [self];
  const configuration = encodeConfiguration({ ...voters, learners });
  stateMachine.applied = { ...stateMachine.applied, configuration };
  const sent: Message[] = [];
  const clock = new FakeClock();
  const entropy = { bytes: (count: number) => new Uint8Array(count), below: () => 0 };
  const node = new Node({
    config: productionConfig(self),
    log,
    hardState: { ...log.hardState, vote: LEADER },
    stateMachine: stateMachine.port,
    clock,
    entropy,
    peers: {
      send: (message) => void sent.push(message),
      snapshotToSend: () => undefined,
      stage: () => Promise.reject(new Error("no snapshots here")),
      activate: () => Promise.reject(new Error("no snapshots here")),
    },
    policy: { entriesMin: 1e9, bytesMin: 0, intervalMs: 1e9, trailingEntries: 0 },
    applyTimeoutMs: 10_000,
    onFatal: (error) => {
      throw error;
    },
  });
  const watch = new LeaderWatch({ node, clock, entropy });
  node.observe(watch);
  node.start();
  const to = self === SELF ? OTHER : SELF;
  const watched = {
    node,
    watch,
    clock,
    sent,
    asked: () => {
      const all = sent.splice(0);
      return all.filter((each): each is VoteRequest =>
        each.kind === "vote_request" && each.to === to
      );
    },
  };
  await heartbeat(watched, 1);
  strictEqual(node.leaderId, LEADER);
  return watched;
}

async function tell(
  { watch }: Watched,
  what: "onGone" | "onBack",
  ...[member, bootNonce]: Parameters<LeaderWatch["onGone"]>
): Promise<void> {
  watch[what](member, bootNonce);
  await settle();
}

async function heartbeat({ node }: Watched, inTerm: number): Promise<void> {
  const envelope = { from: LEADER, to: node.id, term: term(inTerm) };
  node.loop.receive({ kind: "heartbeat", ...envelope, commit: logIndex(1), readRound: 0 });
  await settle();
}

async function pass({ clock }: Watched, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 10) {
    clock.advance(Math.min(10, left));
    await settle();
  }
}

async function answer(
  { node }: Watched,
  { ballot, term: inTerm }: VoteRequest,
  verdict: "granted" | "refused",
): Promise<void> {
  const nothing = { commit: logIndex(0), commitTerm: term(0) };
  const envelope = { from: OTHER, to: node.id, term: inTerm };
  node.loop.receive({
    kind: "vote_response",
    ...envelope,
    ballot,
    isGranted: verdict === "granted",
    ...nothing,
  });
  await settle();
}

Deno.test("LeaderWatch asks for votes at once when the leader's process is gone, and again and again (E2)", async () => {
  const watched = await follow();
  await tell(watched, "onGone", OTHER, "b3");
  strictEqual(watched.node.leaderId, LEADER, "it is not the one that leads");
  await tell(watched, "onGone", LEADER, "b2");
  strictEqual(watched.node.leaderId, NOBODY);
  strictEqual(watched.node.loop.raft.term, 1, "its term stays");
  await pass(watched, TICK_MS);
  deepStrictEqual(watched.asked().map(({ ballot }) => ballot), ["pre_vote"]);
  await pass(watched, 300);
  ok(watched.asked().length >= 2);
  watched.watch.stop();
});

Deno.test("LeaderWatch waits by its rank among the other voters (E2)", async () => {
  const watched = await follow(OTHER);
  await tell(watched, "onGone", LEADER, "b2");
  await pass(watched, 90);
  strictEqual(watched.asked().length, 0);
  await pass(watched, 60);
  strictEqual(watched.asked().length, 1);
  watched.watch.stop();
});

Deno.test("LeaderWatch: a message of the leader ends the election, and evidence that was false is doubted (E2)", async () => {
  const watched = await follow();
  const { node, watch } = watched;
  await tell(watched, "onGone", LEADER, "b2");
  await tell(watched, "onBack", LEADER, "b2");
  await heartbeat(watched, 1);
  strictEqual(node.leaderId, LEADER);
  await pass(watched, 300);
  strictEqual(watched.asked().length, 0);
  await tell(watched, "onGone", LEADER, "b2");
  strictEqual(node.leaderId, LEADER, "not believed again so soon");
  await tell(watched, "onGone", LEADER, "another process");
  strictEqual(node.leaderId, NOBODY, "of another process it is");
  await tell(watched, "onBack", LEADER, "a third");
  for (let waitedMs = 0; waitedMs <= FALSE_EVIDENCE_MS; waitedMs += 500) {
    await heartbeat(watched, 1);
    watched.clock.advance(500);
    await settle();
  }
  await heartbeat(watched, 1);
  strictEqual(node.leaderId, LEADER);
  await tell(watched, "onGone", LEADER, "b2");
  strictEqual(node.leaderId, NOBODY, "believed again after a while");
  watch.stop();
});

Deno.test("LeaderWatch does not forget a leader for what was said of its earlier process (E2)", async () => {
  const watched = await follow();
  // Started anew at once: its new process was never said to be gone, or back.
  await tell(watched, "onGone", LEADER, "b2");
  await heartbeat(watched, 1);
  await tell(watched, "onGone", OTHER, "b3");
  strictEqual(watched.node.leaderId, LEADER);
  watched.watch.stop();
});

Deno.test("LeaderWatch does not wait for a timeout when two stood at the same moment (E2)", async () => {
  const watched = await follow();
  const { node, watch } = watched;
  await tell(watched, "onGone", LEADER, "b2");
  await pass(watched, TICK_MS);
  const [question] = watched.asked();
  ok(question !== undefined);
  await answer(watched, question, "granted");
  await pass(watched, 10);
  const [request] = watched.asked();
  ok(request !== undefined);
  strictEqual(request.ballot, "vote");
  strictEqual(node.loop.raft.role, "candidate");
  // The other has voted for itself: no majority is left, and none is against.
  await answer(watched, request, "refused");
  await pass(watched, 90);
  strictEqual(watched.asked().length, 0, "an election gets its time");
  await pass(watched, 400);
  const next = watched.asked();
  deepStrictEqual(next[0]?.ballot, "pre_vote");
  strictEqual(next[0].term, request.term + 1);
  watch.stop();
});

Deno.test("LeaderWatch lets another's election go on, once it has voted in it (E2)", async () => {
  const watched = await follow();
  await tell(watched, "onGone", LEADER, "b2");
  const nothing = { commit: logIndex(0), commitTerm: term(0) };
  const last = { lastIndex: logIndex(1), lastTerm: term(1), isTransfer: false };
  const envelope = { from: OTHER, to: SELF, term: term(2) };
  watched.node.loop.receive({
    kind: "vote_request",
    ballot: "vote",
    ...envelope,
    ...last,
    ...nothing,
  });
  await settle();
  await pass(watched, 90);
  strictEqual(watched.asked().length, 0);
  strictEqual(watched.node.loop.raft.term, 2);
  watched.watch.stop();
});

Deno.test("LeaderWatch: a learner forgets a leader that is silent, and knows it again when it speaks", async () => {
  const watched = await follow(LEARNER);
  const { node } = watched;
  await pass(watched, LEADER_SILENCE_MS_MAX - 100);
  await heartbeat(watched, 1);
  await pass(watched, LEADER_SILENCE_MS_MAX - 100);
  strictEqual(node.leaderId, LEADER);
  await pass(watched, 200);
  strictEqual(node.leaderId, NOBODY);
  await heartbeat(watched, 1);
  strictEqual(node.leaderId, LEADER);
  strictEqual(watched.asked().length, 0, "it asks for no votes");
  watched.watch.stop();
});
