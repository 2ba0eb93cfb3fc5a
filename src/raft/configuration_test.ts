import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { nodeId } from "../base/ids.ts";
import {
  ascending,
  assertConfiguration,
  configurationText,
  decodeConfiguration,
  EMPTY_CONFIGURATION,
  encodeConfiguration,
  votersOnly,
} from "./configuration.ts";
import {} from "./test_cluster.ts";

const ids = fc.array(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { maxLength: 9 })
  .map((list) => ascending(list.map(nodeId)));
const configuration = fc.record({
  voters: ids,
  votersOutgoing: ids,
  learners: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
}, { noNullPrototype: true });

Deno.test("decodeConfiguration() reads what encodeConfiguration() wrote, and no prefix of it", () => {
  fc.assert(fc.property(configuration, (value) => {
    const bytes = encodeConfiguration(value);
    deepStrictEqual(decodeConfiguration(bytes), value);
    for (let length = 0; length < bytes.length; length++) {
      strictEqual(decodeConfiguration(bytes.subarray(0, length)), undefined);
    }
    strictEqual(decodeConfiguration(new Uint8Array([...bytes, 0])), undefined);
  }));
});

Deno.test("encodeConfiguration() never changes: its bytes are on disks", () => {
  const value = { ...votersOnly([1, 258]), autoLeave: false };
  deepStrictEqual(
    [...encodeConfiguration(value)],
    [1, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  );
});

Deno.test("decodeConfiguration() refuses other versions, zero ids and ids out of order", () => {
  const bytes = encodeConfiguration(votersOnly([1, 2]));
  strictEqual(decodeConfiguration(bytes.with(0, 2)), undefined);
  strictEqual(decodeConfiguration(bytes.with(1, 2)), undefined);
  strictEqual(decodeConfiguration(bytes.with(4, 0)), undefined);
  strictEqual(decodeConfiguration(bytes.with(4, 2)), undefined);
});

Deno.test("configurationText() names ids in hex and joint halves in order", () => {
  const value = {
    voters: [2, 3, 16].map(nodeId),
    votersOutgoing: [1, 2].map(nodeId),
    learners: [nodeId(10)],
    learnersNext: [nodeId(1)],
    autoLeave: true,
  };
  strictEqual(
    configurationText(value),
    "voters=(2 3 10)&&(1 2) learners=(a) learners_next=(1) autoleave",
  );
  strictEqual(configurationText(EMPTY_CONFIGURATION), "voters=()");
});

Deno.test("assertConfiguration() refuses lists that contradict each other", () => {
  const one = [nodeId(1)];
  throws(() => assertConfiguration({ ...votersOnly([1]), learners: one }), /a learner is a voter/);
  throws(() => assertConfiguration({ ...votersOnly([1]), learnersNext: one }), /outgoing/);
  throws(() => assertConfiguration({ ...votersOnly([1]), autoLeave: true }), /autoLeave/);
  throws(
    () => assertConfiguration({ ...votersOnly([1]), learners: [nodeId(3), nodeId(2)] }),
    /order|ascending/,
  );
});
