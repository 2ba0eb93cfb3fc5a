import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { DelayedCalls } from "./delayed_calls.ts";
import { FakeClock } from "../os/fake_clock.ts";
import {
  BODIES_IN_FLIGHT_BYTES_MAX,
  BODY_BYTES_AT_ONCE_MAX,
  BODY_BYTES_MAX,
  BODY_IDLE_MS_MAX,
  BODY_PACE_BYTES,
  LARGE_BODIES_IN_FLIGHT_BYTES_MAX,
} from "./limits.ts";
import { BodyReader } from "./request_body.ts";

function reader(): BodyReader {
  return new BodyReader({
    stalls: new DelayedCalls({ clock: new FakeClock(), delayMs: BODY_IDLE_MS_MAX }),
    bodyBytesMax: BODY_BYTES_MAX,
  });
}

function request(body: BodyInit, headers: HeadersInit = {}): Request {
  return new Request("http://h/", { method: "POST", body, headers });
}

/** A body without length: `count` pieces of `sizeBytes` blanks. */
function pieces(count: number, sizeBytes: number): ReadableStream<Uint8Array> {
  const piece = new Uint8Array(sizeBytes).fill(0x20);
  let left = count;
  return new ReadableStream({
    pull: (controller) => left-- > 0 ? controller.enqueue(piece) : controller.close(),
  });
}

const withCode = (code: string) => (error: unknown): boolean =>
  error instanceof OperatingError && error.code === code;

Deno.test("BodyReader.read() reads bodies with and without a length", async () => {
  const bodies = reader();
  const announced = await bodies.read(request("é", { "content-length": "2" }));
  deepStrictEqual(announced, { text: "é", sizeBytes: 2 });
  const streamed = await bodies.read(request(pieces(3, 10)));
  deepStrictEqual(streamed, { text: " ".repeat(30), sizeBytes: 30 });
  deepStrictEqual(await bodies.read(new Request("http://h/", { method: "POST" })), {
    text: "",
    sizeBytes: 0,
  });
  strictEqual(bodies.heldBytes, 32);
  bodies.release(announced.sizeBytes);
  bodies.release(streamed.sizeBytes);
  strictEqual(bodies.heldBytes, 0);
});

Deno.test("BodyReader.read() puts U+FFFD for what is not UTF-8", async () => {
  const bytes = Uint8Array.of(0x61, 0xff, 0x62);
  strictEqual((await reader().read(request(bytes))).text, "a\ufffdb");
});

Deno.test("BodyReader.read() keeps a large body as its bytes, in one buffer of their size when that is known", async () => {
  const bodies = reader();
  const size = 3 * BODY_BYTES_AT_ONCE_MAX;
  const text = "é".repeat(size / 2);
  const announced = await bodies.read(request(text, { "content-length": String(size) }));
  ok(announced.text instanceof Uint8Array);
  deepStrictEqual([announced.text.length, announced.text.buffer.byteLength], [size, size]);
  strictEqual(new TextDecoder().decode(announced.text), text);
  const streamed = await bodies.read(request(pieces(size / 1000, 1000)));
  ok(streamed.text instanceof Uint8Array);
  strictEqual(streamed.text.length, streamed.sizeBytes);
  ok(streamed.text.every((byte) => byte === 0x20));
});

Deno.test("BodyReader.read() stops a body without length at the limit, and gives back its room", async () => {
  const bodies = reader();
  const size = 16 * 1024 * 1024;
  const exact = await bodies.read(request(pieces(BODY_BYTES_MAX / size, size)));
  strictEqual(exact.sizeBytes, BODY_BYTES_MAX);
  bodies.release(exact.sizeBytes);
  await rejects(
    bodies.read(request(pieces(BODY_BYTES_MAX / size + 1, size))),
    withCode("too_large"),
  );
  strictEqual(bodies.heldBytes, 0);
});

Deno.test("BodyReader.read() bounds the sum of all bodies, and large ones leave room for the small", async () => {
  const bodies = reader();
  const never = (sizeBytes: number): Request =>
    request(new ReadableStream(), { "content-length": String(sizeBytes) });
  const large = Array.from(
    { length: LARGE_BODIES_IN_FLIGHT_BYTES_MAX / BODY_BYTES_MAX },
    () => bodies.read(never(BODY_BYTES_MAX)),
  );
  strictEqual(bodies.heldBytes, LARGE_BODIES_IN_FLIGHT_BYTES_MAX);
  await rejects(bodies.read(never(BODY_BYTES_AT_ONCE_MAX + 1)), withCode("overloaded"));
  await rejects(bodies.read(request(pieces(2, 40_000))), withCode("overloaded"));
  strictEqual(bodies.heldBytes, LARGE_BODIES_IN_FLIGHT_BYTES_MAX);
  bodies.release((await bodies.read(request(pieces(1, 1)))).sizeBytes);
  const left = BODIES_IN_FLIGHT_BYTES_MAX - LARGE_BODIES_IN_FLIGHT_BYTES_MAX;
  const small = Array.from(
    { length: left / BODY_BYTES_AT_ONCE_MAX },
    () => bodies.read(never(BODY_BYTES_AT_ONCE_MAX)),
  );
  strictEqual(bodies.heldBytes, BODIES_IN_FLIGHT_BYTES_MAX);
  await rejects(bodies.read(never(1)), withCode("overloaded"));
  await rejects(bodies.read(request(pieces(1, 1))), withCode("overloaded"));
  deepStrictEqual([large.length, small.length], [3, 2048]);
});

Deno.test("BodyReader.read() gives up on a large body that only drips", async () => {
  const clock = new FakeClock();
  const stalls = new DelayedCalls({ clock, delayMs: BODY_IDLE_MS_MAX });
  const bodies = new BodyReader({ stalls, bodyBytesMax: BODY_BYTES_MAX });
  for (const [sizeBytes, isRefused] of [[BODY_PACE_BYTES, false], [1000, true]] as const) {
    let left = 8;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        clock.advance(BODY_IDLE_MS_MAX * 0.75);
        if (left-- === 0) controller.close();
        else controller.enqueue(new Uint8Array(sizeBytes).fill(0x20));
      },
    }, { highWaterMark: 0 });
    const reading = bodies.read(request(body));
    if (isRefused) await rejects(reading, withCode("canceled"));
    else bodies.release((await reading).sizeBytes);
    strictEqual(bodies.heldBytes, 0);
  }
});

Deno.test("BodyReader.read() refuses a body that breaks off, and gives back its room", async () => {
  const bodies = reader();
  const broken = (): ReadableStream =>
    new ReadableStream({ pull: (controller) => controller.error(new TypeError("reset")) });
  await rejects(bodies.read(request(broken())), withCode("bad_request"));
  await rejects(
    bodies.read(request(broken(), { "content-length": "10" })),
    withCode("bad_request"),
  );
  await rejects(
    bodies.read(request(broken(), { "content-length": "100000" })),
    withCode("bad_request"),
  );
  strictEqual(bodies.heldBytes, 0);
});
