import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import type { MemberRow } from "../command/member_table.ts";
import type { Answer } from "../command/request.ts";
import { answerWrites, ForwardedWrites, type WriteInCall } from "./forwarded_writes.ts";
import { FORWARD_CALLS_MAX } from "./limits.ts";

const LEADER: MemberRow = {
  nodeId: 1,
  incarnation: new Uint8Array(16),
  name: "n1",
  raftAddress: "h:1",
  apiUrl: "http://h:2",
  isReadOnly: false,
};

interface Call {
  readonly writes: readonly WriteInCall[];
  readonly body: Uint8Array;
  readonly settle: PromiseWithResolvers<Answer>;
}

function setUp(): { readonly writes: ForwardedWrites; readonly calls: Call[] } {
  const calls: Call[] = [];
  const writes = new ForwardedWrites({
    carry: (_leader, call) => {
      const settle = Promise.withResolvers<Answer>();
      calls.push({ ...call, settle });
      return settle.promise;
    },
    onBug: (error) => {
      throw error;
    },
  });
  return { writes, calls };
}

function send(writes: ForwardedWrites, byte: number): Promise<Answer> {
  return writes.send(LEADER, { payload: Uint8Array.of(byte), format: byte, timeoutMs: 1000 });
}

/** Lets what is due in this turn happen. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function answer(call: Call | undefined): Promise<void> {
  if (call === undefined) throw new Error("no such call");
  const body = Uint8Array.from(call.body);
  const results = await answerWrites({ writes: call.writes, body }, (payload) => {
    const [byte = 0] = payload;
    if (byte > 9) throw new OperatingError("key_reused", `not ${byte}`);
    return Promise.resolve({ results: `[${byte}]`, index: byte });
  });
  call.settle.resolve({ results, raftIndex: 0 });
  await turn();
}

Deno.test("ForwardedWrites sends together what comes together, and each gets its own answer", async () => {
  const { writes, calls } = setUp();
  const sent = [send(writes, 1), send(writes, 20), send(writes, 3)];
  const refused = rejects(sent[1] ?? Promise.resolve(), { code: "key_reused", message: "not 20" });
  await turn();
  strictEqual(calls.length, 1);
  await answer(calls[0]);
  deepStrictEqual(await sent[0], { results: "[1]", raftIndex: 1 });
  deepStrictEqual(await sent[2], { results: "[3]", raftIndex: 3 });
  await refused;
});

Deno.test("ForwardedWrites keeps few calls under way, and gathers meanwhile", async () => {
  const { writes, calls } = setUp();
  const sent: Promise<Answer>[] = [];
  for (let byte = 1; byte <= 9; byte++) {
    sent.push(send(writes, byte));
    await turn();
  }
  strictEqual(calls.length, FORWARD_CALLS_MAX);
  await answer(calls[0]);
  strictEqual(calls.length, FORWARD_CALLS_MAX + 1);
  strictEqual(calls[FORWARD_CALLS_MAX]?.writes.length, 9 - FORWARD_CALLS_MAX);
  for (const call of calls.slice(1)) await answer(call);
  deepStrictEqual((await Promise.all(sent)).map(({ raftIndex }) => raftIndex), [
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9],
  ]);
});

Deno.test("ForwardedWrites fails all writes of a call that failed, and goes on", async () => {
  const { writes, calls } = setUp();
  const lost = rejects(send(writes, 1), { code: "outcome_unknown" });
  await turn();
  calls[0]?.settle.reject(new OperatingError("outcome_unknown", "gone"));
  await lost;
  const short = rejects(send(writes, 2), { code: "outcome_unknown" });
  await turn();
  calls[1]?.settle.resolve({ results: "[]", raftIndex: 0 });
  await short;
});

Deno.test("ForwardedWrites.forget() frees the way to a leader that fell silent and leads again", async () => {
  const { writes, calls } = setUp();
  const silent = [send(writes, 1)];
  await turn();
  silent.push(send(writes, 2));
  await turn();
  const refused = rejects(send(writes, 3), { code: "not_leader" });
  strictEqual(calls.length, FORWARD_CALLS_MAX);
  writes.forget(LEADER);
  await refused;
  const later = send(writes, 4);
  await turn();
  strictEqual(calls.length, FORWARD_CALLS_MAX + 1);
  for (const call of calls) await answer(call);
  strictEqual((await later).raftIndex, 4);
  strictEqual((await Promise.all(silent)).length, 2);
});
