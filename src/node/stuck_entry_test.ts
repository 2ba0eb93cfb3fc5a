/**
 * An entry from which a node did not come back, and which others may have come to the end of (rule A4b).
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { productionConfig } from "../raft/config.ts";
import { encodeConfiguration, votersOnly } from "../raft/configuration.ts";
import type { Message } from "../raft/message.ts";
import type { Entry } from "../raft/types.ts";
import { STUCK_STATE_WAIT_MS } from "./limits.ts";
import { Node } from "./node.ts";
import type { PeersPort } from "./ports.ts";
import { memoryEntry, MemoryLog, MemoryStateMachine, settle } from "./testing.ts";

const SELF = nodeId(1);
const OTHER = nodeId(2);
const STUCK = 2;
const TICK_MS = 50;

/** Node 1 of two, restarted behind entry 2; node 2 is the test. */
class Restarted {
  readonly sent: Message[] = [];
  readonly node: Node;
  readonly stateMachine: MemoryStateMachine;
  readonly #clock = new FakeClock();

  constructor(log = new MemoryLog()) {
    const stateMachine = new MemoryStateMachine(log);
    this.stateMachine = stateMachine;
    const configuration = encodeConfiguration(votersOnly([SELF, OTHER]));
    stateMachine.applied = { ...stateMachine.applied, configuration };
    stateMachine.parks.add(STUCK);
    stateMachine.stuckIndex = STUCK;
    stateMachine.endsParked = false;
    const peers: Partial<PeersPort> = {
      send: (message) => void this.sent.push(message),
      snapshotToSend: () => undefined,
    };
    this.node = new Node({
      config: productionConfig(SELF),
      log,
      hardState: log.hardState,
      stateMachine: stateMachine.port,
      clock: this.#clock,
      entropy: { bytes: (count) => new Uint8Array(count), below: () => 0 },
      peers: peers as PeersPort,
      policy: { entriesMin: 1e9, bytesMin: 0, intervalMs: 1e9, trailingEntries: 0 },
      applyTimeoutMs: 10_000,
      onFatal: (error) => {
        throw error;
      },
    });
    this.node.start();
  }

  kinds(): string[] {
    return this.sent.splice(0).map(({ kind }) => kind);
  }

  /** Time in which `answer` deals with what is sent. */
  async pass(byMs: number, answer: (message: Message) => void): Promise<void> {
    for (let ms = 0; ms < byMs; ms += TICK_MS) {
      this.#clock.advance(TICK_MS);
      await settle();
      for (const message of [...this.sent]) answer(message);
      await settle();
    }
  }

  /** Node 2 leads, and says so. */
  async follow(byMs: number): Promise<void> {
    const commit = logIndex(STUCK);
    const envelope = { from: OTHER, to: SELF, term: term(2) };
    await this.pass(byMs, () => undefined);
    this.node.loop.receive({ kind: "heartbeat", ...envelope, commit, readRound: 0 });
    await settle();
  }
}

function entry(index: number): Entry {
  const { payload, kind } = memoryEntry(index);
  return { index: logIndex(index), term: term(2), kind, size: payload.length, payload };
}

Deno.test("A follower takes its leader's state when the entry that it did not come back from gets no verdict (A4b)", async () => {
  const restarted = new Restarted();
  const envelope = { from: OTHER, to: SELF, term: term(2) };
  const prev = { prevIndex: logIndex(1), prevTerm: term(1) };
  const entries = [entry(STUCK), entry(3)];
  restarted.node.loop.receive({
    kind: "append",
    ...envelope,
    ...prev,
    entries,
    commit: logIndex(3),
  });
  await settle();
  for (let ms = 0; ms < STUCK_STATE_WAIT_MS - 500; ms += 500) await restarted.follow(500);
  ok(!restarted.kinds().includes("snapshot_request"), "a verdict may still come");
  await restarted.follow(500);
  await restarted.follow(500);
  ok(restarted.kinds().includes("snapshot_request"));
  deepStrictEqual(restarted.stateMachine.verdicts, []);
});

Deno.test("A leader hands over before it voids what it did not come back from: others may have (A4b)", async () => {
  const log = new MemoryLog();
  const commit = logIndex(STUCK);
  log.append({ entries: [memoryEntry(STUCK)], hardState: { ...log.hardState, commit } });
  await log.sync();
  const restarted = new Restarted(log);
  const { node, sent } = restarted;
  const answer = (message: Message): void => {
    const envelope = { from: OTHER, to: SELF, term: message.term };
    const unsaid = { commit: logIndex(0), commitTerm: term(0) };
    if (message.kind === "vote_request") {
      const { ballot } = message;
      node.loop.receive({ kind: "vote_response", ...envelope, ...unsaid, ballot, isGranted: true });
    } else if (message.kind === "append") {
      const index = logIndex(message.prevIndex + message.entries.length);
      node.loop.receive({ kind: "append_response", ...envelope, index, rejection: undefined });
    }
  };
  const hasHandedOver = (): boolean => sent.some(({ kind }) => kind === "timeout_now");
  for (let ticks = 0; ticks < 100 && !hasHandedOver(); ticks++) {
    await restarted.pass(TICK_MS, answer);
  }
  ok(hasHandedOver());
  const last = log.lastIndex;
  strictEqual(last, 3, "the term's first entry, and no verdict");
  // Nobody took over: then nobody is past it, as far as can be known.
  await restarted.pass(2_000, answer);
  deepStrictEqual(restarted.stateMachine.verdicts, [`void ${STUCK}`]);
});
