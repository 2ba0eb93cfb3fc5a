import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import type { EntriesAnswer, EntriesRange } from "./log_storage.ts";
import { MemoryStorage } from "./memory_storage.ts";
import type { AppendMessage, Message } from "./message.ts";
import { at, change, entry, normal, TestCluster, TestNode } from "./test_cluster.ts";

function appends(messages: readonly Message[], to?: number): readonly AppendMessage[] {
  return messages.filter((message): message is AppendMessage =>
    message.kind === "append" && (to === undefined || message.to === to)
  );
}

/** A leader of three, whose peers answer by hand; entry 1 is committed everywhere. */
function leader(config: object = {}): TestNode {
  const cluster = new TestCluster({ voters: [1, 2, 3], config });
  cluster.elect(1);
  return cluster.node(1);
}

function accept(node: TestNode, from: number, index: number): readonly Message[] {
  return node.step({
    kind: "append_response",
    from: nodeId(from),
    to: node.id,
    term: node.raft.term,
    index: at(index),
    rejection: undefined,
  });
}

function beat(node: TestNode, from: number): readonly Message[] {
  const answer = { kind: "heartbeat_response", readRound: 0 } as const;
  return node.step({ ...answer, from: nodeId(from), to: node.id, term: node.raft.term });
}

Deno.test("appends are pipelined until the window is full by count", () => {
  const node = leader({ inflightAppendsMax: 2 });
  for (let i = 0; i < 4; i++) node.raft.propose([normal(1)]);
  deepStrictEqual(appends(node.drain(), 2).map((append) => append.prevIndex), [1, 2]);
  deepStrictEqual(appends(accept(node, 2, 2), 2).map((append) => append.prevIndex), [3]);
});

Deno.test("appends stop when the window is full by bytes; the last may pass the limit", () => {
  const node = leader({ inflightBytesMax: 10 });
  for (let i = 0; i < 4; i++) node.raft.propose([normal(6)]);
  deepStrictEqual(appends(node.drain(), 2).map((append) => append.prevIndex), [1, 2]);
  strictEqual(node.raft.status().members[1]?.inflightBytes, 12);
  strictEqual(appends(accept(node, 2, 2), 2).length, 1);
});

Deno.test("an append holds at least one entry, then as many as the limit on bytes allows", () => {
  const node = leader({ appendSizeBytesMax: 100 });
  node.raft.propose([normal(500), normal(10), normal(10), normal(40), normal(0)]);
  const sent = appends(node.drain(), 2).map((append) => append.entries.map((one) => one.size));
  deepStrictEqual(sent, [[500]]);
  const after = appends(accept(node, 2, 2), 2).map((append) =>
    append.entries.map((one) => one.size)
  );
  deepStrictEqual(after, [[10, 10], [40, 0]]);
});

Deno.test("batched appends merge what came in between two Readys, commit index included", () => {
  const node = leader({ batchAppends: true });
  node.raft.propose([normal(1)]);
  node.drain();
  node.raft.propose([normal(2)]);
  node.raft.propose([normal(3)]);
  node.raft.step({
    kind: "append_response",
    from: nodeId(2),
    to: nodeId(1),
    term: term(1),
    index: at(2),
    rejection: undefined,
  });
  const sent = appends(node.drain(), 2);
  deepStrictEqual(sent.map((append) => [append.prevIndex, append.entries.length, append.commit]), [
    [2, 2, 2],
  ]);
});

Deno.test("with a full window each heartbeat answer lets one empty append through", () => {
  const node = leader({ inflightAppendsMax: 1 });
  node.raft.propose([normal(1)]);
  node.raft.propose([normal(1)]);
  node.drain();
  const sent = appends(beat(node, 2), 2);
  deepStrictEqual(sent.map((append) => [append.prevIndex, append.entries.length]), [[2, 0]]);
});

Deno.test("commit-only appends go out when they tell something new, and not again", () => {
  const node = leader();
  node.raft.propose([normal(1)]);
  node.drain();
  const commits = appends(accept(node, 2, 2));
  deepStrictEqual(commits.map((append) => [append.to, append.entries.length, append.commit]), [
    [2, 0, 2],
    [3, 0, 2],
  ]);
  deepStrictEqual(appends(accept(node, 2, 2)), []);
  deepStrictEqual(appends(accept(node, 3, 2)), []);
});

Deno.test("heartbeats commit no more than the peer is known to hold", () => {
  const node = leader();
  node.raft.propose([normal(1)]);
  node.drain();
  accept(node, 2, 2);
  node.tick(1);
  const sent = node.drain().filter((message) => message.kind === "heartbeat");
  deepStrictEqual(sent.map((message) => message.commit), [2, 1]);
});

Deno.test("late and repeated answers never move a peer back below what matches", () => {
  const node = leader();
  node.raft.propose([normal(1), normal(1)]);
  node.drain();
  accept(node, 2, 3);
  accept(node, 2, 2);
  node.step({
    kind: "append_response",
    from: nodeId(2),
    to: nodeId(1),
    term: term(1),
    index: at(2),
    rejection: { hintIndex: at(0), hintTerm: term(0) },
  });
  const [, peer] = node.raft.status().members;
  deepStrictEqual([peer?.match, peer?.next, peer?.state], [3, 4, "replicate"]);
});

Deno.test("a diverged follower costs about one probe per term, not one per entry", () => {
  const longLog = Array.from({ length: 200 }, (_, i) => i < 5 ? 1 : i < 100 ? 3 : 5);
  const otherLog = Array.from({ length: 300 }, (_, i) => i < 5 ? 1 : i < 150 ? 2 : 4);
  const cluster = new TestCluster({
    voters: [1, 2, 3],
    setups: [
      { id: 1, log: longLog, hardState: { term: term(5) } },
      { id: 2, log: otherLog, hardState: { term: term(4) } },
      { id: 3, log: longLog, hardState: { term: term(5) } },
    ],
  });
  let probes = 0;
  cluster.raft(1).campaign();
  cluster.settle((message) => {
    if (message.kind === "append_response" && message.rejection !== undefined) probes++;
    return false;
  });
  strictEqual(cluster.raft(2).status().lastIndex, 201);
  strictEqual(cluster.raft(2).hardState.commit, 201);
  ok(probes <= 3, `${probes} rejections`);
});

Deno.test("reportUnreachable() goes back to probing from what is known to match", () => {
  const node = leader();
  for (let i = 0; i < 3; i++) node.raft.propose([normal(1)]);
  node.drain();
  node.raft.reportUnreachable(nodeId(2));
  const [, peer] = node.raft.status().members;
  deepStrictEqual([peer?.state, peer?.next, peer?.inflightAppends], ["probe", 2, 0]);
  const sent = appends(beat(node, 2), 2);
  deepStrictEqual(sent.map((append) => [append.prevIndex, append.entries.length]), [[1, 3]]);
});

/** A storage that must fetch entries before it can give them. */
class SlowStorage extends MemoryStorage {
  isSlow = false;
  asked = 0;
  override entries(range: EntriesRange): EntriesAnswer {
    if (!this.isSlow) return super.entries(range);
    this.asked++;
    return "unavailable";
  }
}

Deno.test("entriesFetched() resumes sending and applying where storage said `unavailable`", () => {
  const storage = new SlowStorage();
  storage.append([1, 2, 3].map((index) => entry(index, 1)));
  const hardState = { term: term(1), commit: at(1) };
  const node = new TestNode({ id: 1, voters: [1, 2], hardState, applied: 1 }, storage);
  node.raft.campaign();
  node.drain();
  const vote = { kind: "vote_response", ballot: "vote", isGranted: true } as const;
  const route = { from: nodeId(2), to: nodeId(1), term: term(2) };
  node.step({ ...vote, ...route, commit: at(0), commitTerm: term(0) });
  storage.isSlow = true;
  const rejection = { hintIndex: at(1), hintTerm: term(1) };
  const rejected = { kind: "append_response", ...route, index: at(3), rejection } as const;
  deepStrictEqual(appends(node.step(rejected)), []);
  const asked = storage.asked;
  node.raft.step({
    kind: "read_index",
    from: nodeId(2),
    to: nodeId(1),
    term: term(0),
    requestId: 1,
  });
  node.drain();
  strictEqual(storage.asked, asked);
  storage.isSlow = false;
  node.raft.entriesFetched();
  deepStrictEqual(appends(node.drain()).map((append) => append.entries.length), [3]);
  storage.isSlow = true;
  accept(node, 2, 4);
  ok(!node.raft.hasReady());
  deepStrictEqual(node.applied.map((one) => one.index), []);
  storage.isSlow = false;
  node.raft.entriesFetched();
  node.drain();
  deepStrictEqual(node.applied.map((one) => one.index), [2, 3, 4]);
});

Deno.test("a new member is probed at once from the end of the log, without an empty append", () => {
  const cluster = new TestCluster({ voters: [1, 2, 3] });
  cluster.elect(1);
  cluster.raft(1).propose([normal(1)]);
  cluster.settle();
  cluster.raft(1).proposeConfChange(change("l4"));
  const toNew: Message[] = [];
  cluster.settle((message) => {
    if (message.to === 4) toNew.push(message);
    return false;
  });
  deepStrictEqual(appends(toNew).map((append) => [append.prevIndex, append.entries.length]), [[
    2,
    1,
  ]]);
});
