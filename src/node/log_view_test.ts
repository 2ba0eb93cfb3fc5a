import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { FatalError } from "../base/errors.ts";
import { logIndex, nodeId, term } from "../base/ids.ts";
import type { EntriesAnswer } from "../raft/log_storage.ts";
import { EntryTail } from "./entry_tail.ts";
import { LogView } from "./log_view.ts";
import { memoryEntry, MemoryLog } from "./testing.ts";

interface Parts {
  readonly log: MemoryLog;
  readonly view: LogView;
  readonly tail: EntryTail;
  /** What was told of. */
  readonly damage: string[];
}

/** A log of entries 2 to `last` in term 1, of which the tail in memory has nothing. */
function setUp(last: number, { applied = last } = {}): Parts {
  const log = new MemoryLog();
  const tail = new EntryTail({ from: logIndex(last + 1), sizeBytesMax: 1_000_000 });
  write(log, { from: 2, to: last + 1, entryTerm: 1 });
  const damage: string[] = [];
  const view = new LogView({
    ...{ log, tail, peers: undefined },
    appliedIndex: () => logIndex(applied),
    onDamage: (text) => damage.push(text),
  });
  return { log, tail, view, damage };
}

function write(
  log: MemoryLog,
  options: { readonly from: number; readonly to: number; readonly entryTerm: number },
): void {
  const entries = [];
  for (let index = options.from; index < options.to; index++) {
    entries.push(memoryEntry(index, { term: options.entryTerm }));
  }
  const hardState = { term: term(options.entryTerm), vote: nodeId(0), commit: logIndex(1) };
  log.append({ entries, hardState });
}

function range(from: number, to: number): Parameters<LogView["entries"]>[0] {
  return { from: logIndex(from), to: logIndex(to), sizeBytesMax: 1_000_000 };
}

function places(answer: EntriesAnswer): string {
  return typeof answer === "string"
    ? answer
    : answer.map(({ index, term }) => `${index}/${term}`).join(" ");
}

Deno.test("LogView gives entries of the tail at once, and those on disk after a fetch", async () => {
  const { log, view, tail } = setUp(4);
  strictEqual(places(view.entries(range(2, 5))), "unavailable");
  await view.fetchNext();
  strictEqual(view.fetchNext(), undefined);
  strictEqual(places(view.entries(range(2, 5))), "2/1 3/1 4/1");
  write(log, { from: 5, to: 6, entryTerm: 1 });
  tail.add([memoryEntry(5)]);
  strictEqual(places(view.entries(range(5, 6))), "5/1");
  strictEqual(log.readCount, 1);
});

Deno.test("LogView.fetchNext() reads one range at a time, each once however often it is asked for", async () => {
  const { log, view } = setUp(9);
  strictEqual(view.entries(range(2, 5)), "unavailable");
  const reading = view.fetchNext();
  // Each heartbeat's answer asks again.
  for (let answer = 0; answer < 3; answer++) {
    strictEqual(view.entries(range(2, 6)), "unavailable");
    strictEqual(view.entries(range(6, 8)), "unavailable");
    strictEqual(view.fetchNext(), undefined);
  }
  await reading;
  strictEqual(places(view.entries(range(2, 5))), "2/1 3/1 4/1");
  await view.fetchNext();
  strictEqual(places(view.entries(range(6, 8))), "6/1 7/1");
  deepStrictEqual([view.fetchNext(), log.readCount], [undefined, 2]);
});

Deno.test("LogView.fetchNext() has two slow readers take turns", async () => {
  const { view } = setUp(9);
  const asked = [2, 6];
  const given: number[] = [];
  for (let turn = 0; turn < 6; turn++) {
    for (const [reader, from = 0] of asked.entries()) {
      if (view.entries({ ...range(from, from + 1) }) === "unavailable") continue;
      given.push(reader);
      asked[reader] = from + 1;
      view.entries(range(from + 1, from + 2));
    }
    await view.fetchNext();
  }
  deepStrictEqual(given, [0, 1, 0, 1, 0]);
});

Deno.test("LogView says what is compacted", () => {
  const { log, view } = setUp(9);
  log.entries = log.entries.slice(3);
  log.firstIndex = logIndex(5);
  strictEqual(view.entries(range(4, 6)), "compacted");
  deepStrictEqual([view.fetchNext(), view.firstIndex, view.lastIndex], [undefined, 5, 9]);
});

Deno.test("LogView gives no entry that was replaced since it was read back (Raft figure 7)", async () => {
  const { log, view } = setUp(6);
  await view.fetch(range(2, 7));
  write(log, { from: 4, to: 8, entryTerm: 2 });
  strictEqual(places(view.entries(range(4, 8))), "unavailable");
  await view.fetch(range(2, 8));
  strictEqual(places(view.entries(range(2, 8))), "2/1 3/1 4/2 5/2 6/2 7/2");
});

Deno.test("LogView.fetch() asks for nothing that the log has lost since", async () => {
  const { log, view } = setUp(9);
  write(log, { from: 4, to: 5, entryTerm: 2 });
  await view.fetch(range(3, 10));
  strictEqual(places(view.entries(range(3, 5))), "3/1 4/2");
  await view.fetch(range(6, 10));
  strictEqual(log.readCount, 1);
});

Deno.test("LogView.dropBefore() forgets what is applied, skipTo() what a snapshot replaced", async () => {
  const { view, tail } = setUp(6);
  await view.fetch(range(2, 7));
  view.dropBefore(logIndex(4));
  strictEqual(places(view.entries(range(2, 7))), "unavailable");
  strictEqual(places(view.entries(range(4, 7))), "4/1 5/1 6/1");
  view.skipTo(logIndex(20));
  deepStrictEqual([tail.from, tail.to], [21, 21]);
});

Deno.test("LogView.fetchNext() tells of damage in what is applied, and not the engine (D2)", async () => {
  const { log, view, damage } = setUp(9, { applied: 6 });
  log.damagedIndex = 4;
  strictEqual(view.entries(range(3, 10)), "unavailable");
  deepStrictEqual([await view.fetchNext(), damage], [false, ["entry 4"]]);
  // Nothing is read until the engine asks again.
  deepStrictEqual([view.fetchNext(), log.readCount], [undefined, 1]);
  strictEqual(view.entries(range(5, 7)), "unavailable");
  const isToBeTold = await view.fetchNext();
  deepStrictEqual([isToBeTold, places(view.entries(range(5, 7)))], [true, "5/1 6/1"]);
  log.firstIndex = logIndex(6);
  strictEqual(view.entries(range(3, 10)), "compacted");
});

Deno.test("LogView.fetchNext() reads nothing for a peer that is not applied, and damage there is the node's end", async () => {
  const { log, view, damage } = setUp(9, { applied: 6 });
  log.damagedIndex = 7;
  strictEqual(view.entries(range(3, 10)), "unavailable");
  const isToBeTold = await view.fetchNext();
  deepStrictEqual([isToBeTold, places(view.entries(range(3, 10)))], [true, "3/1 4/1 5/1 6/1"]);
  strictEqual(view.entries(range(7, 10)), "unavailable");
  await rejects(view.fetchNext() ?? Promise.resolve(), FatalError);
  deepStrictEqual(damage, []);
});
