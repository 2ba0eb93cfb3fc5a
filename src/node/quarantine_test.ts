/**
 * A node that follows, in memory: what a verdict makes of it, what it refuses in quarantine, how it takes over
 * another state (rules V1, V2). Whole clusters are in tests/sim (`--diverge`).
 */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { type LogIndex, logIndex, nodeId, term } from "../base/ids.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { productionConfig } from "../raft/config.ts";
import { encodeConfiguration, votersOnly } from "../raft/configuration.ts";
import type { Message } from "../raft/message.ts";
import { Node } from "./node.ts";
import type { LogEntry, LogMarker, PeersPort, StateDigest } from "./ports.ts";
import { Quarantine } from "./quarantine.ts";
import { CLEAN_MARK, type HealthMark, ReplicaHealth } from "./replica_health.ts";
import { type ReplicaAlarm, ReplicaWatch } from "./replica_watch.ts";
import { memoryEntry, MemoryLog, MemoryStateMachine, settle } from "./testing.ts";

const SELF = nodeId(3);
const LEADER = nodeId(1);
const TICK_MS = 50;

interface Setup {
  readonly mark?: HealthMark;
  readonly log?: MemoryLog;
  readonly voters?: readonly number[];
}

/** Node 3 of three; node 1 leads term 2 and is the test. */
class Follower {
  readonly node: Node;
  readonly log: MemoryLog;
  readonly stateMachine: MemoryStateMachine;
  readonly health: ReplicaHealth;
  readonly quarantine: Quarantine;
  readonly watch: ReplicaWatch;
  readonly clock = new FakeClock();
  readonly saved: HealthMark[] = [];
  readonly said: string[] = [];
  readonly sent: Message[] = [];
  readonly asked: number[] = [];
  readonly reported: number[] = [];
  /** What has come from the leader. */
  received: LogMarker | undefined;
  isDiskFull = false;

  constructor({ mark = CLEAN_MARK, log = new MemoryLog(), voters = [1, 2, 3] }: Setup = {}) {
    this.log = log;
    const stateMachine = new MemoryStateMachine(log);
    this.stateMachine = stateMachine;
    const configuration = encodeConfiguration(votersOnly(voters.map(nodeId)));
    stateMachine.applied = { ...stateMachine.applied, configuration };
    const health = new ReplicaHealth(mark);
    this.health = health;
    const { clock } = this;
    const peers: Partial<PeersPort> = {
      send: (message) => void this.sent.push(message),
      snapshotToSend: () => undefined,
    };
    const onFatal = (error: unknown): never => {
      throw error;
    };
    this.node = new Node({
      config: productionConfig(SELF),
      log,
      hardState: log.hardState,
      stateMachine: stateMachine.port,
      clock,
      entropy: { bytes: (count) => new Uint8Array(count), below: () => 0 },
      peers: peers as PeersPort,
      policy: { entriesMin: 1, bytesMin: 0, intervalMs: 1e9, trailingEntries: 0 },
      health,
      applyTimeoutMs: 10_000,
      onFatal,
    });
    this.quarantine = new Quarantine({
      node: this.node,
      health,
      store: { mark, save: (saved) => this.#save(saved) },
      log,
      stateMachine,
      peers: {
        receivedState: (index) => this.#receivedState(index),
        stageReceived: () => Promise.resolve(this.received),
        activate: (marker) => this.#activate(marker),
      },
      clock,
      askForState: (_, indexMin) => Promise.resolve(void this.asked.push(indexMin)),
      onChanged: ({ kind, index }) => this.said.push(`${kind} ${index}`),
      onFatal,
    });
    this.watch = new ReplicaWatch({
      node: this.node,
      stateMachine: { comparison: (index) => Promise.resolve(digestAt(index)) },
      health,
      clock,
      times: { intervalMs: 1_000, waitMs: 300 },
      isAlive: () => true,
      report: (_, { index }) => Promise.resolve(void this.reported.push(index)),
      onAlarm: (alarm: ReplicaAlarm) => this.said.push(`alarm ${alarm.kind}`),
      onDiverged: (found) => this.quarantine.begin(found),
      onUndecided: () => this.said.push("undecided"),
      onFatal,
    });
    this.node.observe(this.watch);
    this.node.observe(this.quarantine);
    this.node.start();
  }

  #save(mark: HealthMark): Promise<void> {
    if (this.isDiskFull) return Promise.reject(new OperatingError("disk_full", "full"));
    this.saved.push(mark);
    return Promise.resolve();
  }

  #receivedState(index: LogIndex): LogIndex | undefined {
    return this.received !== undefined && this.received.index > index
      ? this.received.index
      : undefined;
  }

  #activate({ index, term, entryChain }: LogMarker): Promise<void> {
    const { configuration } = this.stateMachine.applied;
    this.stateMachine.applied = { index, term, entryChain, configuration };
    this.said.push(`switched ${index}`);
    return Promise.resolve();
  }

  /** The leader sends entries behind what is here, all of them committed. */
  async give(...payloads: readonly (Uint8Array | undefined)[]): Promise<void> {
    const { lastIndex } = this.log;
    const entries = payloads.map((payload, place) => entryAt(lastIndex + 1 + place, payload));
    const commit = logIndex(lastIndex + payloads.length);
    const prev = { prevIndex: lastIndex, prevTerm: this.log.term(lastIndex) ?? term(0) };
    this.node.loop.receive({
      kind: "append",
      from: LEADER,
      to: SELF,
      term: term(2),
      ...prev,
      entries: entries.map((entry) => ({ ...entry, size: entry.payload.length })),
      commit,
    });
    await settle();
  }

  async pass(byMs: number): Promise<void> {
    for (let ms = 0; ms < byMs; ms += TICK_MS) {
      this.clock.advance(TICK_MS);
      await settle();
    }
  }

  get acknowledged(): number {
    return Math.max(
      ...this.sent.map((each) => each.kind === "append_response" ? each.index : 0),
      0,
    );
  }
}

function entryAt(index: number, payload?: Uint8Array): LogEntry {
  return memoryEntry(index, { term: 2, ...(payload === undefined ? {} : { payload }) });
}

function digestAt(index: LogIndex): StateDigest {
  return { index, resultChain: "", content: "" };
}

const COMPARE = encodeCommand({ kind: "compare" });

/** `"aab"`: nodes 1 and 2 reported a, node 3 b, behind entry `index`. */
function verdict(index: number, reports: string): Uint8Array {
  const digests = [...reports].map((digest, at) => ({ nodeId: at + 1, digest }));
  return encodeCommand({ kind: "digest_verdict", index, digests });
}

function markerAt(index: number): LogMarker {
  const entryChain = index.toString(16).padStart(16, "0");
  const configuration = encodeConfiguration(votersOnly([1, 2, 3].map(nodeId)));
  return { index: logIndex(index), term: term(2), entryChain, configuration, generation: 2 };
}

Deno.test("A node that a majority finds different is in quarantine, durably, and keeps acknowledging (V2)", async () => {
  const follower = new Follower();
  await follower.give(COMPARE, verdict(2, "aab"));
  deepStrictEqual(follower.said, ["alarm diverged", "entered 2"]);
  deepStrictEqual(follower.saved, [{ cleanIndex: 0, quarantine: { index: 2, verdictIndex: 3 } }]);
  ok(!follower.node.isReady);
  await follower.pass(100);
  await follower.give(undefined, undefined);
  deepStrictEqual([follower.acknowledged, follower.node.appliedIndex], [5, 3], "apply rests");
  ok(!await follower.node.snapshot(undefined), "it keeps the log and no state");
  await rejects(follower.node.write(COMPARE, 0), { code: "not_leader" });
});

Deno.test("A verdict concerns nobody who reported the right state, and nobody when it is undecided (V1)", async () => {
  const follower = new Follower();
  await follower.give(COMPARE, verdict(2, "aba"), verdict(2, "abc"), verdict(2, "ab"));
  deepStrictEqual(follower.said, [
    "alarm diverged",
    "alarm undecided",
    "undecided",
    "alarm undecided",
    "undecided",
  ]);
  deepStrictEqual([follower.health.isQuarantined, follower.health.maySendState], [false, false]);
  deepStrictEqual(follower.reported, [2]);
  ok(follower.node.isReady);
});

Deno.test("A verdict about a state that was replaced since does not count, nor does it twice (V2)", async () => {
  const follower = new Follower({ mark: { cleanIndex: 2, quarantine: undefined } });
  await follower.give(COMPARE, verdict(2, "aab"));
  ok(!follower.health.isQuarantined);
  deepStrictEqual(follower.reported, [], "nothing was pinned for an entry before the state came");
  await follower.give(COMPARE, verdict(4, "aab"));
  ok(follower.health.isQuarantined);
  await follower.give(verdict(4, "aab"));
  strictEqual(follower.saved.length, 1);
});

Deno.test("A node that starts in quarantine applies nothing, and reports nothing (V2)", async () => {
  const mark = { cleanIndex: 0, quarantine: { index: 2, verdictIndex: 3 } };
  const follower = new Follower({ mark });
  await follower.give(COMPARE, undefined);
  deepStrictEqual([follower.acknowledged, follower.node.appliedIndex], [3, 1]);
  ok(!follower.node.isReady);
  await follower.pass(1_000);
  deepStrictEqual(follower.reported, []);
  strictEqual(follower.asked[0], 4, "a state behind the verdict");
});

Deno.test("A node in quarantine goes on with its leader's state, from its own log (V2, S2)", async () => {
  const follower = new Follower();
  await follower.give(COMPARE, verdict(2, "aab"));
  await follower.pass(600);
  strictEqual(follower.asked.at(-1), 4);
  follower.received = markerAt(5);
  await follower.pass(600);
  ok(follower.health.isQuarantined, "its log does not go so far yet");
  await follower.give(undefined, undefined, undefined);
  await follower.pass(600);
  deepStrictEqual(follower.log.calls, ["marker 5"]);
  deepStrictEqual(follower.said.slice(2), ["switched 5", "left 5"]);
  deepStrictEqual(follower.saved.at(-1), { cleanIndex: 5, quarantine: undefined });
  strictEqual(follower.node.appliedIndex, 6);
  const applied = follower.stateMachine.entries.map(({ index }) => index);
  deepStrictEqual(applied, [2, 3, 6], "what the new state holds is not applied to it again");
  ok(follower.node.isReady);
  await follower.give(verdict(2, "aab"), verdict(5, "aab"));
  ok(!follower.health.isQuarantined, "it was another state that was found wrong");
});

Deno.test("A node in quarantine takes no state of another history, nor one that is not ahead (V2)", async () => {
  const follower = new Follower();
  await follower.give(COMPARE, verdict(2, "aab"));
  await follower.pass(100);
  await follower.give(undefined, undefined);
  follower.received = { ...markerAt(5), entryChain: "0123456789abcdef" };
  await follower.pass(1_200);
  ok(follower.quarantine.lastError?.includes("another history"));
  follower.received = { ...markerAt(5), term: term(1) };
  await follower.pass(1_200);
  follower.received = markerAt(3);
  await follower.pass(1_200);
  deepStrictEqual(follower.log.calls, []);
  ok(follower.health.isQuarantined);
});

Deno.test("A node in quarantine leaves leading to others for three election timeouts, and applies then (V2, D2)", async () => {
  const follower = new Follower();
  await follower.give(COMPARE, verdict(2, "aab"));
  await follower.pass(100);
  await follower.give(undefined);
  follower.sent.splice(0);
  follower.node.loop.campaign();
  const asksForVotes = (): boolean => follower.sent.some(({ kind }) => kind === "vote_request");
  // The shortest election timeout is 800 ms.
  await follower.pass(2_300);
  ok(!asksForVotes());
  await follower.pass(3_000);
  ok(asksForVotes());
  await follower.pass(3_000);
  strictEqual(follower.node.appliedIndex, 4);
  ok(follower.health.isQuarantined);
});

Deno.test("A node in quarantine that may not campaign applies what is committed when its leader falls silent (V2, D2)", async () => {
  const mark = { cleanIndex: 0, quarantine: { index: 1, verdictIndex: 1 } };
  const follower = new Follower({ mark, voters: [1, 2] });
  await follower.give(undefined, undefined);
  await follower.pass(1_000);
  const rested = follower.node.appliedIndex;
  await follower.pass(3_000);
  deepStrictEqual([rested, follower.node.appliedIndex], [1, 3]);
  strictEqual(follower.node.leaderId, LEADER, "nothing has told it that this one is gone");
  ok(follower.health.isQuarantined);
});

Deno.test("A node whose others were all removed gives its quarantine up: nobody could renew it (V2)", async () => {
  const mark = { cleanIndex: 4, quarantine: { index: 7, verdictIndex: 8 } };
  const follower = new Follower({ mark, voters: [3] });
  await follower.pass(200);
  deepStrictEqual(follower.said.slice(0, 1).map((each) => each.split(" ")[0]), ["given_up"]);
  deepStrictEqual(follower.saved.at(-1), { cleanIndex: 4, quarantine: undefined });
  ok(follower.node.isReady);
});

Deno.test("A quarantine that finds no room on the disk is kept in memory, and written when there is (V2, A3)", async () => {
  const follower = new Follower();
  follower.isDiskFull = true;
  await follower.give(COMPARE, verdict(2, "aab"));
  deepStrictEqual([follower.saved, follower.health.isQuarantined], [[], true]);
  follower.isDiskFull = false;
  await follower.pass(1_200);
  deepStrictEqual(follower.saved, [{ cleanIndex: 0, quarantine: { index: 2, verdictIndex: 3 } }]);
});
