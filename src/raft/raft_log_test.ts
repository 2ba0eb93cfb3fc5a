import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { term } from "../base/ids.ts";
import { FatalError } from "../base/errors.ts";
import { MemoryStorage } from "./memory_storage.ts";
import { RaftLog } from "./raft_log.ts";
import { votersOnly } from "./configuration.ts";
import { at, entry } from "./test_cluster.ts";

function storageWith(terms: readonly number[], compactTo = 0): MemoryStorage {
  const storage = new MemoryStorage();
  storage.append(terms.map((own, i) => entry(i + 1, own)));
  if (compactTo > 0) storage.compact(at(compactTo));
  return storage;
}

function make(
  storage: MemoryStorage,
  options: { applied?: number; commit?: number } = {},
): RaftLog {
  return new RaftLog({
    storage,
    trace: undefined,
    applySizeBytesMax: Number.POSITIVE_INFINITY,
    mayApplyUnstable: false,
    applied: at(options.applied ?? 0),
    commit: at(options.commit ?? 0),
  });
}

Deno.test("RaftLog starts at the larger of stored commit index and applied index (rule D2)", () => {
  strictEqual(make(storageWith([1, 1, 1]), { applied: 2, commit: 1 }).commit, 2);
  strictEqual(make(storageWith([1, 1, 1]), { applied: 1, commit: 3 }).commit, 3);
});

Deno.test("RaftLog refuses to start with entries missing between state, commit index and log (rule D4)", () => {
  throws(() => make(storageWith([1, 1]), { applied: 3 }), FatalError);
  throws(() => make(storageWith([1, 1]), { commit: 3 }), FatalError);
  throws(() => make(storageWith([1, 1, 1], 2), { applied: 1 }), FatalError);
  strictEqual(make(storageWith([1, 1, 1], 2), { applied: 2 }).firstIndex, 3);
});

Deno.test("RaftLog.term() knows the place before the first entry and nothing outside", () => {
  const log = make(storageWith([1, 2, 3], 2), { applied: 2 });
  deepStrictEqual([1, 2, 3, 4].map((index) => log.term(at(index))), [undefined, 2, 3, undefined]);
});

Deno.test("RaftLog.entries() crosses from storage into the unstable part", () => {
  const log = make(storageWith([1, 1]));
  log.append([entry(3, 2), entry(4, 2)]);
  const all = log.entries({ from: at(1), to: at(5), sizeBytesMax: 1000 });
  ok(typeof all !== "string");
  deepStrictEqual(all.map((one) => one.index), [1, 2, 3, 4]);
  const three = log.entries({ from: at(1), to: at(5), sizeBytesMax: 3 * 27 });
  ok(typeof three !== "string");
  strictEqual(three.length, 3);
  const compacted = make(storageWith([1, 1, 1], 2), { applied: 2 });
  strictEqual(compacted.entries({ from: at(2), to: at(4), sizeBytesMax: 9 }), "compacted");
});

Deno.test("RaftLog prefers unstable entries over what storage still holds at their place", () => {
  const log = make(storageWith([1, 1, 1]));
  log.append([entry(2, 2)]);
  strictEqual(log.lastIndex, 2);
  strictEqual(log.term(at(2)), 2);
  strictEqual(log.term(at(3)), undefined);
});

Deno.test("RaftLog.findConflictByTerm() skips whole terms downwards", () => {
  const log = make(storageWith([1, 1, 3, 3, 5, 5]));
  const find = (index: number, own: number): unknown =>
    log.findConflictByTerm({ index: at(index), term: term(own) });
  deepStrictEqual(find(6, 5), { index: 6, term: 5 });
  deepStrictEqual(find(6, 4), { index: 4, term: 3 });
  deepStrictEqual(find(6, 2), { index: 2, term: 1 });
  deepStrictEqual(find(6, 0), { index: 0, term: 0 });
});

Deno.test("RaftLog hands nothing out for apply while a snapshot is pending", () => {
  const log = make(storageWith([1, 1, 1]), { commit: 2 });
  ok(log.hasNextToApply);
  log.restore({ index: at(9), term: term(2), configuration: votersOnly([1]) });
  ok(!log.hasNextToApply);
  deepStrictEqual(log.nextToApply(), []);
});

Deno.test("RaftLog.acceptApplying() goes on at once when storage merely gave fewer entries than fit", () => {
  const storage = storageWith([1, 1, 1, 1]);
  const log = make(storage, { commit: 4 });
  const two = log.nextToApply().slice(0, 2);
  log.acceptApplying(two);
  ok(log.hasNextToApply);
  deepStrictEqual(log.nextToApply().map((one) => one.index), [3, 4]);
});

Deno.test("RaftLog.appliedTo() never moves back and never passes the commit index", () => {
  const log = make(storageWith([1, 1, 1]), { commit: 2 });
  log.appliedTo({ index: at(2), entries: [] });
  throws(() => log.appliedTo({ index: at(1), entries: [] }), /moves back/);
  throws(() => log.appliedTo({ index: at(3), entries: [] }), /not committed/);
});
