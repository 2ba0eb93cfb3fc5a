import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import { encodeConfChange } from "./conf_change.ts";
import type { Ballot, VoteRequest, VoteResponse } from "./message.ts";
import { votersOnly } from "./configuration.ts";
import { at, change, entry, TestNode } from "./test_cluster.ts";

interface Ask {
  readonly from?: number;
  readonly term: number;
  readonly ballot?: Ballot;
  readonly last?: readonly [index: number, ofTerm: number];
  readonly isTransfer?: boolean;
  readonly commit?: readonly [index: number, ofTerm: number];
}

function request(ask: Ask): VoteRequest {
  const [lastIndex, lastTerm] = ask.last ?? [0, 0];
  const [commit, commitTerm] = ask.commit ?? [0, 0];
  return {
    kind: "vote_request",
    ballot: ask.ballot ?? "vote",
    from: nodeId(ask.from ?? 2),
    to: nodeId(1),
    term: term(ask.term),
    lastIndex: at(lastIndex),
    lastTerm: term(lastTerm),
    isTransfer: ask.isTransfer ?? false,
    commit: at(commit),
    commitTerm: term(commitTerm),
  };
}

/** A follower of node 3 in term 5 that has not voted. */
function following(config: object = {}): TestNode {
  const node = new TestNode({ id: 1, voters: [1, 2, 3], config, hardState: { term: term(5) } });
  node.step({
    kind: "heartbeat",
    from: nodeId(3),
    to: nodeId(1),
    term: term(5),
    commit: at(0),
    readRound: 0,
  });
  return node;
}

function answer(node: TestNode, ask: Ask): VoteResponse | undefined {
  const found = node.step(request(ask)).find((message) => message.kind === "vote_response");
  return found?.kind === "vote_response" ? found : undefined;
}

function verdict(response: VoteResponse | undefined): "granted" | "refused" | "ignored" {
  if (response === undefined) return "ignored";
  return response.isGranted ? "granted" : "refused";
}

Deno.test("a vote is refused in a term whose leader is known, although none was given", () => {
  const node = following();
  strictEqual(verdict(answer(node, { term: 5 })), "refused");
  strictEqual(node.raft.hardState.vote, 0);
  node.raft.forgetLeader();
  strictEqual(verdict(answer(node, { term: 5 })), "granted");
});

Deno.test("a vote is given once in a term, to the same candidate as often as it asks", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3] });
  strictEqual(verdict(answer(node, { from: 2, term: 1 })), "granted");
  strictEqual(verdict(answer(node, { from: 3, term: 1 })), "refused");
  strictEqual(verdict(answer(node, { from: 2, term: 1 })), "granted");
  strictEqual(verdict(answer(node, { from: 3, term: 2 })), "granted");
});

Deno.test("a vote is remembered across a restart", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3] });
  answer(node, { from: 2, term: 1 });
  const { hardState } = node.storage;
  const again = new TestNode({ id: 1, voters: [1, 2, 3], hardState }, node.storage);
  strictEqual(verdict(answer(again, { from: 3, term: 1 })), "refused");
  strictEqual(verdict(answer(again, { from: 2, term: 1 })), "granted");
});

Deno.test("a vote leaves only after it is durable", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3] });
  node.raft.step(request({ term: 1 }));
  const ready = node.raft.ready();
  deepStrictEqual(ready.messages, []);
  ok(ready.append?.mustSync === true);
  strictEqual(ready.append.hardState?.vote, 2);
  strictEqual(ready.append.responses.length, 1);
});

Deno.test("a vote in the present term must be synced although the term did not change", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3], hardState: { term: term(1) } });
  node.raft.step(request({ term: 1 }));
  ok(node.raft.ready().append?.mustSync === true);
});

Deno.test("a vote needs a log at least as complete: later term first, then length (Raft 5.4.1)", () => {
  const asks = [[3, 1], [2, 2], [3, 2], [9, 1], [1, 3]] as const;
  const granted = asks.map((last) => {
    const node = new TestNode({
      id: 1,
      voters: [1, 2, 3],
      log: [1, 1, 2],
      hardState: { term: term(2) },
    });
    return answer(node, { term: 3, last })?.isGranted;
  });
  deepStrictEqual(granted, [false, false, true, false, true]);
});

Deno.test("a pre-vote changes neither term nor vote nor timer, and is granted in the term asked for", () => {
  const node = new TestNode({
    id: 1,
    voters: [1, 2, 3],
    hardState: { term: term(5), vote: nodeId(3) },
  });
  node.tick(3);
  const response = answer(node, { term: 6, ballot: "pre_vote" });
  strictEqual(verdict(response), "granted");
  strictEqual(response?.term, 6);
  deepStrictEqual(node.raft.hardState, { term: 5, vote: 3, commit: 0 });
  strictEqual(node.raft.state.electionElapsed, 3);
});

Deno.test("a pre-vote of a lower term is refused in the own term, not ignored", () => {
  const node = new TestNode({ id: 1, voters: [1, 2, 3], hardState: { term: term(5) } });
  const response = answer(node, { term: 4, ballot: "pre_vote" });
  strictEqual(verdict(response), "refused");
  strictEqual(response?.term, 5);
});

Deno.test("with check-quorum a request is ignored while the leader's lease holds, then not any more", () => {
  const node = following({
    checkQuorum: true,
    electionTicks: 10,
    electionTicksMax: 19,
    preVote: true,
  });
  strictEqual(answer(node, { term: 6 }), undefined);
  strictEqual(node.raft.term, 5);
  node.raft.state.electionTimeout = 19;
  node.tick(9);
  strictEqual(answer(node, { term: 6, ballot: "pre_vote" }), undefined);
  node.tick(1);
  strictEqual(verdict(answer(node, { term: 6, ballot: "pre_vote" })), "granted");
  strictEqual(verdict(answer(node, { term: 6 })), "granted");
});

Deno.test("a lease does not hold against an election that the leader ordered, nor against the leader itself", () => {
  const config = { checkQuorum: true };
  strictEqual(verdict(answer(following(config), { term: 6, isTransfer: true })), "granted");
  strictEqual(verdict(answer(following(config), { from: 3, term: 6 })), "granted");
});

Deno.test("a learner votes when asked: it may have been promoted without knowing", () => {
  const configuration = { ...votersOnly([2, 3]), learners: [nodeId(1)] };
  const node = new TestNode({ id: 1, configuration });
  strictEqual(verdict(answer(node, { term: 1 })), "granted");
});

Deno.test("vote messages spread the commit index, but only where the very entry is there", () => {
  const config = { commitInVotes: true };
  const make = (): TestNode =>
    new TestNode({
      id: 1,
      voters: [1, 2, 3],
      config,
      log: [1, 1, 2],
      hardState: { term: term(2) },
    });
  const knows = make();
  answer(knows, { term: 3, last: [2, 1], commit: [2, 1] });
  strictEqual(knows.raft.hardState.commit, 2);
  const differs = make();
  answer(differs, { term: 3, last: [3, 3], commit: [3, 3] });
  strictEqual(differs.raft.hardState.commit, 0);
  const shorter = make();
  answer(shorter, { term: 3, last: [9, 3], commit: [9, 3] });
  strictEqual(shorter.raft.hardState.commit, 0);
});

Deno.test("a refused candidate learns of the change that lets it lead (etcd 12359)", () => {
  // Entry 2 makes node 2 a learner. Node 2 applied it and holds more log than node 1, so that it refuses
  // its vote and may not campaign itself; node 1 holds the entry and does not know it is committed.
  const payload = encodeConfChange(change("l2"));
  const demotion = { ...entry(2, 1), kind: "conf_change", size: payload.length, payload } as const;
  const node = new TestNode({
    id: 1,
    voters: [1, 2, 3],
    config: { commitInVotes: true },
    log: [1],
    hardState: { term: term(1), commit: at(1) },
    applied: 1,
  });
  node.step({
    kind: "append",
    from: nodeId(2),
    to: nodeId(1),
    term: term(1),
    prevIndex: at(1),
    prevTerm: term(1),
    entries: [demotion],
    commit: at(1),
  });
  node.raft.campaign();
  node.drain();
  node.raft.step({
    kind: "vote_response",
    ballot: "vote",
    from: nodeId(2),
    to: nodeId(1),
    term: term(2),
    isGranted: false,
    commit: at(2),
    commitTerm: term(1),
  });
  strictEqual(node.raft.role, "follower");
  node.drain();
  deepStrictEqual(node.raft.configuration.learners, [2]);
  deepStrictEqual(node.raft.configuration.voters, [1, 3]);
});
