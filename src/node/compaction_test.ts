import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { logIndex } from "../base/ids.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { Compaction, type CompactionPolicy } from "./compaction.ts";
import { TRAILING_LOG_BYTES } from "./limits.ts";
import { memoryEntry, MemoryLog, MemoryStateMachine, settle } from "./testing.ts";

const INTERVAL_MS = 1_000;
const POLICY = { entriesMin: 10, bytesMin: 0, intervalMs: INTERVAL_MS, trailingEntries: 3 };

interface Parts {
  readonly compaction: Compaction;
  readonly log: MemoryLog;
  readonly stateMachine: MemoryStateMachine;
  readonly clock: FakeClock;
  readonly fatal: unknown[];
}

/** The state has applied up to `applied`; its database has 1,000 bytes. */
function setUp(applied: number, policy: Partial<CompactionPolicy> = {}): Parts {
  const log = new MemoryLog();
  log.entries = Array.from({ length: applied - 1 }, (_, place) => memoryEntry(2 + place));
  log.hardState = { ...log.hardState, commit: log.lastIndex };
  log.sizeBytes = 2_000;
  const stateMachine = new MemoryStateMachine(log, applied);
  const clock = new FakeClock();
  const fatal: unknown[] = [];
  const compaction = new Compaction({
    log,
    stateMachine: stateMachine.port,
    clock,
    policy: { ...POLICY, ...policy },
    saveMarker: async (marker) => {
      await log.saveMarker({ marker, hardState: log.hardState });
      return true;
    },
    onFatal: (error) => fatal.push(error),
  });
  return { compaction, log, stateMachine, clock, fatal };
}

async function pass(clock: FakeClock): Promise<void> {
  clock.advance(INTERVAL_MS);
  await settle();
}

const ALL_STEPS = ["marker 20", "purge 17", "release but 2"];

Deno.test("Compaction.snapshot() records the marker before log and old state go (B.1)", async () => {
  const { compaction, log } = setUp(20);
  ok(await compaction.snapshot({ trailingEntries: 3 }));
  deepStrictEqual([log.calls, log.marker.generation], [ALL_STEPS, 2]);
  ok(!(await compaction.snapshot({ trailingEntries: 3 })));
  deepStrictEqual([log.calls, compaction.snapshotCount], [ALL_STEPS, 1]);
});

Deno.test("Compaction.snapshot() joins the one that runs", async () => {
  const { compaction, stateMachine } = setUp(20);
  const both = [
    compaction.snapshot({ trailingEntries: 3 }),
    compaction.snapshot({ trailingEntries: 0 }),
  ];
  deepStrictEqual([await Promise.all(both), stateMachine.snapshotCount], [[true, true], 1]);
});

Deno.test("Compaction releases nothing when the marker cannot be recorded", async () => {
  const { log, stateMachine, clock, fatal } = setUp(20);
  const compaction = new Compaction({
    log,
    stateMachine: stateMachine.port,
    clock,
    policy: POLICY,
    saveMarker: () => Promise.reject(new Error("no marker")),
    onFatal: (error) => fatal.push(error),
  });
  await rejects(compaction.snapshot({ trailingEntries: 3 }), /no marker/);
  deepStrictEqual(log.calls, []);
  compaction.start();
  await pass(clock);
  strictEqual(fatal.length, 1);
});

Deno.test("Compaction waits for enough entries, and for a log as large as the database", async () => {
  const { compaction, log, stateMachine, clock } = setUp(10);
  compaction.start();
  await pass(clock);
  strictEqual(stateMachine.snapshotCount, 0);
  log.entries.push(memoryEntry(11));
  stateMachine.applied = { ...stateMachine.applied, index: logIndex(11) };
  log.sizeBytes = 999;
  await pass(clock);
  strictEqual(stateMachine.snapshotCount, 0);
  log.sizeBytes = 1_000;
  await pass(clock);
  strictEqual(stateMachine.snapshotCount, 1);
});

Deno.test("Compaction waits for no more than the entries that were asked for by hand (N4)", async () => {
  const { compaction, stateMachine, log, clock } = setUp(20, { entriesSuffice: true });
  log.sizeBytes = 999;
  compaction.start();
  await pass(clock);
  strictEqual(stateMachine.snapshotCount, 1);
  const early = setUp(10, { entriesSuffice: true });
  early.compaction.start();
  await pass(early.clock);
  strictEqual(early.stateMachine.snapshotCount, 0);
});

Deno.test("Compaction counts the log's growth since the last marker, and after a start all of it", async () => {
  const { compaction, log, stateMachine, clock } = setUp(20);
  compaction.start();
  await pass(clock);
  strictEqual(stateMachine.snapshotCount, 1);
  for (let index = 21; index <= 40; index++) log.entries.push(memoryEntry(index));
  stateMachine.applied = { ...stateMachine.applied, index: logIndex(40) };
  log.sizeBytes = 2_999;
  await pass(clock);
  strictEqual(stateMachine.snapshotCount, 1);
  log.sizeBytes = 3_000;
  await pass(clock);
  strictEqual(stateMachine.snapshotCount, 2);
});

Deno.test("Compaction is due by bytes alone, where the policy has a limit", async () => {
  const { compaction, stateMachine, clock } = setUp(3, { bytesMin: 1_500 });
  compaction.start();
  await pass(clock);
  strictEqual(stateMachine.snapshotCount, 1);
});

Deno.test("Compaction keeps fewer entries behind it where they are large, and all that were asked for by hand", async () => {
  const { compaction, log, clock } = setUp(21, { trailingEntries: 15 });
  // 20 entries, of which two and a half fit.
  log.sizeBytes = 8 * TRAILING_LOG_BYTES;
  compaction.start();
  await pass(clock);
  deepStrictEqual(log.calls.slice(0, 2), ["marker 21", "purge 19"]);
  const byHand = setUp(21);
  byHand.log.sizeBytes = 8 * TRAILING_LOG_BYTES;
  await byHand.compaction.snapshot({ trailingEntries: 15 });
  deepStrictEqual(byHand.log.calls.slice(0, 2), ["marker 21", "purge 6"]);
});

Deno.test("Compaction tries again after the next interval when the disk is full", async () => {
  const { compaction, stateMachine, clock, fatal } = setUp(20);
  const { snapshot } = stateMachine;
  stateMachine.snapshot = () => Promise.reject(new OperatingError("disk_full", "full"));
  compaction.start();
  await pass(clock);
  strictEqual(compaction.snapshotCount, 0);
  stateMachine.snapshot = snapshot;
  await pass(clock);
  deepStrictEqual([compaction.snapshotCount, fatal], [1, []]);
});

Deno.test("Compaction.stop() waits for the snapshot that runs, and lets none begin after it", async () => {
  const { compaction, stateMachine, clock } = setUp(20);
  const copied = Promise.withResolvers<void>();
  const { snapshot } = stateMachine;
  stateMachine.snapshot = async () => {
    await copied.promise;
    return await snapshot.call(stateMachine);
  };
  const running = compaction.snapshot({ trailingEntries: 3 });
  let isStopped = false;
  const stopped = compaction.stop().then(() => {
    isStopped = true;
  });
  await settle();
  ok(!isStopped);
  await rejects(compaction.snapshot({ trailingEntries: 3 }), { code: "not_ready" });
  copied.resolve();
  await stopped;
  deepStrictEqual([await running, stateMachine.snapshotCount, clock.timerCount], [true, 1, 0]);
});

Deno.test("Compaction.stop() also ends a look that waits for a busy writer", async () => {
  const { compaction, stateMachine, clock, fatal } = setUp(20);
  const busy = Promise.withResolvers<void>();
  stateMachine.statsGate = busy.promise;
  compaction.start();
  await pass(clock);
  await compaction.stop();
  busy.resolve();
  await settle();
  deepStrictEqual([stateMachine.snapshotCount, clock.timerCount, fatal], [0, 0, []]);
});

Deno.test("Compaction.dropApplied() begins a file, and lets go of what is before it once that is in the state (D2)", async () => {
  const { compaction, log, stateMachine, clock } = setUp(20);
  const { applied } = stateMachine;
  // What was written last is on its way to the state.
  stateMachine.applied = { ...applied, index: logIndex(18) };
  const dropped = compaction.dropApplied();
  await settle();
  deepStrictEqual(log.calls, ["marker 1"]);
  stateMachine.applied = applied;
  clock.advance(INTERVAL_MS);
  await dropped;
  deepStrictEqual(log.calls, ["marker 1", "marker 20", "purge 20", "release but 2", "purge 20"]);
  // Nothing is new, and the log may be damaged behind it.
  await compaction.dropApplied();
  deepStrictEqual(log.calls.slice(5), ["marker 20", "purge 20"]);
});

Deno.test("Compaction.dropApplied() waits for a state that comes to nothing only so long", async () => {
  const { compaction, log, stateMachine, clock } = setUp(20);
  stateMachine.applied = { ...stateMachine.applied, index: logIndex(18) };
  const dropped = compaction.dropApplied();
  for (let look = 0; look < 100; look++) await pass(clock);
  await dropped;
  deepStrictEqual(log.calls.slice(0, 3), ["marker 1", "marker 18", "purge 18"]);
});
