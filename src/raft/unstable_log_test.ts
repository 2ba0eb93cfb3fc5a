import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { term } from "../base/ids.ts";
import { votersOnly } from "./configuration.ts";
import { at, entry } from "./test_cluster.ts";
import type { TraceEvent } from "./trace.ts";
import { UnstableLog } from "./unstable_log.ts";

function make(): { log: UnstableLog; trace: TraceEvent[] } {
  const trace: TraceEvent[] = [];
  const log = new UnstableLog({ lastIndex: at(4), trace: (event) => trace.push(event) });
  return { log, trace };
}

function position(
  index: number,
  ofTerm: number,
): { index: ReturnType<typeof at>; term: ReturnType<typeof term> } {
  return { index: at(index), term: term(ofTerm) };
}

const SNAPSHOT = { ...position(9, 2), configuration: votersOnly([1]) };

Deno.test("UnstableLog.stableTo() drops what an acknowledgement names, in the same term only", () => {
  const { log, trace } = make();
  log.truncateAndAppend([entry(5, 1), entry(6, 1), entry(7, 1)]);
  log.acceptInProgress();
  log.stableTo(position(6, 1));
  strictEqual(log.offset, 7);
  strictEqual(log.count, 1);
  log.stableTo(position(7, 2));
  strictEqual(log.offset, 7);
  log.stableTo(position(5, 1));
  log.stableTo(position(8, 1));
  deepStrictEqual(trace.map((event) => event.kind), [
    "acknowledgement_mismatched",
    "acknowledgement_missing",
    "acknowledgement_missing",
  ]);
});

Deno.test("UnstableLog.truncateAndAppend() hands out again whatever was overwritten", () => {
  const { log } = make();
  log.truncateAndAppend([entry(5, 1), entry(6, 1), entry(7, 1)]);
  log.acceptInProgress();
  log.truncateAndAppend([entry(6, 2)]);
  strictEqual(log.lastIndex, 6);
  strictEqual(log.offsetInProgress, 6);
  deepStrictEqual(log.newEntries(), [entry(6, 2)]);
  log.truncateAndAppend([entry(3, 3), entry(4, 3)]);
  strictEqual(log.offset, 3);
  deepStrictEqual(log.newEntries(), [entry(3, 3), entry(4, 3)]);
  throws(() => log.truncateAndAppend([entry(6, 3)]), /gap/);
});

Deno.test("UnstableLog never changes what it has handed out", () => {
  const { log } = make();
  log.truncateAndAppend([entry(5, 1), entry(6, 1)]);
  const handed = log.newEntries();
  log.acceptInProgress();
  log.truncateAndAppend([entry(5, 2)]);
  log.truncateAndAppend([entry(6, 2)]);
  deepStrictEqual(handed, [entry(5, 1), entry(6, 1)]);
});

Deno.test("UnstableLog.restore() puts a snapshot in place of all entries until it is installed", () => {
  const { log, trace } = make();
  log.truncateAndAppend([entry(5, 1)]);
  log.restore(SNAPSHOT);
  strictEqual(log.lastIndex, 9);
  strictEqual(log.term(at(9)), 2);
  strictEqual(log.term(at(5)), undefined);
  strictEqual(log.newSnapshot(), SNAPSHOT);
  log.acceptInProgress();
  strictEqual(log.newSnapshot(), undefined);
  log.stableTo(position(9, 2));
  strictEqual(trace.at(-1)?.kind, "acknowledgement_of_snapshot");
  log.stableSnapshotTo(at(8));
  strictEqual(log.snapshot, SNAPSHOT);
  log.stableSnapshotTo(at(9));
  strictEqual(log.snapshot, undefined);
  strictEqual(log.offset, 10);
});

Deno.test("UnstableLog.stableSnapshotTo() keeps a second snapshot that came meanwhile", () => {
  const { log } = make();
  log.restore(SNAPSHOT);
  log.acceptInProgress();
  const second = { ...SNAPSHOT, index: at(12) };
  log.restore(second);
  log.stableSnapshotTo(at(9));
  strictEqual(log.newSnapshot(), second);
});

Deno.test("UnstableLog.slice() gives at least one entry, then while they fit", () => {
  const { log } = make();
  log.truncateAndAppend([entry(5, 1), entry(6, 1), entry(7, 1)]);
  const whole = { from: at(5), to: at(8) };
  strictEqual(log.slice({ ...whole, sizeBytesMax: 0 }).length, 1);
  strictEqual(log.slice({ ...whole, sizeBytesMax: 2 * 27 }).length, 2);
  strictEqual(log.slice({ ...whole, sizeBytesMax: 2 * 27 - 1 }).length, 1);
  ok(log.hasNewEntries);
  throws(() => log.slice({ from: at(4), to: at(6), sizeBytesMax: 0 }), /before/);
});
