import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import type { Message } from "./message.ts";
import type { Ready, StorageAppend } from "./ready.ts";
import { votersOnly } from "./configuration.ts";
import { at, entry, normal, TestNode } from "./test_cluster.ts";
import { assertDefined } from "../base/assert.ts";

/** An append from `from` in `ofTerm`, behind the entry (1, 1). */
function append(from: number, ofTerm: number, indexes: readonly number[], commit = 0): Message {
  return {
    kind: "append",
    from: nodeId(from),
    to: nodeId(1),
    term: term(ofTerm),
    prevIndex: at((indexes[0] ?? 2) - 1),
    prevTerm: term(1),
    entries: indexes.map((index) => entry(index, ofTerm)),
    commit: at(commit),
  };
}

function follower(): TestNode {
  return new TestNode({ id: 1, voters: [1, 2, 3], log: [1], hardState: { term: term(1) } });
}

function takeAppend(node: TestNode): StorageAppend {
  return assertDefined(node.raft.ready().append, "no append");
}

Deno.test("acknowledgeAppend() of an older term marks nothing stable, even where the log looks the same", () => {
  // The ABA problem: (2, term 2) is overwritten in term 3, and by a leader of term 4 put back as it was.
  const node = follower();
  node.raft.step(append(2, 2, [2]));
  const first = takeAppend(node);
  node.raft.step(append(3, 3, [2]));
  const second = takeAppend(node);
  const back = append(2, 4, []);
  ok(back.kind === "append");
  node.raft.step({ ...back, entries: [entry(2, 2)] });
  const third = takeAppend(node);
  // What is durable at this moment is the entry of term 3 at best.
  node.raft.appended(first);
  node.raft.appended(second);
  strictEqual(node.raft.status().stableIndex, 1);
  strictEqual(node.traced("acknowledgement_of_older_term").length, 2);
  node.raft.appended(third);
  strictEqual(node.raft.status().stableIndex, 2);
});

Deno.test("acknowledgeAppend() in the same term marks nothing stable that is another entry by now", () => {
  const node = follower();
  node.raft.step(append(2, 2, [2, 3]));
  const first = takeAppend(node);
  ok(first.acknowledgement !== undefined);
  node.raft.acknowledgeAppend({ ...first.acknowledgement, lastTerm: term(1) });
  strictEqual(node.raft.status().stableIndex, 1);
  strictEqual(node.traced("acknowledgement_mismatched").length, 1);
});

Deno.test("ready() attests to the whole log while anything is unstable, so that lost answers are made up", () => {
  const node = follower();
  node.raft.step(append(2, 2, [2]));
  const lost = takeAppend(node);
  // The term moves on before the answer: it will be ignored.
  node.raft.step({ ...heartbeat(2, 3) });
  const next = takeAppend(node);
  strictEqual(next.entries.length, 0);
  deepStrictEqual(next.acknowledgement, {
    term: term(3),
    lastIndex: at(2),
    lastTerm: term(2),
    snapshot: undefined,
  });
  node.raft.appended(lost);
  strictEqual(node.raft.status().stableIndex, 1);
  node.raft.appended(next);
  strictEqual(node.raft.status().stableIndex, 2);
});

function heartbeat(from: number, ofTerm: number, commit = 0): Message {
  return {
    kind: "heartbeat",
    from: nodeId(from),
    to: nodeId(1),
    term: term(ofTerm),
    commit: at(commit),
    readRound: 0,
  };
}

Deno.test("ready() hands nothing out for apply before it is durable here (rule D1)", () => {
  const node = follower();
  node.raft.step(append(2, 2, [2, 3], 3));
  const ready = node.raft.ready();
  strictEqual(ready.append?.hardState?.commit, 3);
  // Entry 1 was in storage from the start; 2 and 3 are committed but only on their way to the disk.
  deepStrictEqual(ready.apply?.entries.map((one) => one.index), [1]);
  ok(!node.raft.hasReady());
  const durable = assertDefined(ready.append, "no append");
  node.storage.append(durable.entries);
  node.raft.appended(durable);
  deepStrictEqual(node.raft.ready().apply?.entries.map((one) => one.index), [2, 3]);
});

Deno.test("ready() of a leader hands out what a quorum of others holds only when it is durable here", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3] });
  node.raft.campaign();
  node.drain();
  node.step(vote(2, 1));
  node.raft.propose([normal(1)]);
  const mine = takeAppend(node);
  for (const from of [2, 3]) node.raft.step(accepted(from, 1, 2));
  strictEqual(node.raft.hardState.commit, 2);
  const ready = node.raft.ready();
  deepStrictEqual(ready.apply?.entries.map((one) => one.index), [1]);
  node.storage.append(mine.entries);
  node.raft.appended(mine);
  deepStrictEqual(node.raft.ready().apply?.entries.map((one) => one.index), [2]);
});

function vote(from: number, ofTerm: number): Message {
  return {
    kind: "vote_response",
    ballot: "vote",
    from: nodeId(from),
    to: nodeId(1),
    term: term(ofTerm),
    isGranted: true,
    commit: at(0),
    commitTerm: term(0),
  };
}

function accepted(from: number, ofTerm: number, index: number): Message {
  return {
    kind: "append_response",
    from: nodeId(from),
    to: nodeId(1),
    term: term(ofTerm),
    index: at(index),
    rejection: undefined,
  };
}

Deno.test("ready() bounds what is handed out for apply and not acknowledged", () => {
  const node = new TestNode({
    id: 1,
    voters: [1],
    log: [1, 1, 1, 1, 1],
    hardState: { term: term(1), commit: at(5) },
    config: { applySizeBytesMax: 2 * 27 },
  });
  const first = node.raft.ready().apply;
  deepStrictEqual(first?.entries.map((one) => one.index), [1, 2]);
  ok(!node.raft.hasReady());
  node.raft.applied(assertDefined(first, "no apply"));
  deepStrictEqual(node.raft.ready().apply?.entries.map((one) => one.index), [3, 4]);
});

Deno.test("ready() hands out one entry larger than the limit on its own", () => {
  const node = new TestNode({
    id: 1,
    voters: [1],
    log: [1, 1],
    hardState: { term: term(1), commit: at(2) },
    config: { applySizeBytesMax: 1 },
  });
  strictEqual(node.raft.ready().apply?.entries.length, 1);
  ok(!node.raft.hasReady());
});

Deno.test("appended() gives back the messages for others, in order, and delivers its own", () => {
  const node = follower();
  node.raft.step(append(2, 2, [2]));
  node.raft.step(append(2, 2, []));
  const messages = node.raft.appended(takeAppend(node));
  deepStrictEqual(messages.map((message) => message.kind), ["append_response", "append_response"]);
});

Deno.test("a snapshot's acknowledgement counts in any term", () => {
  const node = follower();
  const snapshot = { index: at(9), term: term(2), configuration: votersOnly([1, 2, 3]) };
  node.raft.step({ kind: "snapshot", from: nodeId(2), to: nodeId(1), term: term(2), snapshot });
  const install = takeAppend(node);
  ok(install.mustSync);
  node.raft.step(heartbeat(3, 5));
  strictEqual(node.raft.status().applied, 0);
  node.storage.installSnapshot(snapshot);
  node.raft.appended(install);
  strictEqual(node.raft.status().applied, 9);
});

Deno.test("two snapshots in short order: the first acknowledgement does not release the second", () => {
  const node = follower();
  const configuration = votersOnly([1, 2, 3]);
  const send = (index: number): Ready => {
    const snapshot = { index: at(index), term: term(2), configuration };
    node.raft.step({ kind: "snapshot", from: nodeId(2), to: nodeId(1), term: term(2), snapshot });
    return node.raft.ready();
  };
  const first = send(5);
  const second = send(9);
  node.storage.installSnapshot(assertDefined(first.append?.snapshot, "no snapshot"));
  node.raft.appended(assertDefined(first.append, "no append"));
  strictEqual(node.raft.status().applied, 5);
  ok(node.raft.state.log.unstable.snapshot?.index === 9);
  node.storage.installSnapshot(assertDefined(second.append?.snapshot, "no snapshot"));
  node.raft.appended(assertDefined(second.append, "no append"));
  strictEqual(node.raft.status().applied, 9);
  strictEqual(node.raft.status().commit, 9);
});
