import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { FatalError, OperatingError } from "../base/errors.ts";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { LARGE_ENTRY_BYTES } from "../base/limits.ts";
import { FakeClock } from "../os/fake_clock.ts";
import type { SyncOptions } from "../os/file_system.ts";
import { AppendQueue, type AppendWork } from "./append_queue.ts";
import { EntryTail } from "./entry_tail.ts";
import type { LogEntry, LogPort } from "./ports.ts";

const HARD_STATE = { term: term(1), vote: nodeId(1), commit: logIndex(0) };

function entry(index: number, termValue = 1): LogEntry {
  return {
    index: logIndex(index),
    term: term(termValue),
    kind: "normal",
    payload: new Uint8Array(1),
  };
}

/** A log that records calls; each sync ends when the test says so. */
class RecordingLog {
  readonly calls: string[] = [];
  readonly syncs: { resolve: () => void; reject: (error: unknown) => void }[] = [];
  fullTimes = 0;

  append(options: { readonly entries: readonly LogEntry[] }): void {
    if (this.fullTimes > 0) {
      this.fullTimes -= 1;
      throw new OperatingError("disk_full", "full");
    }
    this.calls.push(`append ${options.entries.map((each) => `${each.index}/${each.term}`)}`);
  }

  appendLarge(options: { readonly entries: readonly LogEntry[] }): Promise<void> {
    this.calls.push("large");
    return Promise.resolve().then(() => this.append(options));
  }

  sync({ mayBlock }: SyncOptions): Promise<void> {
    this.calls.push(mayBlock ? "blocking sync" : "sync");
    return new Promise((resolve, reject) => this.syncs.push({ resolve, reject }));
  }
}

function setUp(): {
  log: RecordingLog;
  queue: AppendQueue;
  clock: FakeClock;
  fates: string[];
  /** Whether nothing else needs the thread. */
  idle: { is: boolean };
  work: (entries: readonly LogEntry[]) => AppendWork;
  /** Only the commit index changed. */
  lazyWork: () => AppendWork;
} {
  const log = new RecordingLog();
  const clock = new FakeClock();
  const fates: string[] = [];
  const idle = { is: false };
  const queue = new AppendQueue({
    log: log as unknown as LogPort,
    tail: new EntryTail({ from: logIndex(1), sizeBytesMax: 1000 }),
    clock,
    isIdle: () => idle.is,
    onFatal: (error) => fates.push(`fatal ${error instanceof Error ? error.message : error}`),
  });
  const work = (entries: readonly LogEntry[]): AppendWork => ({
    entries,
    hardState: HARD_STATE,
    mustSync: true,
    onDurable: () => fates.push(`durable ${entries.map((each) => each.index)}`),
  });
  const lazyWork = (): AppendWork => ({ ...work([]), mustSync: false });
  return { log, queue, clock, fates, idle, work, lazyWork };
}

/** Lets promise reactions run. */
async function settle(): Promise<void> {
  for (let round = 0; round < 5; round++) await Promise.resolve();
}

Deno.test("AppendQueue writes nothing while a sync is in flight, then all that waits at once (D6)", async () => {
  const { log, queue, fates, work } = setUp();
  queue.add(work([entry(1)]));
  queue.add(work([entry(2)]));
  queue.add(work([entry(3), entry(4)]));
  deepStrictEqual(log.calls, ["append 1/1", "sync"]);
  log.syncs[0]?.resolve();
  await settle();
  deepStrictEqual(log.calls, ["append 1/1", "sync", "append 2/1,3/1,4/1", "sync"]);
  deepStrictEqual(fates, ["durable 1"]);
  log.syncs[1]?.resolve();
  await settle();
  deepStrictEqual(fates, ["durable 1", "durable 2", "durable 3,4"]);
});

Deno.test("AppendQueue lets a sync block the thread after eight in a row that found it idle", async () => {
  const { log, queue, idle, work } = setUp();
  const syncs: string[] = [];
  for (let round = 0; round < 20; round++) {
    idle.is = round !== 10;
    queue.add(work([entry(1)]));
    syncs.push(log.calls.at(-1) ?? "");
    log.syncs.at(-1)?.resolve();
    await settle();
  }
  const blocking = syncs.flatMap((call, at) => call === "blocking sync" ? [at] : []);
  deepStrictEqual([syncs.length, ...blocking], [20, 8, 9, 19]);
});

Deno.test("AppendQueue joins batches so that a later one replaces what it overwrites", async () => {
  const { log, queue, work } = setUp();
  queue.add(work([entry(1)]));
  queue.add(work([entry(2), entry(3), entry(4)]));
  queue.add(work([entry(3, 2)]));
  log.syncs[0]?.resolve();
  await settle();
  strictEqual(log.calls[2], "append 2/1,3/2");
});

Deno.test("AppendQueue lets a change of the commit index alone wait for the next write", async () => {
  const { log, queue, fates, work, lazyWork } = setUp();
  queue.add(lazyWork());
  deepStrictEqual([log.calls, fates], [[], ["durable "]]);
  queue.add(work([entry(1)]));
  queue.add(lazyWork());
  strictEqual(fates.length, 1);
  log.syncs[0]?.resolve();
  await settle();
  deepStrictEqual([log.calls.length, fates.length], [2, 3]);
});

Deno.test("AppendQueue writes the same entries again when the disk was full, and says so meanwhile", async () => {
  const { log, queue, clock, fates, work } = setUp();
  log.fullTimes = 1;
  queue.add(work([entry(1)]));
  queue.add(work([entry(2)]));
  deepStrictEqual([queue.isDiskFull, log.calls], [true, []]);
  clock.advance(250);
  await settle();
  deepStrictEqual([queue.isDiskFull, log.calls], [false, ["append 1/1,2/1", "sync"]]);
  log.syncs[0]?.resolve();
  await settle();
  deepStrictEqual(fates, ["durable 1", "durable 2"]);
});

Deno.test("AppendQueue acknowledges nothing when a sync fails", async () => {
  const { log, queue, fates, work } = setUp();
  queue.add(work([entry(1)]));
  queue.add(work([entry(2)]));
  log.syncs[0]?.reject(new FatalError(74, "sync refused"));
  await settle();
  deepStrictEqual(fates, ["fatal sync refused"]);
  strictEqual(log.calls.length, 2);
});

Deno.test("AppendQueue.runExclusive() runs between two writes and hands its failure to the caller", async () => {
  const { log, queue, work } = setUp();
  queue.add(work([entry(1)]));
  const order: string[] = [];
  const marker = queue.runExclusive(() => {
    order.push(...log.calls);
    return Promise.reject(new Error("no marker"));
  });
  queue.add(work([entry(2)]));
  strictEqual(order.length, 0);
  log.syncs[0]?.resolve();
  await rejects(marker, /no marker/);
  await settle();
  deepStrictEqual(order, ["append 1/1", "sync"]);
  strictEqual(log.calls[2], "append 2/1");
});

Deno.test("AppendQueue.stop() drops what finds no room, and nothing follows it into the log", async () => {
  const { log, queue, clock, fates, work } = setUp();
  log.fullTimes = 2;
  queue.add(work([entry(1)]));
  const marker = queue.runExclusive(() => Promise.resolve());
  queue.stop();
  const idle = queue.untilIdle();
  clock.advance(250);
  await rejects(marker, { code: "disk_full" });
  await idle;
  queue.add(work([entry(2)]));
  await rejects(queue.runExclusive(() => Promise.resolve()), { code: "disk_full" });
  deepStrictEqual([log.calls, fates], [[], []]);
});

Deno.test("AppendQueue.stop() still writes what finds room", async () => {
  const { log, queue, fates, work } = setUp();
  queue.add(work([entry(1)]));
  queue.add(work([entry(2)]));
  queue.stop();
  log.syncs[0]?.resolve();
  await settle();
  log.syncs[1]?.resolve();
  await queue.untilIdle();
  deepStrictEqual(fates, ["durable 1", "durable 2"]);
});

Deno.test("AppendQueue writes large entries in pieces, in their order, and again when the disk was full", async () => {
  const { log, queue, clock, fates, work } = setUp();
  const large = { ...entry(2), payload: new Uint8Array(LARGE_ENTRY_BYTES) };
  log.fullTimes = 1;
  queue.add(work([entry(1), large]));
  queue.add(work([entry(3)]));
  await settle();
  deepStrictEqual([log.calls, queue.isDiskFull, queue.isBusy], [["large"], true, true]);
  clock.advance(250);
  await settle();
  await settle();
  // What came meanwhile goes with it.
  deepStrictEqual(log.calls, ["large", "large", "append 1/1,2/1,3/1", "sync"]);
  deepStrictEqual([queue.isDiskFull, queue.isBusy], [false, true]);
  log.syncs[0]?.resolve();
  await settle();
  deepStrictEqual(fates, ["durable 1,2", "durable 3"]);
  queue.add(work([{ ...large, index: logIndex(4), payload: large.payload.subarray(1) }]));
  deepStrictEqual(log.calls.slice(4), ["append 4/1", "sync"]);
});
