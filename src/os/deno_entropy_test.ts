import { notDeepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { DenoEntropy } from "./deno_entropy.ts";

Deno.test("DenoEntropy.bytes() gives as many as asked, other ones each time", () => {
  const entropy = new DenoEntropy();
  strictEqual(entropy.bytes(0).length, 0);
  notDeepStrictEqual(entropy.bytes(32), entropy.bytes(32));
  throws(() => entropy.bytes(65_537), { name: "AssertionError" });
});

Deno.test("DenoEntropy.below() reaches every value below the limit and none above", () => {
  const entropy = new DenoEntropy();
  const seen = new Set<number>();
  // A value is missed once in 3 * (2/3)^400 runs.
  for (let round = 0; round < 400; round++) seen.add(entropy.below(3));
  strictEqual([...seen].sort().join(), "0,1,2");
  strictEqual(entropy.below(1), 0);
  ok(entropy.below(2 ** 32) < 2 ** 32);
  throws(() => entropy.below(0), { name: "AssertionError" });
  throws(() => entropy.below(2 ** 32 + 1), { name: "AssertionError" });
});
