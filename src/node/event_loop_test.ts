/**
 * The loop of a follower, with the real engine: what it takes from a leader's messages into log and
 * state, and in which order.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { decodeCommand } from "../command/command_decoder.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { type ConfChangeSingle, encodeConfChange } from "../raft/conf_change.ts";
import { productionConfig } from "../raft/config.ts";
import { decodeConfiguration, encodeConfiguration } from "../raft/configuration.ts";
import type { Message } from "../raft/message.ts";
import type { ConfState, Entry } from "../raft/types.ts";
import { EventLoop } from "./event_loop.ts";
import type { LogMarker, PeersPort } from "./ports.ts";
import {
  memoryEntry,
  MemoryLog,
  MemoryStateMachine,
  settle,
  verdictPayload,
  writePayload,
} from "./testing.ts";

const THREE: ConfState = configuration(1, 2, 3);

function configuration(...voters: number[]): ConfState {
  return {
    voters: voters.map(nodeId),
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    autoLeave: false,
  };
}

interface Follower {
  readonly loop: EventLoop;
  readonly log: MemoryLog;
  readonly stateMachine: MemoryStateMachine;
  readonly sent: Message[];
  readonly missing: number[];
  readonly clock: FakeClock;
}

/** Node 1 of three, on a log that may have entries already. */
function startFollower(log = new MemoryLog(), clock = new FakeClock()): Follower {
  const stateMachine = new MemoryStateMachine(log);
  stateMachine.applied = {
    ...stateMachine.applied,
    configuration: encodeConfiguration(THREE),
  };
  const sent: Message[] = [];
  const missing: number[] = [];
  const peers: PeersPort = {
    send: (message) => void sent.push(message),
    snapshotToSend: () => undefined,
    stage: (snapshot) => Promise.resolve(markerAt(snapshot)),
    activate: (marker) => {
      stateMachine.applied = { ...stateMachine.applied, index: marker.index, term: marker.term };
      return Promise.resolve();
    },
  };
  const loop = new EventLoop({
    config: productionConfig(nodeId(1)),
    log,
    hardState: log.hardState,
    stateMachine: stateMachine.port,
    clock,
    entropy: { bytes: (count) => new Uint8Array(count), below: () => 0 },
    peers,
    listener: {
      onApplied: () => {},
      onReadIndex: () => {},
      onReadOverload: () => {},
      onRoleChanged: () => {},
      onVerdictMissing: ({ index }) => missing.push(index),
      onTick: () => {},
      onFatal: (error) => {
        throw error;
      },
    },
  });
  loop.start();
  return { loop, log, stateMachine, sent, missing, clock };
}

function markerAt(snapshot: { readonly index: LogMarker["index"] }): LogMarker {
  return {
    index: snapshot.index,
    term: term(2),
    entryChain: "",
    configuration: encodeConfiguration(THREE),
    generation: 2,
  };
}

function entriesOf(
  from: number,
  entryTerm: number,
  contents: readonly (Uint8Array | ConfChangeSingle)[],
): Entry[] {
  return contents.map((content, place) => {
    const isChange = !(content instanceof Uint8Array);
    const payload = isChange
      ? encodeConfChange({
        form: "joint",
        transition: "auto",
        changes: [content],
        context: new Uint8Array(),
      })
      : content;
    const { index, term } = memoryEntry(from + place, { term: entryTerm });
    return {
      index,
      term,
      kind: isChange ? "conf_change" : "normal",
      size: payload.length,
      payload,
    };
  });
}

/** AppendEntries of node 2. */
function append(options: {
  readonly term: number;
  readonly prev: readonly [index: number, term: number];
  readonly entries: readonly Entry[];
  readonly commit: number;
}): Message {
  const [prevIndex, prevTerm] = options.prev;
  return {
    kind: "append",
    from: nodeId(2),
    to: nodeId(1),
    term: term(options.term),
    prevIndex: logIndex(prevIndex),
    prevTerm: term(prevTerm),
    entries: options.entries,
    commit: logIndex(options.commit),
  };
}

/** Makes a leader of term 2 of it, whose first entry is committed. `wallMs`: node 2's clock. */
async function elect({ loop }: Follower, wallMs = 0): Promise<void> {
  const envelope = { from: nodeId(2), to: nodeId(1), term: term(2) };
  const nothing = { commit: logIndex(0), commitTerm: term(0), wallMs };
  loop.campaign();
  for (const ballot of ["pre_vote", "vote"] as const) {
    await settle();
    loop.receive({ kind: "vote_response", ballot, ...envelope, isGranted: true, ...nothing });
  }
  await settle();
  const index = logIndex(2);
  loop.receive({ kind: "append_response", ...envelope, index, rejection: undefined });
  await settle();
}

function accepted(sent: readonly Message[]): number[] {
  return sent.flatMap((each) => each.kind === "append_response" ? [each.index] : []);
}

Deno.test("EventLoop acknowledges and applies nothing before it is on its own disk (D1)", async () => {
  const { loop, log, stateMachine, sent } = startFollower();
  log.hang();
  const entries = entriesOf(2, 2, [writePayload(), writePayload()]);
  loop.receive(append({ term: 2, prev: [1, 1], entries, commit: 3 }));
  await settle();
  deepStrictEqual([accepted(sent), stateMachine.applied.index], [[], 1]);
  log.recover();
  await settle();
  deepStrictEqual([accepted(sent), stateMachine.applied.index], [[3], 3]);
});

Deno.test("EventLoop that stood still hears its leader first, and counts one tick for all the time (E1)", async () => {
  const { loop, sent, clock } = startFollower();
  const heartbeat = (): void =>
    loop.receive({
      kind: "heartbeat",
      from: nodeId(2),
      to: nodeId(1),
      term: term(1),
      commit: logIndex(1),
      readRound: 0,
    });
  heartbeat();
  await settle();
  // Ten seconds in which nothing ran: timers are late, and what the leader said waits to be read.
  clock.advance(10_000);
  heartbeat();
  await settle();
  strictEqual(loop.raft.state.electionElapsed, 1);
  deepStrictEqual(sent.filter(({ kind }) => kind === "vote_request"), []);
  strictEqual(loop.role.leader, 2);
});

Deno.test("EventLoop takes nothing that a former leader asks for a word of the leader (V2)", async () => {
  const { loop, clock } = startFollower();
  const envelope = { from: nodeId(2), to: nodeId(1), term: term(2) } as const;
  const prev = [1, 1] as const;
  loop.receive(append({ term: 2, prev, entries: [], commit: 1 }));
  await settle();
  loop.receive(append({ term: 2, prev, entries: [], commit: 1 }));
  const heardMs = clock.monotonicMs();
  strictEqual(loop.leaderContactMs, heardMs);
  clock.advance(10);
  const last = { lastIndex: logIndex(1), lastTerm: term(1), commit: logIndex(1) };
  const ballot = { ballot: "pre_vote", isTransfer: false, ...last, commitTerm: term(1) } as const;
  loop.receive({ kind: "vote_request", ...envelope, term: term(3), ...ballot });
  loop.receive({ kind: "read_index", ...envelope, term: term(0), requestId: 1 });
  await settle();
  deepStrictEqual([loop.role.leader, loop.leaderContactMs], [2, heardMs]);
  loop.receive({ kind: "heartbeat", ...envelope, commit: logIndex(1), readRound: 0 });
  strictEqual(loop.leaderContactMs, clock.monotonicMs());
});

Deno.test("EventLoop obeys no verdict of an older leader whose entry is about to be replaced (A4)", async () => {
  const log = new MemoryLog();
  const { commit } = log.hardState;
  const old = [memoryEntry(2), memoryEntry(3, { payload: verdictPayload(2, "void") })];
  log.append({ entries: old, hardState: { term: term(1), vote: nodeId(2), commit } });
  await log.sync();
  const { loop, stateMachine, missing } = startFollower(log);
  stateMachine.parks.add(2);
  loop.receive(append({ term: 2, prev: [2, 1], entries: [], commit: 2 }));
  await settle();
  deepStrictEqual(missing.at(-1), 2);
  // The vote in a term that comes to nothing keeps the disk busy while the entries are replaced.
  log.hang();
  loop.receive({
    kind: "vote_request",
    ballot: "vote",
    from: nodeId(3),
    to: nodeId(1),
    term: term(3),
    lastIndex: logIndex(3),
    lastTerm: term(1),
    isTransfer: true,
    commit: logIndex(0),
    commitTerm: term(0),
  });
  await settle();
  const entries = entriesOf(3, 4, [writePayload(), verdictPayload(2, "run")]);
  loop.receive(append({ term: 4, prev: [2, 1], entries, commit: 4 }));
  await settle();
  deepStrictEqual(stateMachine.verdicts, []);
  log.recover();
  await settle();
  deepStrictEqual([stateMachine.verdicts, stateMachine.applied.index], [["run 2"], 4]);
});

Deno.test("EventLoop stores with each change the configuration that it leads to, though they come together (D2)", async () => {
  const { loop, stateMachine } = startFollower();
  const entries = entriesOf(2, 2, [
    { type: "add_learner", nodeId: nodeId(4) },
    writePayload(),
    { type: "add_voter", nodeId: nodeId(4) },
    { type: "remove", nodeId: nodeId(3) },
  ]);
  loop.receive(append({ term: 2, prev: [1, 1], entries, commit: 5 }));
  await settle();
  const stored = stateMachine.entries.flatMap(({ configuration }) =>
    configuration === undefined ? [] : [decodeConfiguration(configuration)]
  );
  deepStrictEqual(stored.map((each) => [each?.voters, each?.learners]), [
    [[1, 2, 3], [4]],
    [[1, 2, 3, 4], []],
    [[1, 2, 4], []],
  ]);
  deepStrictEqual(loop.configuration, stored.at(-1));
  deepStrictEqual(loop.raft.configuration, stored.at(-1));
  strictEqual(stateMachine.batches.length, 3);
});

Deno.test("EventLoop writes entries that come with a snapshot behind it, before it acknowledges them (S2)", async () => {
  const { loop, log, stateMachine, sent } = startFollower();
  stateMachine.hold();
  const applying = entriesOf(2, 2, [writePayload()]);
  loop.receive(append({ term: 2, prev: [1, 1], entries: applying, commit: 2 }));
  await settle();
  const snapshot = { index: logIndex(10), term: term(2), configuration: THREE };
  loop.receive({ kind: "snapshot", from: nodeId(2), to: nodeId(1), term: term(2), snapshot });
  const entries = entriesOf(11, 2, [writePayload(), writePayload()]);
  loop.receive(append({ term: 2, prev: [10, 2], entries, commit: 12 }));
  await settle();
  // Apply must come to rest first.
  deepStrictEqual([stateMachine.batches, log.calls], [["2-2"], []]);
  stateMachine.release();
  await settle();
  deepStrictEqual(log.calls, ["marker 10"]);
  deepStrictEqual([log.firstIndex, log.lastIndex, stateMachine.applied.index], [11, 12, 12]);
  ok(accepted(sent).includes(12));
});

Deno.test("EventLoop installs a snapshot that arrives while another one waits, behind it (S2)", async () => {
  const { loop, log, stateMachine } = startFollower();
  stateMachine.hold();
  const applying = entriesOf(2, 2, [writePayload()]);
  loop.receive(append({ term: 2, prev: [1, 1], entries: applying, commit: 2 }));
  await settle();
  for (const [from, at] of [[2, 2], [3, 3]] as const) {
    const snapshot = { index: logIndex(10 * at), term: term(2), configuration: THREE };
    const envelope = { from: nodeId(from), to: nodeId(1), term: term(at) };
    loop.receive({ kind: "snapshot", ...envelope, snapshot });
    await settle();
  }
  stateMachine.release();
  await settle();
  deepStrictEqual(log.calls, ["marker 20", "marker 30"]);
  deepStrictEqual([log.firstIndex, stateMachine.applied.index], [31, 30]);
});

Deno.test("EventLoop does not count an older term's answers to heartbeats among those of its own (E4)", async () => {
  const leader = startFollower();
  const { loop } = leader;
  await elect(leader);
  loop.readIndex(1);
  await settle();
  const answer = {
    kind: "heartbeat_response",
    from: nodeId(2),
    to: nodeId(1),
    readRound: 0,
  } as const;
  loop.receive({ ...answer, term: term(1) });
  strictEqual(loop.quorum.confirmedMs(THREE, nodeId(1)), -Infinity);
  loop.receive({ ...answer, term: term(2) });
  strictEqual(loop.quorum.confirmedMs(THREE, nodeId(1)), 0);
});

Deno.test("EventLoop proposes the voters' time from a leader's first entry on, and tells others its own (T1)", async () => {
  const trueMs = 1_000_000_000_000;
  const aheadMs = 2 * trueMs;
  class ClockAhead extends FakeClock {
    override wallMs(): number {
      return aheadMs;
    }
  }
  const leader = startFollower(new MemoryLog(), new ClockAhead());
  const { loop, log, sent } = leader;
  await elect(leader, trueMs);
  const deadlines = { queueDeadlineMs: 1000, deadlineMs: 1000 };
  const nobody = { resolve: () => {}, reject: () => {} };
  loop.propose({ payload: writePayload(), format: 0, ...deadlines, ...nobody });
  await settle();
  const command = decodeCommand(log.entries.at(-1)?.payload ?? new Uint8Array());
  ok(command.kind === "execute");
  strictEqual(command.nowMs, trueMs);
  const request = { from: nodeId(2), to: nodeId(1), term: term(3) };
  const asked = { lastIndex: logIndex(9), lastTerm: term(2), isTransfer: true };
  const commits = { commit: logIndex(2), commitTerm: term(2) };
  loop.receive({ kind: "vote_request", ballot: "vote", ...request, ...asked, ...commits });
  await settle();
  const vote = sent.findLast(({ kind }) => kind === "vote_response");
  ok(vote?.kind === "vote_response" && vote.isGranted);
  strictEqual(vote.wallMs, aheadMs);
});
