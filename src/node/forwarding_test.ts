import { deepStrictEqual, rejects } from "node:assert/strict";
import { type ErrorCode, OperatingError } from "../base/errors.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { Forwarding } from "./forwarding.ts";
import { FORWARD_RETRY_MS } from "./limits.ts";
import type { Node } from "./node.ts";
import { settle, writePayload } from "./testing.ts";

const LEADER = {
  nodeId: 2,
  incarnation: new Uint8Array(16),
  name: "n2",
  raftAddress: "h:1",
  apiUrl: "http://h:2",
  isReadOnly: false,
};

/** A node that follows node 2, as far as forwarding looks at it. */
function follower(): Node {
  return {
    id: 1,
    isLeader: false,
    untilLeader: () => Promise.resolve(LEADER.nodeId),
    onceOtherLeader: () => () => {},
    loop: { members: { nextNodeId: 3, members: [LEADER] } },
  } as unknown as Node;
}

/** Passes on a write with its client's own name, which is answered with `codes`, one after the other. */
async function passOn(codes: readonly ErrorCode[]): Promise<number> {
  const clock = new FakeClock();
  let attempts = 0;
  const forwarding = new Forwarding({
    node: follower(),
    clock,
    calls: {
      forward: () => {
        const code = codes[attempts++] ?? "internal";
        return Promise.reject(new OperatingError(code, code));
      },
    },
    bootNonce: new Uint8Array(8),
    onBug: (error) => {
      throw error;
    },
  });
  const write = { payload: writePayload(), format: 0, isNamed: true, timeoutMs: 10_000 };
  const code = codes.at(-1);
  const isLost = codes.includes("outcome_unknown");
  const answer = rejects(forwarding.write(write), { code: isLost ? "outcome_unknown" : code });
  for (let turn = 0; turn < codes.length; turn++) {
    await settle();
    clock.advance(FORWARD_RETRY_MS);
  }
  await answer;
  return attempts;
}

Deno.test("Forwarding.write() does not call refused what an earlier attempt may have done (X1, X2)", async () => {
  for (const code of ["overloaded", "disk_full", "timeout", "keys_full"] as const) {
    deepStrictEqual(await passOn(["outcome_unknown", code]), 2, code);
    deepStrictEqual(await passOn(["not_leader", code]), 2, code);
  }
});
