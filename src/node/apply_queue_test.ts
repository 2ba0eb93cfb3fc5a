import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { type LogIndex, logIndex, nodeId, term } from "../base/ids.ts";
import { APPLY_BATCH_BYTES_MAX, APPLY_BATCHES_IN_FLIGHT_MAX } from "../base/limits.ts";
import { FakeClock } from "../os/fake_clock.ts";
import type { StorageApply } from "../raft/ready.ts";
import type { Entry } from "../raft/types.ts";
import { ApplyQueue } from "./apply_queue.ts";
import { memoryEntry, MemoryLog, MemoryStateMachine, settle, verdictPayload } from "./testing.ts";

/** So many go to the state machine ahead of the answer to an earlier batch. */
const AHEAD = 16;
const RETRY_MS = 250;

interface Parts {
  readonly queue: ApplyQueue;
  readonly log: MemoryLog;
  readonly stateMachine: MemoryStateMachine;
  readonly clock: FakeClock;
  /** What the queue has told: `applied N`, `item N`, `missing N`. */
  readonly said: string[];
  /** Appends `[next, to]` to the log, durably, and hands it to the queue as one item. */
  readonly give: (
    to: number,
    kinds?: Readonly<Record<number, Entry["kind"] | Uint8Array>>,
  ) => Promise<void>;
}

function setUp(): Parts {
  const log = new MemoryLog();
  const stateMachine = new MemoryStateMachine(log);
  const clock = new FakeClock();
  const said: string[] = [];
  const queue = new ApplyQueue({
    stateMachine: stateMachine.port,
    log,
    clock,
    listener: {
      prepareEntry: (entry) => ({
        ...memoryEntry(entry.index, entry.payload === undefined ? {} : { payload: entry.payload }),
        kind: entry.kind,
        format: 0,
        configuration: undefined,
      }),
      onApplied: (_entries, { appliedIndex }) => said.push(`applied ${appliedIndex}`),
      onItemApplied: (item) => said.push(`item ${item.entries.at(-1)?.index}`),
      onVerdictMissing: ({ index }) => said.push(`missing ${index}`),
      onFatal: (error) => said.push(`fatal ${error}`),
    },
  });
  const give: Parts["give"] = async (to, kinds = {}) => {
    const item = itemOf(log.lastIndex + 1, to, kinds);
    const hardState = { term: term(1), vote: nodeId(1), commit: logIndex(1) };
    const entries = item.entries.map(({ index, payload }) =>
      memoryEntry(index, payload === undefined ? {} : { payload })
    );
    log.append({ entries, hardState });
    await log.sync();
    queue.add(item);
    queue.advanceCommitted(logIndex(to));
  };
  return { queue, log, stateMachine, clock, said, give };
}

function itemOf(
  from: number,
  to: number,
  kinds: Readonly<Record<number, Entry["kind"] | Uint8Array>> = {},
): StorageApply {
  const entries: Entry[] = [];
  for (let index = from; index <= to; index++) {
    const kind = kinds[index] ?? "normal";
    const { payload } = memoryEntry(index, kind instanceof Uint8Array ? { payload: kind } : {});
    const size = payload.length;
    const shape = { index: logIndex(index), term: term(1), size, payload };
    entries.push({ ...shape, kind: kind instanceof Uint8Array ? "normal" : kind });
  }
  return { entries };
}

function indexesOf({ entries }: MemoryStateMachine): LogIndex[] {
  return entries.map(({ index }) => index);
}

function upTo(last: number): number[] {
  return Array.from({ length: last - 1 }, (_, place) => 2 + place);
}

Deno.test("ApplyQueue applies every entry once and in order, and tells of items behind them", async () => {
  const { stateMachine, said, give } = setUp();
  stateMachine.hold();
  await give(3);
  await give(20);
  await give(60);
  stateMachine.release();
  await settle();
  deepStrictEqual(indexesOf(stateMachine), upTo(60));
  deepStrictEqual(said.filter((each) => each.startsWith("item")), ["item 3", "item 20", "item 60"]);
  strictEqual(said.at(-1), "item 60");
});

Deno.test("ApplyQueue has at most so many batches in flight, and sends small ones not ahead", async () => {
  const { queue, stateMachine, give } = setUp();
  stateMachine.hold();
  await give(2);
  await give(1 + AHEAD);
  deepStrictEqual([stateMachine.batches, queue.isBusy], [["2-2"], true]);
  await give(2 + AHEAD);
  deepStrictEqual(stateMachine.batches, ["2-2", `3-${2 + AHEAD}`]);
  await give(200);
  strictEqual(stateMachine.batches.length, APPLY_BATCHES_IN_FLIGHT_MAX);
  stateMachine.release();
  await settle();
  deepStrictEqual([stateMachine.applied.index, queue.isBusy], [200, false]);
});

Deno.test("ApplyQueue ends a batch at its bytes, but sends one larger entry alone", async () => {
  const { stateMachine, give } = setUp();
  stateMachine.hold();
  const half = new Uint8Array(APPLY_BATCH_BYTES_MAX / 2 + 1);
  await give(5, { 3: new Uint8Array(APPLY_BATCH_BYTES_MAX + 1), 4: half, 5: half });
  stateMachine.release();
  await settle();
  deepStrictEqual(stateMachine.batches, ["2-2", "3-3", "4-4", "5-5"]);
});

Deno.test("ApplyQueue refuses a gap", async () => {
  const { queue, give } = setUp();
  await give(3);
  throws(() => queue.add(itemOf(5, 6)), /gap/);
  throws(() => queue.add(itemOf(3, 3)), /gap/);
});

Deno.test("ApplyQueue ends a batch behind a configuration change, and waits for it (D2)", async () => {
  const { stateMachine, give } = setUp();
  stateMachine.hold();
  await give(60, { 4: "conf_change" });
  deepStrictEqual(stateMachine.batches, ["2-4"]);
  stateMachine.release();
  await settle();
  deepStrictEqual([stateMachine.batches, stateMachine.applied.index], [["2-4", "5-60"], 60]);
});

Deno.test("ApplyQueue holds all behind a parked entry until its verdict is found, then obeys (A4)", async () => {
  const { queue, stateMachine, said, give } = setUp();
  stateMachine.parks.add(4);
  stateMachine.hold();
  await give(5);
  await give(40);
  stateMachine.release();
  await settle();
  deepStrictEqual([stateMachine.applied.index, said.at(-1)], [3, "missing 4"]);
  const { length } = stateMachine.batches;
  await give(50);
  await settle();
  deepStrictEqual([stateMachine.batches.length, stateMachine.verdicts], [length, []]);
  queue.lookAgain();
  await settle();
  strictEqual(said.at(-1), "missing 4");
  await give(52, { 51: verdictPayload(4, "run") });
  await settle();
  deepStrictEqual([stateMachine.verdicts, stateMachine.applied.index], [["run 4"], 52]);
  deepStrictEqual(indexesOf(stateMachine), upTo(52));
});

Deno.test("ApplyQueue obeys a verdict only once what was sent behind the parked entry is back (A4)", async () => {
  const { stateMachine, give } = setUp();
  stateMachine.parks.add(2);
  const answers: (() => void)[] = [];
  const { apply } = stateMachine;
  stateMachine.apply = async (entries) => {
    await new Promise<void>((resolve) => answers.push(resolve));
    return await apply.call(stateMachine, entries);
  };
  await give(2);
  await give(40, { 3: verdictPayload(2, "void") });
  answers[0]?.();
  await settle();
  deepStrictEqual(stateMachine.verdicts, []);
  answers[1]?.();
  await settle();
  deepStrictEqual(stateMachine.verdicts, ["void 2"]);
  for (let place = 2; place < answers.length; place++) {
    answers[place]?.();
    await settle();
  }
  deepStrictEqual(indexesOf(stateMachine), upTo(40));
});

Deno.test("ApplyQueue offers the same entries again after a full disk, none twice, none lost (A3)", async () => {
  const { queue, stateMachine, clock, said, give } = setUp();
  stateMachine.isFull = true;
  stateMachine.hold();
  await give(3);
  await give(40);
  stateMachine.release();
  await settle();
  deepStrictEqual([queue.isDiskFull, said, stateMachine.batches.length], [true, [], 2]);
  clock.advance(RETRY_MS - 1);
  await settle();
  strictEqual(stateMachine.batches.length, 2);
  clock.advance(1);
  await settle();
  deepStrictEqual([queue.isDiskFull, stateMachine.batches.length], [true, 3]);
  stateMachine.isFull = false;
  clock.advance(RETRY_MS);
  await settle();
  deepStrictEqual([queue.isDiskFull, indexesOf(stateMachine)], [false, upTo(40)]);
});

Deno.test("ApplyQueue.drain() waits for what is in flight, and nothing goes out until resumeAt() (S2)", async () => {
  const { queue, stateMachine, said, give } = setUp();
  stateMachine.hold();
  await give(2);
  let isDrained = false;
  const drained = queue.drain().then(() => {
    isDrained = true;
  });
  await give(40);
  await settle();
  ok(!isDrained);
  throws(() => queue.resumeAt(logIndex(9)), /not drained/);
  stateMachine.release();
  await drained;
  await settle();
  deepStrictEqual([stateMachine.batches, queue.appliedIndex], [["2-2"], 2]);
  stateMachine.applied = { ...stateMachine.applied, index: logIndex(30) };
  queue.resumeAt(logIndex(30));
  await settle();
  deepStrictEqual(stateMachine.batches, ["2-2", "31-40"]);
  deepStrictEqual(said.filter((each) => each.startsWith("item")), ["item 2", "item 30", "item 40"]);
});

Deno.test("ApplyQueue tells what is applied of an item before a parked entry: changes count (D2)", async () => {
  const { stateMachine, said, give } = setUp();
  stateMachine.parks.add(5);
  await give(7, { 3: "conf_change" });
  await settle();
  strictEqual(stateMachine.applied.index, 4);
  deepStrictEqual(said.filter((each) => each.startsWith("item")), ["item 3", "item 4"]);
});

Deno.test("ApplyQueue.resumeAt() forgets a parked entry that the new state has", async () => {
  const { queue, stateMachine, said, give } = setUp();
  stateMachine.parks.add(3);
  await give(10);
  await settle();
  strictEqual(said.at(-1), "missing 3");
  await queue.drain();
  stateMachine.applied = { ...stateMachine.applied, index: logIndex(8) };
  queue.resumeAt(logIndex(8));
  await settle();
  deepStrictEqual([stateMachine.applied.index, stateMachine.verdicts], [10, []]);
});

Deno.test("ApplyQueue.stop() ends the search for a verdict, and begins none: the log is about to close", async () => {
  for (const isParked of [true, false]) {
    const { queue, log, stateMachine, said, give } = setUp();
    stateMachine.parks.add(3);
    if (!isParked) stateMachine.hold();
    await give(4);
    await settle();
    queue.stop();
    log.read = () => Promise.reject(new Error("The log is closed"));
    stateMachine.release();
    await settle();
    queue.lookAgain();
    queue.advanceCommitted(logIndex(9));
    await settle();
    deepStrictEqual(said.filter((each) => each.startsWith("fatal")), []);
  }
});

Deno.test("ApplyQueue.stop() sends nothing more and leaves no timer", async () => {
  const { queue, stateMachine, clock, said, give } = setUp();
  stateMachine.isFull = true;
  await give(3);
  await settle();
  strictEqual(clock.timerCount, 1);
  queue.stop();
  strictEqual(clock.timerCount, 0);
  stateMachine.isFull = false;
  clock.advance(RETRY_MS);
  await settle();
  deepStrictEqual([said, stateMachine.batches], [[], ["2-3"]]);
});

Deno.test("ApplyQueue.skipTo() counts as applied what a replaced state holds, and applies the rest (V2)", async () => {
  const { queue, stateMachine, said, give } = setUp();
  await give(3);
  await settle();
  queue.hold();
  await give(6, { 5: "conf_change" });
  await give(8);
  await settle();
  deepStrictEqual(indexesOf(stateMachine), [2, 3], "held");
  said.splice(0);
  await queue.drain();
  stateMachine.applied = { ...stateMachine.applied, index: logIndex(10) };
  queue.skipTo(logIndex(10));
  deepStrictEqual(said, ["applied 5", "item 5", "applied 8", "item 6", "item 8"]);
  queue.release();
  await give(9);
  await give(12);
  await settle();
  deepStrictEqual(indexesOf(stateMachine), [2, 3, 11, 12]);
  deepStrictEqual(said.slice(5), [
    "applied 9",
    "item 9",
    "applied 10",
    "item 10",
    "applied 12",
    "item 12",
  ]);
  strictEqual(queue.appliedIndex, 12);
});

Deno.test("ApplyQueue.skipTo() takes no state that is behind", async () => {
  const { queue, give } = setUp();
  await give(3);
  await settle();
  throws(() => queue.skipTo(logIndex(3)), /the state goes back/);
});
