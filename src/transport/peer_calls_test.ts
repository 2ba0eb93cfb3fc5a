import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { type ErrorCode, OperatingError } from "../base/errors.ts";
import { nodeId } from "../base/ids.ts";
import type { ForwardRequest, PeerAnswers, PeerRequest } from "./peer_calls.ts";
import { CALL_BODY_BYTES_MAX, PIECE_BYTES } from "./limits.ts";
import type { CallContext, PeerServices } from "./peer_services.ts";
import { identityOf, idOf, TestNetworks, type TestNode, until } from "./testing.ts";

const WAIT = { timeoutMs: 5000 };

/** Services that answer every call by `respond`. */
function answering(
  respond: (
    request: PeerRequest,
    context: CallContext,
  ) => Promise<PeerAnswers[PeerRequest["kind"]]>,
): Pick<PeerServices, "answer"> {
  // The test's answers fit its requests; the type of the method cannot say so for a plain function.
  return { answer: respond as PeerServices["answer"] };
}

async function pair(
  networks: TestNetworks,
  respond: Parameters<typeof answering>[0],
): Promise<readonly [TestNode, TestNode]> {
  const one = await networks.open(identityOf(1));
  const two = await networks.open(identityOf(2), { answers: answering(respond) });
  return [one, two];
}

function forward(body: Uint8Array): ForwardRequest {
  return {
    kind: "forward",
    work: { kind: "execute", format: 1 },
    body,
    credentials: "Basic x",
    hops: 0,
  };
}

const REQUESTS: readonly (readonly [PeerRequest, PeerAnswers[PeerRequest["kind"]]])[] = [
  [
    {
      kind: "join",
      name: "n",
      incarnation: idOf(3),
      raftAddress: "a:1",
      apiUrl: "http://a",
      isReadOnly: true,
      sqliteFingerprint: "s",
      featureLevel: 1,
      credentials: "u:p",
    },
    { kind: "join", clusterId: idOf(1), nodeId: nodeId(7), genesis: new Uint8Array([1, 2, 3]) },
  ],
  [{ kind: "remove", name: "ü" } as PeerRequest, { kind: "done" }],
  [
    {
      kind: "pledge",
      clusterId: idOf(4),
      members: [{ name: "n", incarnation: idOf(1), raftAddress: "a:1", apiUrl: "u" }],
    },
    { kind: "pledge", outcome: { kind: "taken", clusterId: idOf(6) } },
  ],
  [{ kind: "abort_pledge", clusterId: idOf(4) }, { kind: "done" }],
  [
    { kind: "form", clusterId: idOf(4), genesis: new Uint8Array(9), nodeId: nodeId(2) },
    { kind: "done" },
  ],
  [{ kind: "transfer_leader", to: nodeId(3), credentials: "c" }, { kind: "done" }],
  [{ kind: "set_time", credentials: "c" }, { kind: "done" }],
  [{ kind: "snapshot_now", credentials: "c" }, { kind: "done" }],
  [forward(new Uint8Array([9, 8])), {
    kind: "forward",
    answer: { results: '[{"é":1}]', raftIndex: 12, stateIndex: 11 },
  }],
  [
    {
      kind: "forward",
      work: {
        kind: "request",
        bodyKind: "json",
        request: {
          id: 1,
          transaction: true,
          format: 3,
          timeoutMs: 0,
          level: "linearizable",
          freshnessMs: 1.5,
          freshnessStrict: false,
          linearizableTimeoutMs: 1000,
          minIndex: { index: 4, timeoutMs: 5 },
          idempotencyKey: "k",
        },
      },
      body: new Uint8Array(0),
      credentials: "c",
      hops: 2,
    },
    { kind: "forward", answer: { results: "[]", raftIndex: 0 } },
  ],
];

for (const [request, answer] of REQUESTS) {
  Deno.test(`PeerNetwork.call() of ${request.kind} brings request and answer as they are`, async () => {
    await using networks = new TestNetworks();
    const asked: PeerRequest[] = [];
    const [one, two] = await pair(networks, (each) => {
      asked.push(each);
      return Promise.resolve(answer);
    });
    deepStrictEqual(await one.network.call(two.peer.address, request, WAIT), answer);
    deepStrictEqual(asked, [request]);
  });
}

Deno.test("PeerNetwork.call() tells the other side who asks, and takes its errors as they are", async () => {
  await using networks = new TestNetworks();
  const callers: string[] = [];
  const [one, two] = await pair(networks, (_, { caller }) => {
    callers.push(caller.name);
    return Promise.reject(new OperatingError("not_leader", "Leader is elsewhere"));
  });
  await rejects(
    one.network.call(two.peer.address, { kind: "identify" }, WAIT),
    (error) =>
      error instanceof OperatingError && error.code === "not_leader" &&
      error.message === "Leader is elsewhere",
  );
  deepStrictEqual(callers, ["n1"]);
  deepStrictEqual(two.told.events, []);
});

Deno.test("PeerNetwork.call() that hits a bug is answered, and the bug is told where it is", async () => {
  await using networks = new TestNetworks();
  const [one, two] = await pair(networks, () => Promise.reject(new TypeError("x is undefined")));
  await rejects(
    one.network.call(two.peer.address, { kind: "identify" }, WAIT),
    hasCode("internal"),
  );
  deepStrictEqual(two.told.events, ["bug TypeError: x is undefined"]);
});

function hasCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof OperatingError && error.code === code;
}

Deno.test("PeerNetwork.call() brings bodies and results of any size, streams piece by piece", async () => {
  await using networks = new TestNetworks();
  const size = 20 * PIECE_BYTES + 3;
  const [one, two] = await pair(networks, (request) => {
    ok(request.kind === "forward");
    const { body } = request;
    ok(body.every((byte, at) => byte === at % 251));
    let at = 0;
    const results = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (at >= body.length) controller.close();
        else controller.enqueue(body.slice(at, at += 1_000_000));
      },
    });
    return Promise.resolve({ kind: "forward", answer: { results, raftIndex: body.length } });
  });
  const body = new Uint8Array(size).map((_, at) => at % 251);
  const { answer } = await one.network.call(two.peer.address, forward(body), WAIT);
  ok(answer.results instanceof ReadableStream);
  const read = new Uint8Array(await new Response(answer.results).arrayBuffer());
  strictEqual(read.length, size);
  ok(read.every((byte, at) => byte === at % 251));
  const large = "é".repeat(PIECE_BYTES);
  const three = await networks.open(identityOf(3), {
    answers: answering(() =>
      Promise.resolve({ kind: "forward", answer: { results: large, raftIndex: 1 } })
    ),
  });
  const text = await one.network.call(three.peer.address, forward(new Uint8Array(1)), WAIT);
  strictEqual(await new Response(text.answer.results).text(), large);
});

Deno.test("PeerNetwork.call(): results that fail in the middle fail for the reader, they do not end", async () => {
  await using networks = new TestNetworks();
  const [one, two] = await pair(networks, () => {
    let isFirst = true;
    const results = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (!isFirst) throw new OperatingError("canceled", "Query was interrupted");
        isFirst = false;
        controller.enqueue(new Uint8Array(10));
      },
    }, { highWaterMark: 0 });
    return Promise.resolve({ kind: "forward", answer: { results, raftIndex: 0 } });
  });
  const { answer } = await one.network.call(two.peer.address, forward(new Uint8Array(0)), WAIT);
  await rejects(new Response(answer.results).text(), hasCode("canceled"));
});

Deno.test("PeerNetwork.call() to nobody, or never answered: the code tells whether something may have happened", async () => {
  await using networks = new TestNetworks();
  const signals: AbortSignal[] = [];
  const [one, two] = await pair(networks, (_, { signal }) => {
    signals.push(signal);
    return new Promise(() => undefined);
  });
  await rejects(one.network.call("127.0.0.1:1", { kind: "identify" }, WAIT), hasCode("not_ready"));
  await rejects(
    one.network.call(two.peer.address, forward(new Uint8Array(1)), { timeoutMs: 100 }),
    hasCode("outcome_unknown"),
  );
  await until(() => signals[0]?.aborted === true, "the other side to notice");
  const controller = new AbortController();
  const call = one.network.call(two.peer.address, forward(new Uint8Array(1)), {
    ...WAIT,
    signal: controller.signal,
  });
  await until(() => signals.length === 2, "the call to arrive");
  controller.abort();
  await rejects(call, hasCode("canceled"));
  await until(() => signals[1]?.aborted === true, "the other side to notice");
});

Deno.test("PeerNetwork.call() across clusters is refused, except to ask who is there", async () => {
  await using networks = new TestNetworks();
  const [one, two] = await pair(networks, () => Promise.resolve({ kind: "done" }));
  const other = await networks.open(identityOf(1, { clusterId: idOf(9) }));
  const none = await networks.open(identityOf(0, { clusterId: undefined }));
  const request = { kind: "remove", name: "n", credentials: undefined } as const;
  await rejects(other.network.call(two.peer.address, request, WAIT), hasCode("conflict"));
  for (const node of [one, none]) {
    deepStrictEqual(await node.network.call(two.peer.address, request, WAIT), { kind: "done" });
  }
});

Deno.test("PeerNetwork.call() with a body that is too large is refused", async () => {
  await using networks = new TestNetworks();
  const [one, two] = await pair(networks, () => Promise.resolve({ kind: "done" }));
  const body = new Uint8Array(CALL_BODY_BYTES_MAX + 1);
  const error = await one.network.call(two.peer.address, forward(body), WAIT).catch((each) => each);
  ok(hasCode("too_large")(error), String(error));
  match(error.message, /Cannot take a request of/);
});
