import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { nodeId } from "../base/ids.ts";
import {
  type ConfChange,
  decodeConfChange,
  encodeConfChange,
  isAutoLeave,
  isEnterJoint,
  isLeaveJoint,
  LEAVE_JOINT,
} from "./conf_change.ts";
import { change } from "./test_cluster.ts";

const anyChange: fc.Arbitrary<ConfChange> = fc.record({
  form: fc.constantFrom("single", "joint"),
  transition: fc.constantFrom("auto", "implicit", "explicit"),
  changes: fc.array(
    fc.record({
      type: fc.constantFrom("add_voter", "add_learner", "remove", "update"),
      nodeId: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }).map(nodeId),
    }, { noNullPrototype: true }),
    { maxLength: 5 },
  ),
  context: fc.uint8Array({ maxLength: 20 }),
}, { noNullPrototype: true });

Deno.test("decodeConfChange() reads what encodeConfChange() wrote, the context included", () => {
  fc.assert(fc.property(anyChange, (value) => {
    const decoded = decodeConfChange(encodeConfChange(value));
    ok(decoded !== undefined);
    deepStrictEqual({ ...decoded, context: [...decoded.context] }, {
      ...value,
      context: [...value.context],
    });
  }));
});

Deno.test("decodeConfChange() gives undefined for what is no change, and never throws", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    decodeConfChange(bytes);
  }));
  strictEqual(decodeConfChange(new Uint8Array(0)), undefined);
  const bytes = encodeConfChange(change("v1 v2"));
  strictEqual(decodeConfChange(bytes.subarray(0, bytes.length - 1)), undefined);
  strictEqual(decodeConfChange(bytes.with(0, 9)), undefined);
  strictEqual(decodeConfChange(bytes.with(5, 4)), undefined);
  strictEqual(decodeConfChange(bytes.with(13, 255)), undefined);
});

Deno.test("encodeConfChange() never changes: its bytes are in logs", () => {
  deepStrictEqual([...encodeConfChange(LEAVE_JOINT)], [1, 0, 0, 0, 0]);
  const bytes = encodeConfChange({ ...change("r258", "explicit"), context: Uint8Array.of(7) });
  deepStrictEqual([...bytes], [1, 0, 2, 1, 0, 2, 2, 1, 0, 0, 0, 0, 0, 0, 7]);
});

Deno.test("isEnterJoint(), isAutoLeave(), isLeaveJoint() follow transition and number of changes", () => {
  ok(isLeaveJoint(change("")) && !isLeaveJoint(change("v1")));
  ok(!isEnterJoint(change("v1")) && isEnterJoint(change("v1 v2")));
  ok(isEnterJoint(change("v1", "implicit")) && isEnterJoint(change("", "explicit")));
  ok(isAutoLeave(change("v1 v2")) && isAutoLeave(change("v1", "implicit")));
  ok(!isAutoLeave(change("v1 v2", "explicit")) && !isAutoLeave(change("v1")));
});
