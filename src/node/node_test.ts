/**
 * A whole node with the real engine and ports in memory: what clients are told, and when.
 */
import { runInBackground } from "../base/background.ts";
import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { PROPOSALS_IN_FLIGHT_BYTES_MAX } from "../base/limits.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { productionConfig } from "../raft/config.ts";
import { encodeConfiguration } from "../raft/configuration.ts";
import { READS_PENDING_MAX } from "../raft/limits.ts";
import type { Message } from "../raft/message.ts";
import { Node } from "./node.ts";
import type { PeersPort } from "./ports.ts";
import {
  memoryEntry,
  MemoryLog,
  MemoryStateMachine,
  settle,
  verdictPayload,
  writePayload,
} from "./testing.ts";

const THREE = encodeConfiguration({
  voters: [nodeId(1), nodeId(2), nodeId(3)],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
});
const TICK_MS = 50;
/** Longer than any election timeout. */
const ELECTION_MS = 2_000;

interface Parts {
  readonly node: Node;
  readonly log: MemoryLog;
  readonly stateMachine: MemoryStateMachine;
  readonly clock: FakeClock;
}

function makeNode(
  log = new MemoryLog(),
  stateMachine = new MemoryStateMachine(log),
  peers?: PeersPort,
): Parts {
  const clock = new FakeClock();
  const node = new Node({
    config: productionConfig(nodeId(1)),
    log,
    hardState: log.hardState,
    stateMachine: stateMachine.port,
    clock,
    entropy: { bytes: (count) => new Uint8Array(count), below: () => 0 },
    peers,
    policy: { entriesMin: 1e9, bytesMin: 0, intervalMs: 1e9, trailingEntries: 0 },
    applyTimeoutMs: 10_000,
    onFatal: (error) => {
      throw error;
    },
  });
  return { node, log, stateMachine, clock };
}

async function startReady(): Promise<Parts> {
  const parts = makeNode();
  parts.node.start();
  await settle();
  ok(parts.node.isReady);
  return parts;
}

/** A log with entries of an earlier life behind the genesis, all of them committed. */
function usedLog(payloads: readonly Uint8Array[]): MemoryLog {
  const log = new MemoryLog();
  const entries = payloads.map((payload, place) => memoryEntry(2 + place, { payload }));
  const commit = logIndex(1 + payloads.length);
  log.append({ entries, hardState: { term: term(1), vote: nodeId(1), commit } });
  log.recover();
  return log;
}

async function pass(clock: FakeClock, byMs: number): Promise<void> {
  for (let ms = 0; ms < byMs; ms += TICK_MS) {
    clock.advance(TICK_MS);
    await settle();
  }
}

/** What became of a promise: empty while nothing has. */
/** One of three that was elected and then hears nothing: it leads, and nothing is confirmed. */
async function startLeaderOfThree(): Promise<Parts> {
  const log = new MemoryLog();
  const stateMachine = new MemoryStateMachine(log);
  stateMachine.applied = { ...stateMachine.applied, configuration: THREE };
  const sent: Message[] = [];
  const send = (message: Message): void => void sent.push(message);
  const peers = { send, snapshotToSend: () => undefined } as unknown as PeersPort;
  const parts = makeNode(log, stateMachine, peers);
  parts.node.start();
  for (let count = 0; count < 200 && !parts.node.isLeader; count++) {
    await pass(parts.clock, TICK_MS);
    for (const message of sent.splice(0)) {
      if (message.kind !== "vote_request") continue;
      const { term: asked, ballot, to: from, from: to } = message;
      const answer = { kind: "vote_response", from, to, term: asked, ballot } as const;
      const unsaid = { commit: logIndex(0), commitTerm: term(0) };
      parts.node.loop.receive({ ...answer, ...unsaid, isGranted: true });
    }
  }
  ok(parts.node.isLeader);
  return parts;
}

function laterHeartbeat({ loop }: Node): Message {
  const { id, term: now } = loop.raft;
  const at = { from: nodeId(2), to: id, term: term(now + 1) };
  return { kind: "heartbeat", ...at, commit: logIndex(0), readRound: 0 };
}

function fateOf(promise: Promise<unknown>): string[] {
  const fates: string[] = [];
  promise.then(() => fates.push("done"), (error) => fates.push(error.code ?? String(error)));
  return fates;
}

Deno.test("a sync may block the thread for one write after another, not beside a read or another write", async () => {
  const { node, log, stateMachine } = await startReady();
  const writeOneByOne = async (count: number): Promise<number> => {
    const before = log.blockingSyncCount;
    for (let at = 0; at < count; at++) await node.write(writePayload(), 0);
    return log.blockingSyncCount - before;
  };
  ok(await writeOneByOne(20) > 0);
  stateMachine.isReading = true;
  strictEqual(await writeOneByOne(20), 0);
  stateMachine.isReading = false;
  ok(await writeOneByOne(20) > 0);
  const before = log.blockingSyncCount;
  for (let round = 0; round < 20; round++) {
    await Promise.all([node.write(writePayload(), 0), node.write(writePayload(), 0)]);
  }
  strictEqual(log.blockingSyncCount, before);
});

Deno.test("a sync never blocks the thread of a node that has peers", async () => {
  const log = new MemoryLog();
  const stateMachine = new MemoryStateMachine(log);
  const [voters, learners] = [[nodeId(1)], [nodeId(2)]];
  const configuration = {
    voters,
    votersOutgoing: [],
    learners,
    learnersNext: [],
    autoLeave: false,
  };
  stateMachine.applied = {
    ...stateMachine.applied,
    configuration: encodeConfiguration(configuration),
  };
  const peers = { send: () => {}, snapshotToSend: () => undefined } as unknown as PeersPort;
  const { node, clock } = makeNode(log, stateMachine, peers);
  node.start();
  await pass(clock, ELECTION_MS);
  for (let at = 0; at < 20; at++) await node.write(writePayload(), 0);
  strictEqual(log.blockingSyncCount, 0);
});

Deno.test("Node.write() is answered once its entry is durable and applied, and not before", async () => {
  const { node, log, stateMachine } = await startReady();
  log.hang();
  const fate = fateOf(node.write(writePayload(), 0));
  await settle();
  deepStrictEqual([fate, stateMachine.applied.index], [[], 2]);
  stateMachine.hold();
  log.recover();
  await settle();
  deepStrictEqual(fate, []);
  stateMachine.release();
  await settle();
  deepStrictEqual([fate, stateMachine.applied.index], [["done"], 3]);
});

Deno.test("Node is ready only once an entry of its own term is applied (E4)", async () => {
  const { node, stateMachine } = makeNode();
  stateMachine.hold();
  node.start();
  await settle();
  deepStrictEqual([node.isLeader, node.isReady], [true, false]);
  stateMachine.release();
  await settle();
  ok(node.isReady);
});

Deno.test("Node.barrier() is shared by reads that wait for its turn, and by none that come later (A5)", async () => {
  const { node, log } = await startReady();
  log.hang();
  runInBackground(node.write(writePayload(), 0), () => {});
  await settle();
  const early = [node.barrier(), node.barrier()];
  log.recover();
  log.hang();
  await settle();
  strictEqual(log.lastIndex, 4);
  // The barrier stands in the log, and what is acknowledged from now on may stand behind it.
  const late = node.barrier();
  log.recover();
  deepStrictEqual(await Promise.all([...early, late]), [4, 4, 5].map(logIndex));
});

Deno.test("Node.barrier() that was refused is not shared with reads that come later", async () => {
  const { node } = makeNode();
  await rejects(node.barrier(), { code: "not_leader" });
  node.start();
  await settle();
  strictEqual(await node.barrier(), 3);
  const huge = new Uint8Array(PROPOSALS_IN_FLIGHT_BYTES_MAX);
  huge.set(writePayload());
  const write = node.write(huge, 0);
  await rejects(node.barrier(), { code: "overloaded" });
  await write;
  strictEqual(await node.barrier(), 5);
});

Deno.test("Node.barrier() that is lost says to ask again, never that its outcome is unknown", async () => {
  const { node, stateMachine, clock } = await startReady();
  stateMachine.hold();
  const late = fateOf(node.barrier());
  await pass(clock, 31_000);
  deepStrictEqual(late, ["overloaded"]);
  const stopped = fateOf(node.barrier());
  await settle();
  await node.stop();
  await settle();
  deepStrictEqual(stopped, ["not_ready"]);
  const cluster = await startLeaderOfThree();
  const lost = fateOf(cluster.node.barrier());
  await settle();
  cluster.node.loop.receive(laterHeartbeat(cluster.node));
  await settle();
  deepStrictEqual([cluster.node.isLeader, lost], [false, ["not_leader"]]);
});

Deno.test("Node.confirmRead() is told of too many reads as what it is, not as a missing leader", async () => {
  const { node } = await startLeaderOfThree();
  for (let context = 1; context <= READS_PENDING_MAX; context++) {
    strictEqual(node.loop.raft.readIndex(1_000_000 + context), "taken");
  }
  await rejects(node.confirmRead(1_000), { code: "overloaded", message: /^Cannot confirm read/ });
});

Deno.test("Node.confirmRead() on a follower asks again when its question is lost, and for ever so many there is room", async () => {
  const log = new MemoryLog();
  const stateMachine = new MemoryStateMachine(log);
  stateMachine.applied = { ...stateMachine.applied, configuration: THREE };
  const sent: Message[] = [];
  const send = (message: Message): void => void sent.push(message);
  const peers = { send, snapshotToSend: () => undefined } as unknown as PeersPort;
  const { node, clock } = makeNode(log, stateMachine, peers);
  node.start();
  const heartbeat = laterHeartbeat(node);
  node.loop.receive(heartbeat);
  await settle();
  for (let context = 1; context <= READS_PENDING_MAX; context++) node.loop.readIndex(-context);
  await rejects(node.confirmRead(1_000), { code: "overloaded" });
  for (let ms = 0; ms < 1_000; ms += TICK_MS) {
    node.loop.receive(heartbeat);
    await pass(clock, TICK_MS);
  }
  sent.length = 0;
  const fate = fateOf(node.confirmRead(5_000));
  for (let ms = 0; ms < 500; ms += TICK_MS) {
    node.loop.receive(heartbeat);
    await pass(clock, TICK_MS);
  }
  const asked = sent.filter((message) => message.kind === "read_index");
  deepStrictEqual([fate, asked.length], [[], 3]);
  const requestId = asked[1]?.requestId ?? 0;
  const { from, to, term: now } = heartbeat;
  const index = node.appliedIndex;
  node.loop.receive({ kind: "read_index_response", from, to, term: now, requestId, index });
  await settle();
  deepStrictEqual(fate, ["done"]);
});

Deno.test("Node.confirmRead() waits for what is committed, and ends at its deadline when apply stands still", async () => {
  const { node, stateMachine, clock } = await startReady();
  stateMachine.hold();
  runInBackground(node.write(writePayload(), 0), () => {});
  await settle();
  const [short, long] = [fateOf(node.confirmRead(1_000)), fateOf(node.confirmRead(60_000))];
  await pass(clock, 900);
  deepStrictEqual([short, long], [[], []]);
  await pass(clock, 200);
  deepStrictEqual([short, long], [["timeout"], []]);
  stateMachine.release();
  await settle();
  deepStrictEqual(long, ["done"]);
});

Deno.test("Node.confirmRead() ends at its deadline when nothing of the leader's term gets committed", async () => {
  const { node, log, clock } = makeNode();
  log.hang();
  node.start();
  await settle();
  // The vote is durable, and the first entry of the term is not.
  log.recover();
  log.isFull = true;
  await settle();
  ok(node.isLeader);
  const fate = fateOf(node.confirmRead(1_000));
  await pass(clock, 900);
  deepStrictEqual(fate, []);
  await pass(clock, 200);
  deepStrictEqual(fate, ["timeout"]);
});

Deno.test("Node.untilApplied() waits for the index, and says where the node is when that takes too long", async () => {
  const { node, clock } = await startReady();
  const next = logIndex(node.appliedIndex + 1);
  await node.untilApplied(node.appliedIndex, 0);
  const reached = node.untilApplied(next, 1_000);
  await node.write(writePayload(), 0);
  await reached;
  const far = logIndex(next + 5);
  const late = rejects(node.untilApplied(far, 1_000), (error) => {
    ok(error instanceof OperatingError);
    deepStrictEqual([error.code, error.message], [
      "index_not_reached",
      `Cannot read at index ${far}: this node has applied ${next}`,
    ]);
    return true;
  });
  await pass(clock, 1_100);
  await late;
});

Deno.test("Node.untilApplied() ends when the node stops", async () => {
  const { node } = await startReady();
  const stopped = rejects(
    node.untilApplied(logIndex(1000), 60_000),
    (error) => error instanceof OperatingError && error.code === "not_ready",
  );
  await node.stop();
  await stopped;
});

Deno.test("Node proposes a verdict on an entry that parks, and goes on when it stands in the log (A4)", async () => {
  for (const ends of [true, false]) {
    const { node, stateMachine } = await startReady();
    stateMachine.parks.add(3);
    stateMachine.endsParked = ends;
    const fates = [fateOf(node.write(writePayload(), 0)), fateOf(node.write(writePayload(), 0))];
    await settle();
    deepStrictEqual(stateMachine.verdicts, [ends ? "run 3" : "void 3"]);
    deepStrictEqual([fates, stateMachine.tryCount], [[["done"], ["done"]], 1]);
  }
});

Deno.test("Node finds a verdict in its log again after a start, and tries nothing (A4)", async () => {
  const log = usedLog([writePayload(), writePayload(), verdictPayload(2, "void")]);
  await log.sync();
  const stateMachine = new MemoryStateMachine(log);
  stateMachine.parks.add(2);
  const { node } = makeNode(log, stateMachine);
  node.start();
  await settle();
  deepStrictEqual([stateMachine.verdicts, stateMachine.tryCount], [["void 2"], 0]);
  ok(node.isReady);
});

Deno.test("Node that was killed between a parked entry and its verdict finds one after its start (A4)", async () => {
  const log = usedLog([writePayload(), writePayload()]);
  await log.sync();
  const stateMachine = new MemoryStateMachine(log);
  stateMachine.parks.add(2);
  const { node, clock } = makeNode(log, stateMachine);
  node.start();
  await pass(clock, ELECTION_MS);
  deepStrictEqual([stateMachine.verdicts, node.isReady], [["run 2"], true]);
});

Deno.test("Node tries nothing before it has committed in its term: the log may hold the verdict (A4)", async () => {
  const log = usedLog([writePayload(), writePayload(), verdictPayload(2, "void")]);
  log.hardState = { ...log.hardState, commit: logIndex(3) };
  await log.sync();
  const stateMachine = new MemoryStateMachine(log);
  stateMachine.parks.add(2);
  const { node, clock } = makeNode(log, stateMachine);
  node.start();
  await pass(clock, ELECTION_MS);
  deepStrictEqual([stateMachine.verdicts, stateMachine.tryCount], [["void 2"], 0]);
});

Deno.test("Node gets its verdict through although as many writes wait as may (A4)", async () => {
  const { node, stateMachine, clock } = await startReady();
  stateMachine.parks.add(3);
  const huge = new Uint8Array(PROPOSALS_IN_FLIGHT_BYTES_MAX);
  huge.set(writePayload());
  const fate = fateOf(node.write(huge, 0));
  throws(() => node.loop.proposals.add({ ...unheard(), payload: new Uint8Array(1) }), {
    code: "overloaded",
  });
  await pass(clock, 200);
  deepStrictEqual([stateMachine.verdicts, fate], [["run 3"], ["done"]]);
});

Deno.test("Node proposes a change of the members behind nothing that may wait for a verdict (A4, D2)", async () => {
  const { node, log, stateMachine } = await startReady();
  stateMachine.parks.add(3);
  stateMachine.hold();
  const first = fateOf(node.write(writePayload(), 0));
  await settle();
  const change = { form: "joint", transition: "auto", context: new Uint8Array() } as const;
  const same = { type: "add_voter", nodeId: nodeId(1) } as const;
  const changed = fateOf(node.changeMembers({ ...change, changes: [same] }));
  await rejects(node.changeMembers({ ...change, changes: [same] }), { code: "overloaded" });
  const second = fateOf(node.write(writePayload(), 0));
  await settle();
  strictEqual(log.lastIndex, 3, "the change or the write behind it is in the log");
  stateMachine.release();
  await settle();
  deepStrictEqual([first, changed, second], [["done"], ["done"], ["done"]]);
  deepStrictEqual(log.entries.slice(2).map(({ kind }) => kind), [
    "normal",
    "conf_change",
    "normal",
  ]);
});

Deno.test("Node whose verdict was refused tries again, traffic or not (A4)", async () => {
  const { node, stateMachine, clock } = await startReady();
  stateMachine.parks.add(3);
  const fate = fateOf(node.write(writePayload(), 0));
  const { proposals } = node.loop;
  proposals.add = () => {
    throw new OperatingError("overloaded", "full");
  };
  await settle();
  deepStrictEqual([stateMachine.verdicts, stateMachine.tryCount], [[], 1]);
  Reflect.deleteProperty(proposals, "add");
  await pass(clock, TICK_MS);
  deepStrictEqual([stateMachine.verdicts, fate], [["run 3"], ["done"]]);
});

Deno.test("Node.assertWritable() refuses while the state has no room, and accepts again when it has (A3)", async () => {
  const { node, stateMachine, clock } = await startReady();
  stateMachine.isFull = true;
  const fate = fateOf(node.write(writePayload(), 0));
  await settle();
  throws(() => node.assertWritable(), { code: "disk_full" });
  await pass(clock, 1_000);
  deepStrictEqual(fate, []);
  stateMachine.isFull = false;
  await pass(clock, 300);
  deepStrictEqual(fate, ["done"]);
  node.assertWritable();
  deepStrictEqual(stateMachine.entries.map(({ index }) => index), [2, 3]);
});

Deno.test("Node refuses what waits for its turn in a log without room, and what is in it gets its result (A3)", async () => {
  const { node, log, clock } = await startReady();
  log.isFull = true;
  const proposed = fateOf(node.write(writePayload(), 0));
  await settle();
  const queued = fateOf(node.write(writePayload(), 0));
  await pass(clock, 2 * TICK_MS);
  deepStrictEqual([proposed, queued], [[], ["disk_full"]]);
  log.isFull = false;
  await pass(clock, 300);
  deepStrictEqual([proposed, log.lastIndex], [["done"], 3]);
});

Deno.test("Node.assertWritable() refuses while there is little room, before a write finds none (A3)", async () => {
  const { node, stateMachine } = await startReady();
  stateMachine.hasRoom = false;
  throws(() => node.assertWritable(), { code: "disk_full" });
  stateMachine.hasRoom = true;
  node.assertWritable();
});

Deno.test("Node.stop() ends although the log finds no room, and says that such writes are unknown", async () => {
  const { node, log, clock } = await startReady();
  log.isFull = true;
  const fate = fateOf(node.write(writePayload(), 0));
  await settle();
  throws(() => node.assertWritable(), { code: "disk_full" });
  const snapshot = fateOf(node.snapshot(undefined));
  const stopped = fateOf(node.stop());
  await pass(clock, 500);
  deepStrictEqual([stopped, fate, snapshot], [["done"], ["outcome_unknown"], ["disk_full"]]);
  strictEqual(log.lastIndex, 2);
});

/** More than a batch waits for. */
function largePayload(): Uint8Array {
  return writePayload(`INSERT INTO t VALUES('${"x".repeat(10_000)}')`);
}

Deno.test("A small write waits while others are applied, for a tick at most; a large one does not", async () => {
  const { node, log, stateMachine, clock } = await startReady();
  stateMachine.hold();
  for (const payload of [writePayload(), writePayload()]) {
    fateOf(node.write(payload, 0));
    await settle();
  }
  const first = log.lastIndex;
  await pass(clock, TICK_MS);
  strictEqual(log.lastIndex, first + 1, "a tick later");
  fateOf(node.write(largePayload(), 0));
  await settle();
  strictEqual(log.lastIndex, first + 2, "at once");
  await node.stop();
});

Deno.test("Node.stop() refuses what was not proposed, and says of the rest that it is unknown", async () => {
  const { node, log, stateMachine } = await startReady();
  stateMachine.hold();
  const applying = fateOf(node.write(writePayload(), 0));
  await settle();
  log.hang();
  const syncing = fateOf(node.write(largePayload(), 0));
  await settle();
  const queued = fateOf(node.write(writePayload(), 0));
  const stopped = node.stop();
  log.recover();
  await stopped;
  await settle();
  deepStrictEqual([applying, syncing, queued], [
    ["outcome_unknown"],
    ["outcome_unknown"],
    ["not_ready"],
  ]);
});

Deno.test("Node.snapshot() of a follower records no commit index of entries that the log has not taken yet", async () => {
  const log = new MemoryLog();
  const stateMachine = new MemoryStateMachine(log);
  stateMachine.applied = { ...stateMachine.applied, configuration: THREE };
  const peers = { send: () => {}, snapshotToSend: () => undefined } as unknown as PeersPort;
  const { node } = makeNode(log, stateMachine, peers);
  node.start();
  const append = (index: number, commit: number): void =>
    node.loop.receive({
      kind: "append",
      from: nodeId(2),
      to: nodeId(1),
      term: term(2),
      prevIndex: logIndex(index - 1),
      prevTerm: term(index === 2 ? 1 : 2),
      entries: [{ ...memoryEntry(index, { term: 2 }), size: 1 }],
      commit: logIndex(commit),
    });
  append(2, 2);
  await settle();
  log.hang();
  append(3, 2);
  await settle();
  const snapshot = node.snapshot(undefined);
  await settle();
  append(4, 4);
  await settle();
  deepStrictEqual(log.calls, []);
  log.recover();
  ok(await snapshot);
  await settle();
  deepStrictEqual(log.calls[0], "marker 2");
  deepStrictEqual([log.lastIndex, stateMachine.applied.index], [4, 4]);
});

/** A proposal of which nobody hears. */
function unheard(): {
  readonly format: 0;
  readonly queueDeadlineMs: number;
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: () => void;
} {
  return { format: 0, queueDeadlineMs: 1, deadlineMs: 1, resolve: () => {}, reject: () => {} };
}
