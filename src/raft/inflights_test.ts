import { ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { Inflights } from "./inflights.ts";
import { at } from "./test_cluster.ts";

Deno.test("Inflights behaves as a plain list with limits", () => {
  const actions = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant("add" as const), sizeBytes: fc.integer({ min: 0, max: 9 }) }),
      fc.record({ kind: fc.constant("free" as const), upTo: fc.integer({ min: 0, max: 60 }) }),
    ),
    { maxLength: 60 },
  );
  fc.assert(fc.property(actions, (list) => {
    const inflights = new Inflights({ countMax: 12, sizeBytesMax: 40 });
    let naive: { last: number; sizeBytes: number }[] = [];
    let last = 0;
    for (const action of list) {
      if (action.kind === "free") {
        inflights.freeTo(at(action.upTo));
        naive = naive.filter((append) => append.last > action.upTo);
      } else if (!inflights.isFull) {
        last++;
        inflights.add({ last: at(last), sizeBytes: action.sizeBytes });
        naive.push({ last, sizeBytes: action.sizeBytes });
      }
      const sizeBytes = naive.reduce((sum, append) => sum + append.sizeBytes, 0);
      strictEqual(inflights.count, naive.length);
      strictEqual(inflights.sizeBytes, sizeBytes);
      strictEqual(inflights.isFull, naive.length >= 12 || sizeBytes >= 40);
    }
  }));
});

Deno.test("Inflights.add() lets the last append pass the limit on bytes, and none after it", () => {
  const inflights = new Inflights({ countMax: 9, sizeBytesMax: 10 });
  inflights.add({ last: at(1), sizeBytes: 9 });
  ok(!inflights.isFull);
  inflights.add({ last: at(2), sizeBytes: 100 });
  ok(inflights.isFull);
  throws(() => inflights.add({ last: at(3), sizeBytes: 0 }), /full/);
  inflights.reset();
  ok(!inflights.isFull);
  strictEqual(inflights.sizeBytes, 0);
});
