import { deepStrictEqual, ok } from "node:assert/strict";
import type { EntriesAnswer, EntriesRange } from "./log_storage.ts";
import { at, entry } from "./test_cluster.ts";
import type { Entry } from "./types.ts";
import { UnappliedChanges } from "./unapplied_changes.ts";

function changeAt(index: number): Entry {
  return { ...entry(index, 1), kind: "conf_change" };
}

function never(): EntriesAnswer {
  throw new Error("nothing to read");
}

Deno.test("UnappliedChanges notes what is appended, forgets what is applied or overwritten, reads nothing", () => {
  const changes = new UnappliedChanges({ applied: at(4), lastIndex: at(4) });
  changes.appended([entry(5, 1), changeAt(6), entry(7, 1), changeAt(8)]);
  ok(!changes.mayBeUpTo(at(5), never));
  ok(changes.mayBeUpTo(at(6), never));
  changes.applied(at(6));
  ok(!changes.mayBeUpTo(at(7), never));
  ok(changes.mayBeUpTo(at(8), never));
  changes.appended([entry(8, 2)]);
  ok(!changes.mayBeUpTo(at(8), never));
  changes.appended([changeAt(9)]);
  changes.restored();
  ok(!changes.mayBeUpTo(at(20), never));
});

Deno.test("UnappliedChanges reads once what storage held at the start, and no more than is committed", () => {
  const asked: number[] = [];
  let isSlow = false;
  const read = ({ from, to }: EntriesRange): EntriesAnswer => {
    if (isSlow) return "unavailable";
    asked.push(from);
    const end = Math.min(to, from + 2);
    return Array.from(
      { length: end - from },
      (_, i) => from + i === 7 ? changeAt(7) : entry(from + i, 1),
    );
  };
  const changes = new UnappliedChanges({ applied: at(2), lastIndex: at(9) });
  ok(!changes.mayBeUpTo(at(5), read));
  deepStrictEqual(asked, [3, 5]);
  isSlow = true;
  ok(!changes.mayBeUpTo(at(5), read));
  ok(changes.mayBeUpTo(at(6), read));
  isSlow = false;
  ok(!changes.mayBeUpTo(at(6), read));
  ok(changes.mayBeUpTo(at(9), read));
  deepStrictEqual(asked, [3, 5, 6, 7, 9]);
  changes.applied(at(7));
  ok(!changes.mayBeUpTo(at(9), never));
});

Deno.test("UnappliedChanges does not read what was overwritten since the start", () => {
  const changes = new UnappliedChanges({ applied: at(2), lastIndex: at(9) });
  changes.appended([entry(3, 2)]);
  ok(!changes.mayBeUpTo(at(3), never));
});
