/**
 * Copies of the state for members that the log does not reach (rule N3): one for all who need it, kept with
 * the log behind it for as long as it is needed, and no longer.
 */
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { votersOnly } from "../raft/configuration.ts";
import type { SnapshotMessage } from "../raft/message.ts";
import { EXPORT_IDLE_MS_MAX, EXPORT_RETRY_MS, HELD_LOG_BYTES_MAX } from "./limits.ts";
import { Peers } from "./peers.ts";
import { ReplicaHealth } from "./replica_health.ts";
import type { StateExport, StateMachinePort } from "./ports.ts";
import { ALONE, MemoryLog, settle } from "./testing.ts";

const [SECOND, THIRD] = [nodeId(2), nodeId(3)];
const FIRST = logIndex(1);

interface Made {
  readonly peers: Peers;
  readonly log: MemoryLog;
  readonly clock: FakeClock;
  /** Copies that were made and removed, and sent to whom. */
  readonly calls: string[];
  readonly lost: number[];
  readonly disk: { isFull: boolean; index: number; applied: number };
  readonly health: ReplicaHealth;
}

function make(): Made {
  const log = new MemoryLog();
  const clock = new FakeClock();
  const calls: string[] = [];
  const lost: number[] = [];
  const disk = { isFull: false, index: 10, applied: 0 };
  const health = new ReplicaHealth();
  const stateMachine: Partial<StateMachinePort> = {
    get applied() {
      const chain = { entryChain: "", configuration: ALONE };
      return { index: logIndex(Math.max(disk.index, disk.applied)), term: term(1), ...chain };
    },
    stageFile: (path) => {
      calls.push(`stage ${path}`);
      const state = { index: logIndex(Number(path)), term: term(1), entryChain: "" };
      return Promise.resolve({ ...state, configuration: ALONE, generation: 2 });
    },
    exportState: () => {
      if (disk.isFull) return Promise.reject(new OperatingError("disk_full", "full"));
      const path = `copy-${disk.index}`;
      calls.push(`make ${path}`);
      const state = { index: logIndex(disk.index), term: term(1), entryChain: "" };
      const file: Partial<StateExport> = { ...state, path, configuration: ALONE };
      return Promise.resolve(file as StateExport);
    },
    dropExport: (path) => {
      calls.push(`drop ${path}`);
      return Promise.resolve();
    },
  };
  const peers = new Peers({
    carrier: {
      send: () => undefined,
      sendSnapshot: ({ to }, { path }) => void calls.push(`send ${path} to ${to}`),
    },
    stateMachine: stateMachine as StateMachinePort,
    log,
    clock,
    health,
    onSnapshotLost: (to) => void lost.push(to),
    onFatal: (error) => {
      throw error;
    },
  });
  return { peers, log, clock, calls, lost, disk, health };
}

function snapshot(to: typeof SECOND, index: number): SnapshotMessage {
  const configuration = votersOnly([nodeId(1), SECOND, THIRD]);
  const metadata = { index: logIndex(index), term: term(1), configuration };
  return { kind: "snapshot", from: nodeId(1), to, term: term(1), snapshot: metadata };
}

Deno.test("Peers makes one copy for all who need it, and removes it when nobody has for a while (N3)", async () => {
  const { peers, clock, calls } = make();
  strictEqual(peers.snapshotToSend(FIRST), undefined);
  strictEqual(peers.snapshotToSend(FIRST), undefined, "while it is made");
  await settle();
  strictEqual(peers.snapshotToSend(FIRST)?.index, 10);
  peers.send(snapshot(SECOND, 10));
  peers.send(snapshot(THIRD, 10));
  strictEqual(peers.heldIndex, 10);
  clock.advance(10 * EXPORT_IDLE_MS_MAX);
  peers.onTick(clock.monotonicMs());
  strictEqual(peers.heldIndex, 10, "while it is sent");
  peers.endSnapshot(SECOND);
  peers.endSnapshot(THIRD);
  clock.advance(EXPORT_IDLE_MS_MAX - 1);
  peers.onTick(clock.monotonicMs());
  strictEqual(peers.heldIndex, 10);
  clock.advance(1);
  peers.onTick(clock.monotonicMs());
  strictEqual(peers.heldIndex, undefined);
  deepStrictEqual(calls, [
    "make copy-10",
    "send copy-10 to 2",
    "send copy-10 to 3",
    "drop copy-10",
  ]);
});

Deno.test("Peers gives no copy that ends before what is asked for, or that the log does not follow (N3)", async () => {
  const { peers, log, disk } = make();
  peers.snapshotToSend(FIRST);
  await settle();
  disk.index = 20;
  strictEqual(peers.snapshotToSend(logIndex(11)), undefined);
  await settle();
  strictEqual(peers.snapshotToSend(logIndex(11))?.index, 20);
  log.firstIndex = logIndex(22);
  disk.index = 30;
  strictEqual(peers.snapshotToSend(FIRST), undefined);
  await settle();
  strictEqual(peers.snapshotToSend(FIRST)?.index, 30);
});

Deno.test("Peers lets the log go past its bound; whom it overtook gets more, and slows writes in the end (N3)", async () => {
  const { peers, log, clock, disk } = make();
  peers.snapshotToSend(FIRST);
  await settle();
  log.sizeBytes = HELD_LOG_BYTES_MAX;
  strictEqual(peers.heldIndex, 10);
  log.sizeBytes += 1;
  deepStrictEqual([peers.heldIndex, peers.slowsWrites], [undefined, false]);
  log.firstIndex = logIndex(25);
  disk.index = 40;
  peers.snapshotToSend(FIRST);
  await settle();
  deepStrictEqual([peers.heldIndex, peers.slowsWrites], [40, false]);
  log.sizeBytes = 4 * HELD_LOG_BYTES_MAX;
  deepStrictEqual([peers.heldIndex, peers.slowsWrites], [40, false]);
  log.sizeBytes += 1;
  deepStrictEqual([peers.heldIndex, peers.slowsWrites], [40, true]);
  log.sizeBytes = 8 * HELD_LOG_BYTES_MAX + 1;
  deepStrictEqual([peers.heldIndex, peers.slowsWrites], [undefined, false], "disks are finite");
  log.sizeBytes = 0;
  clock.advance(EXPORT_IDLE_MS_MAX);
  peers.onTick(clock.monotonicMs());
  peers.snapshotToSend(FIRST);
  await settle();
  log.sizeBytes = HELD_LOG_BYTES_MAX + 1;
  strictEqual(peers.heldIndex, undefined, "the next one begins anew");
});

Deno.test("Peers tries again after a while when there was no room for a copy", async () => {
  const { peers, clock, calls, disk } = make();
  disk.isFull = true;
  peers.snapshotToSend(FIRST);
  await settle();
  disk.isFull = false;
  peers.snapshotToSend(FIRST);
  await settle();
  deepStrictEqual(calls, []);
  clock.advance(EXPORT_RETRY_MS);
  peers.snapshotToSend(FIRST);
  await settle();
  deepStrictEqual(calls, ["make copy-10"]);
});

Deno.test("Peers.send() of a copy that has gone meanwhile has the engine decide anew", async () => {
  const { peers, lost, calls } = make();
  peers.snapshotToSend(FIRST);
  await settle();
  peers.send(snapshot(SECOND, 9));
  await settle();
  deepStrictEqual([lost, calls], [[2], ["make copy-10"]]);
});

Deno.test("Peers keeps a snapshot that waits to be staged when a newer one arrives (S2)", async () => {
  const { peers, calls, disk, clock } = make();
  for (const index of [20, 30]) peers.onReceived(logIndex(index), String(index));
  strictEqual((await peers.stage(snapshot(SECOND, 20).snapshot)).index, 20);
  strictEqual((await peers.stage(snapshot(SECOND, 30).snapshot)).index, 30);
  deepStrictEqual(calls, ["stage 20", "stage 30"]);
  for (const index of [40, 50, 60, 70]) peers.onReceived(logIndex(index), String(index));
  deepStrictEqual(calls.slice(2), ["drop 40"], "but not all that ever came");
  disk.applied = 60;
  peers.onTick(clock.monotonicMs());
  deepStrictEqual(calls.slice(3), ["drop 50", "drop 60"], "nor what came too late");
});

Deno.test("Peers.maybeSendState() sends a state past what is asked for, once at a time (V2)", async () => {
  const { peers, calls } = make();
  const wish = { from: nodeId(1), to: SECOND, term: term(1), indexMin: FIRST };
  ok(!peers.maybeSendState(wish), "while it is made");
  await settle();
  ok(peers.maybeSendState(wish));
  ok(peers.maybeSendState(wish));
  deepStrictEqual(calls, ["make copy-10", "send copy-10 to 2"]);
  peers.endSnapshot(SECOND);
  peers.maybeSendState(wish);
  deepStrictEqual(calls.slice(2), ["send copy-10 to 2"]);
});

Deno.test("Peers sends nothing of a state that may be wrong, a copy of before neither (V2)", async () => {
  const { peers, calls, health, log } = make();
  peers.snapshotToSend(FIRST);
  await settle();
  const wish = { from: nodeId(1), to: SECOND, term: term(1), indexMin: FIRST };
  health.setMark({ cleanIndex: 0, quarantine: { index: 1, verdictIndex: 2 } });
  strictEqual(peers.snapshotToSend(FIRST), undefined);
  throws(() => peers.maybeSendState(wish), { code: "conflict" });
  health.setMark({ cleanIndex: 3, quarantine: undefined });
  health.judged({ kind: "undecided", reported: [] }, votersOnly([nodeId(1)]));
  strictEqual(peers.snapshotToSend(FIRST), undefined);
  throws(() => peers.maybeSendState(wish), { code: "conflict" });
  deepStrictEqual(calls, ["make copy-10"]);
  strictEqual(peers.heldIndex, 0, "a third is to replay, not to copy (V1)");
  log.sizeBytes = HELD_LOG_BYTES_MAX + 1;
  strictEqual(peers.heldIndex, undefined);
});

Deno.test("Peers names the newest state that arrived past an index, until it is staged (V2)", async () => {
  const { peers } = make();
  for (const index of [20, 30]) peers.onReceived(logIndex(index), String(index));
  strictEqual(peers.receivedState(logIndex(29)), 30);
  strictEqual(peers.receivedState(logIndex(30)), undefined);
  strictEqual((await peers.stageReceived(logIndex(30)))?.index, 30);
  strictEqual(await peers.stageReceived(logIndex(30)), undefined);
  strictEqual(peers.receivedState(logIndex(10)), 20);
});
