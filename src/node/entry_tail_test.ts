import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { logIndex, term } from "../base/ids.ts";
import { EntryTail } from "./entry_tail.ts";
import type { LogEntry } from "./ports.ts";

function entry(index: number, options: { size?: number; term?: number } = {}): LogEntry {
  return {
    index: logIndex(index),
    term: term(options.term ?? 1),
    kind: "normal",
    payload: new Uint8Array(options.size ?? 1),
  };
}

const ALL = { countMax: 100, sizeBytesMax: 1000 };

function indexes(entries: readonly LogEntry[]): number[] {
  return entries.map((each) => each.index);
}

Deno.test("EntryTail.slice() gives what is held and nothing when the range begins before it", () => {
  const tail = new EntryTail({ from: logIndex(5), sizeBytesMax: 100 });
  tail.add([entry(5), entry(6), entry(7)]);
  deepStrictEqual(indexes(tail.slice({ from: logIndex(5), to: logIndex(8), ...ALL })), [5, 6, 7]);
  deepStrictEqual(indexes(tail.slice({ from: logIndex(6), to: logIndex(7), ...ALL })), [6]);
  deepStrictEqual(indexes(tail.slice({ from: logIndex(4), to: logIndex(8), ...ALL })), []);
  deepStrictEqual(indexes(tail.slice({ from: logIndex(8), to: logIndex(9), ...ALL })), []);
});

Deno.test("EntryTail.slice() stops at the count and the size, but gives one large entry", () => {
  const tail = new EntryTail({ from: logIndex(1), sizeBytesMax: 1000 });
  tail.add([entry(1, { size: 50 }), entry(2, { size: 5 }), entry(3, { size: 5 })]);
  const range = { from: logIndex(1), to: logIndex(4) };
  deepStrictEqual(indexes(tail.slice({ ...range, countMax: 2, sizeBytesMax: 1000 })), [1, 2]);
  deepStrictEqual(indexes(tail.slice({ ...range, countMax: 9, sizeBytesMax: 10 })), [1]);
  deepStrictEqual(indexes(tail.slice({ ...range, countMax: 9, sizeBytesMax: 55 })), [1, 2]);
});

Deno.test("EntryTail.add() replaces a conflicting suffix, also from before its start", () => {
  const tail = new EntryTail({ from: logIndex(5), sizeBytesMax: 100 });
  tail.add([entry(5), entry(6), entry(7)]);
  tail.add([entry(6, { term: 2 })]);
  strictEqual(tail.to, 7);
  strictEqual(tail.slice({ from: logIndex(6), to: logIndex(7), ...ALL })[0]?.term, 2);
  tail.add([entry(3, { term: 3 })]);
  deepStrictEqual([tail.from, tail.to], [3, 4]);
});

Deno.test("EntryTail.add() refuses a gap and keeps only the newest past its size", () => {
  const tail = new EntryTail({ from: logIndex(1), sizeBytesMax: 10 });
  throws(() => tail.add([entry(2)]), /gap/);
  tail.add([entry(1, { size: 6 })]);
  tail.add([entry(2, { size: 6 })]);
  deepStrictEqual([tail.from, tail.to], [2, 3]);
});

Deno.test("EntryTail.dropBefore() keeps the size right", () => {
  const tail = new EntryTail({ from: logIndex(1), sizeBytesMax: 10 });
  tail.add([entry(1, { size: 6 }), entry(2, { size: 4 })]);
  tail.dropBefore(logIndex(2));
  tail.add([entry(3, { size: 6 })]);
  deepStrictEqual([tail.from, tail.to], [2, 4]);
});
