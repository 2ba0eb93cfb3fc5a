import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { answerStream } from "./answer_stream.ts";
import { DelayedCalls } from "./delayed_calls.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { ANSWER_STALL_MS_MAX } from "./limits.ts";
import { prettyJson } from "./pretty_json.ts";

interface Source {
  readonly stream: ReadableStream<Uint8Array>;
  pulled: number;
  cancelled: unknown;
}

/** `pieces`, then the end; counts how many were asked for. */
function source(pieces: readonly Uint8Array[], failure?: Error): Source {
  const state = { pulled: 0, cancelled: undefined as unknown };
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      const piece = pieces[state.pulled++];
      if (piece !== undefined) controller.enqueue(piece);
      else if (failure !== undefined) controller.error(failure);
      else controller.close();
    },
    cancel: (reason) => {
      state.cancelled = reason;
    },
  }, { highWaterMark: 0 });
  return Object.assign(state, { stream });
}

function answer(
  results: Source,
  options: { readonly clock?: FakeClock; readonly pretty?: boolean } = {},
): ReadableStream<Uint8Array> {
  const clock = options.clock ?? new FakeClock();
  return answerStream({
    head: '{"results":',
    results: results.stream,
    tail: ',"time":1}',
    pretty: options.pretty ?? false,
    stalls: new DelayedCalls({ clock, delayMs: ANSWER_STALL_MS_MAX }),
  });
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

Deno.test("answerStream() puts results between head and tail", async () => {
  const results = source([bytes('[{"a"'), bytes(":1}]")]);
  strictEqual(await new Response(answer(results)).text(), '{"results":[{"a":1}],"time":1}');
});

Deno.test("answerStream() indents, also when a piece ends within a character", async () => {
  const text = '[{"é€":"\u{1f600}"},[]]';
  const pieces = [...bytes(text)].map((byte) => Uint8Array.of(byte));
  strictEqual(
    await new Response(answer(source(pieces), { pretty: true })).text(),
    prettyJson(`{"results":${text},"time":1}`),
  );
});

Deno.test("answerStream() takes a piece only when the one before is taken", async () => {
  const results = source(Array.from({ length: 100 }, () => bytes("x".repeat(1000))));
  const reader = answer(results).getReader();
  for (let count = 1; count <= 5; count++) {
    await reader.read();
    await Promise.resolve();
    ok(results.pulled <= count + 1, `${results.pulled} pulled after ${count}`);
  }
  await reader.cancel("enough");
  strictEqual(results.cancelled, "enough");
});

Deno.test("answerStream() cuts off a client that stops reading, and ends the results", async () => {
  const clock = new FakeClock();
  const results = source([bytes("[1,"), bytes("2]")]);
  const reader = answer(results, { clock }).getReader();
  await reader.read();
  await new Promise((resolve) => setTimeout(resolve));
  clock.advance(ANSWER_STALL_MS_MAX);
  ok(results.cancelled instanceof Error);
  await rejects(reader.read(), /stopped reading/);
});

Deno.test("answerStream() does not blame the client for slow results", async () => {
  const clock = new FakeClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  const slow = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      await promise;
      controller.enqueue(bytes("[]"));
      controller.close();
    },
  }, { highWaterMark: 0 });
  const text = new Response(answer({ stream: slow, pulled: 0, cancelled: undefined }, { clock }))
    .text();
  await new Promise((done) => setTimeout(done));
  clock.advance(10 * ANSWER_STALL_MS_MAX);
  resolve();
  strictEqual(await text, '{"results":[],"time":1}');
});

Deno.test("answerStream() breaks off when the results fail", async () => {
  const reader = answer(source([bytes("[1")], new Error("read failed"))).getReader();
  const seen: string[] = [];
  await rejects(async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      seen.push(new TextDecoder().decode(value));
    }
  }, /read failed/);
  deepStrictEqual(seen, ['{"results":', "[1"]);
});
