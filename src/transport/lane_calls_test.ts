/** Writes that are passed on by the lanes: over gRPC for what goes right, one side alone for what does not. */
import { rejects, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { FakeClock } from "../os/fake_clock.ts";
import type { SmallCall } from "./generated/dust.ts";
import { LaneCalls } from "./lane_calls.ts";
import { LANE_CALL_BYTES_MAX, LANE_CALLS_MAX, PIECE_BYTES } from "./limits.ts";
import type { ForwardRequest } from "./peer_calls.ts";
import type { PeerServices } from "./peer_services.ts";
import { identityOf, introduce, TestNetworks, untilConnected } from "./testing.ts";

const TIMEOUT = { timeoutMs: 10_000 };

function writes(body: Uint8Array): ForwardRequest {
  const work = { kind: "executes", writes: [{ format: 1, sizeBytes: body.length }] } as const;
  return { kind: "forward", work, body, credentials: undefined, hops: 0 };
}

/** Answers each call with the size of its body, `times` written. */
function sizes(times = 1): PeerServices["answer"] {
  return ((request: ForwardRequest) => {
    if (request.body.length === 0) throw new OperatingError("not_leader", "leader not found");
    const results = String(request.body.length).repeat(times);
    return Promise.resolve({ kind: "forward", answer: { results, raftIndex: 7 } });
  }) as unknown as PeerServices["answer"];
}

/** One side, without the other. */
function alone(
  answer: PeerServices["answer"] = sizes(),
): { readonly calls: LaneCalls; readonly clock: FakeClock; readonly sent: SmallCall[] } {
  const clock = new FakeClock();
  const sent: SmallCall[] = [];
  const onBug = (error: unknown): void => {
    throw error;
  };
  const services = { answer, onBug };
  const send = (call: SmallCall): boolean => sent.push(call) > 0;
  return { calls: new LaneCalls({ clock, services, send }), clock, sent };
}

Deno.test("PeerNetwork.call() passes small writes on by the lanes, larger ones by a stream of their own", async () => {
  await using networks = new TestNetworks();
  const [one, two] = [
    await networks.open(identityOf(1)),
    await networks.open(identityOf(2), { answers: { answer: sizes() } }),
  ];
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  const asked = [1, 1000, LANE_CALL_BYTES_MAX, LANE_CALL_BYTES_MAX + 1].map(async (size) => {
    const request = writes(new Uint8Array(size));
    const { answer } = await one.network.call<"forward">(two.peer.address, request, TIMEOUT);
    strictEqual(answer.results, String(size));
  });
  await Promise.all(asked);
  await rejects(one.network.call(two.peer.address, writes(new Uint8Array(0)), TIMEOUT), {
    code: "not_leader",
  });
  strictEqual(one.network.peers()[0]?.sentMessages.call, 4);
  strictEqual(one.network.peers()[0]?.receivedMessages.call, 4);
});

Deno.test("PeerNetwork.call() says that the outcome is unknown when the other process ends meanwhile", async () => {
  await using networks = new TestNetworks();
  const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
  const answer = (): Promise<never> => {
    onAsked();
    return Promise.withResolvers<never>().promise;
  };
  const [one, two] = [
    await networks.open(identityOf(1)),
    await networks.open(identityOf(2), { answers: { answer } }),
  ];
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  const call = one.network.call(two.peer.address, writes(new Uint8Array(9)), TIMEOUT);
  const failed = rejects(call, { code: "outcome_unknown" });
  await asked;
  await two.network.close();
  await failed;
});

Deno.test("LaneCalls puts an answer together that came in pieces, letters that were cut too", async () => {
  const answer = (() => {
    const results = "é".repeat(PIECE_BYTES) + "x";
    return Promise.resolve({ kind: "forward", answer: { results, raftIndex: 1 } });
  }) as unknown as PeerServices["answer"];
  const [asker, answerer] = [alone(), alone(answer)];
  const asked = asker.calls.ask(writes(new Uint8Array(3)), TIMEOUT);
  const [question] = asker.sent;
  if (question === undefined) throw new Error("Nothing was sent");
  // So that pieces end within a letter.
  answerer.calls.take(question, identityOf(1));
  await Promise.resolve().then(() => undefined);
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  strictEqual(answerer.sent.length, 3);
  for (const piece of answerer.sent) asker.calls.take(piece, identityOf(2));
  strictEqual((await asked)?.answer.results, "é".repeat(PIECE_BYTES) + "x");
});

Deno.test("LaneCalls gives up when the time is over or a stream ends, and takes no answer then", async () => {
  const { calls, clock, sent } = alone();
  const late = rejects(calls.ask(writes(new Uint8Array(1)), TIMEOUT) ?? Promise.resolve(), {
    code: "outcome_unknown",
  });
  clock.advance(TIMEOUT.timeoutMs);
  await late;
  const lost = rejects(calls.ask(writes(new Uint8Array(1)), TIMEOUT) ?? Promise.resolve(), {
    code: "outcome_unknown",
  });
  calls.fail("The connection ended");
  await lost;
  strictEqual(clock.timerCount, 0);
  for (const { number } of sent) {
    const body = new Uint8Array(0);
    calls.take({ number, isAnswer: true, head: undefined, body, isLast: true }, identityOf(2));
  }
});

Deno.test("LaneCalls.ask() takes no more than its bound", () => {
  const { calls, sent } = alone();
  for (let count = 0; count <= LANE_CALLS_MAX; count++) {
    calls.ask(writes(new Uint8Array(1)), TIMEOUT)?.catch(() => undefined);
  }
  strictEqual(sent.length, LANE_CALLS_MAX);
  calls.fail("End of the test");
});
