/**
 * The watch over the writer (rule A4b): what is stuck is told from what is long, from what waits outside
 * of entries, and from a process that was stopped itself; and whom a start finds on record is not run.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { logIndex } from "../base/ids.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { TemporaryFolder } from "../sqlite/testing.ts";
import { EntryWatch, Watchdog } from "./entry_watch.ts";
import { STUCK_LOOK_MS, STUCK_LOOKS_MAX } from "./limits.ts";
import { readStuckIndex, writeStuckIndex } from "./state_folders.ts";
import { StateMachine } from "./state_machine.ts";
import { createTestState, entry, testLiveState } from "./testing.ts";

/** A pattern that is compared with each part of a text: some seconds, in one step of SQLite's. */
const ONE_LONG_STEP =
  "INSERT INTO t SELECT printf('%.*c', 500000, 'a') LIKE '%' || printf('%.*c', 4000, 'a') || 'b'";

Deno.test("Watchdog tells a writer that does not get on within an entry, once", () => {
  const memory = EntryWatch.allocate();
  const watch = new EntryWatch(memory);
  const clock = new FakeClock();
  const stuck: number[] = [];
  const watchdog = new Watchdog({ memory, clock, onStuck: (index) => stuck.push(index) });
  const pass = (looks: number, work: () => void = () => {}): void => {
    for (let look = 0; look < looks; look++) {
      clock.advance(STUCK_LOOK_MS);
      work();
    }
  };
  pass(2 * STUCK_LOOKS_MAX);
  watch.enter(2 ** 40);
  pass(2 * STUCK_LOOKS_MAX, () => watch.beat());
  pass(STUCK_LOOKS_MAX - 1);
  watch.enter(0);
  pass(2 * STUCK_LOOKS_MAX);
  watch.enter(7);
  pass(STUCK_LOOKS_MAX);
  deepStrictEqual(stuck, []);
  pass(2 * STUCK_LOOKS_MAX);
  deepStrictEqual(stuck, [7]);
  watchdog.stop();
});

interface Place {
  readonly path: string;
  readonly dataDirectory: string;
  readonly failures: unknown[];
}

function start(
  { path, dataDirectory, failures }: Place,
  watchdog?: { readonly lookMs: number; readonly looksMax: number },
): Promise<StateMachine> {
  return StateMachine.start({
    live: testLiveState({ path, dataDirectory }),
    readers: 1,
    clock: new DenoClock(),
    watchdog,
    onFatal: (error) => failures.push(error),
  });
}

Deno.test("An entry that nothing interrupts is recorded and ends the process; the next start has it voided unrun (A4b)", async () => {
  using folder = new TemporaryFolder();
  const dataDirectory = folder.path;
  Deno.mkdirSync(`${dataDirectory}/state`);
  const place = { path: folder.file("db.sqlite"), dataDirectory, failures: [] as unknown[] };
  createTestState(place.path);
  const stuck = await start(place, { lookMs: 20, looksMax: 10 });
  strictEqual((await stuck.apply([entry(2, ["CREATE TABLE t(a)"])])).appliedIndex, 2);
  const entries = [entry(3, ["INSERT INTO t VALUES(1)"]), entry(4, [ONE_LONG_STEP])];
  // Here it comes back after all, since a test cannot end its process.
  const outcome = await stuck.apply(entries);
  const onRecord = outcome.appliedIndex === 4 ? readStuckIndex(dataDirectory) : undefined;
  await stuck.close();
  strictEqual(place.failures.length, 1);
  match(String(place.failures[0]), /Cannot end entry 4/);
  strictEqual(onRecord, 4);
});

Deno.test("An entry on record waits for its verdict unrun, and is forgotten once no start meets it again (A4b)", async () => {
  using folder = new TemporaryFolder();
  const dataDirectory = folder.path;
  Deno.mkdirSync(`${dataDirectory}/state`);
  const place = { path: folder.file("db.sqlite"), dataDirectory, failures: [] as unknown[] };
  createTestState(place.path);
  writeStuckIndex(dataDirectory, 4);
  const machine = await start(place);
  const entries = [
    entry(2, ["CREATE TABLE t(a)"]),
    entry(3, ["INSERT INTO t VALUES(1)"]),
    entry(4, ["INSERT INTO t VALUES(2)"]),
    entry(5, ["INSERT INTO t VALUES(3)"]),
  ];
  const parked = await machine.apply(entries);
  deepStrictEqual([parked.appliedIndex, parked.parked?.index], [3, 4]);
  const { ended, reason } = await machine.tryParked(logIndex(4));
  deepStrictEqual([ended, reason], [false, "statement was ended: nothing could interrupt it"]);
  strictEqual(readStuckIndex(dataDirectory), 4);
  machine.verdict({ index: logIndex(4), verdict: "void", reason });
  const after = await machine.apply(entries.slice(2));
  deepStrictEqual(after.results, [
    `[{"error":"${reason}"}]`,
    '[{"last_insert_id":2,"rows_affected":1}]',
  ]);
  strictEqual(readStuckIndex(dataDirectory), 4, "a crash may bring it back");
  const { generation } = await machine.snapshot();
  strictEqual(readStuckIndex(dataDirectory), 4, "the log does not name it yet");
  await machine.releaseGenerations(generation);
  strictEqual(readStuckIndex(dataDirectory), 0);
  await machine.close();
  deepStrictEqual(place.failures, []);
  const again = await start(place);
  ok(again.applied.index === 5);
  await again.close();
});
