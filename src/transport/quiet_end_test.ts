/**
 * The frames of HTTP/2 on the way between a channel and a listener of ours, seen by a proxy: neither side
 * ends with a GOAWAY, whichever ends first (denoland/deno#36788). That a process outlives the end of another
 * is in orderly_end_test.ts.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { DenoClock } from "../os/deno_clock.ts";
import { GrpcChannel, GrpcListener } from "./grpc_endpoint.ts";

const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
const HEADERS = 1;
const GOAWAY = 7;
const CALLS = 3;

/** The types of the frames in `bytes`, whole ones only. */
function frameTypes(bytes: readonly number[], from: number): number[] {
  const types: number[] = [];
  for (let at = from; at + FRAME_HEAD_BYTES <= bytes.length;) {
    const [high, middle, low, type] = bytes.slice(at, at + 4);
    ok(high !== undefined && middle !== undefined && low !== undefined && type !== undefined);
    types.push(type);
    at += FRAME_HEAD_BYTES + (high * 256 + middle) * 256 + low;
  }
  return types;
}

/** Passes bytes on and keeps them, until either side ends. */
async function pass(from: Deno.Conn, to: Deno.Conn, kept: number[]): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    for (;;) {
      const size = await from.read(buffer);
      if (size === null) break;
      kept.push(...buffer.subarray(0, size));
      await to.write(buffer.subarray(0, size));
    }
    await to.closeWrite();
  } catch (error) {
    // One of the two ended it hard.
    ok(error instanceof Error);
  }
}

/** Calls through a proxy, ends one side, and gives the types of the frames each way. */
async function frames(
  end: (sides: { readonly channel: GrpcChannel; readonly listener: GrpcListener }) => void,
): Promise<{ readonly sent: number[]; readonly answered: number[] }> {
  const listener = new GrpcListener((_method, stream) => ({
    onBytes: (bytes) => stream.write(bytes, () => undefined),
    onHalfEnd: () => stream.finish(),
    onEnd: () => undefined,
  }));
  const port = await listener.listen({ host: "127.0.0.1", port: 0, tls: undefined });
  const proxy = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [there, back]: [number[], number[]] = [[], []];
  const passed = (async (): Promise<void> => {
    using client = await proxy.accept();
    using server = await Deno.connect({ hostname: "127.0.0.1", port });
    await Promise.all([pass(client, server, there), pass(server, client, back)]);
  })();
  const channel = new GrpcChannel(`127.0.0.1:${proxy.addr.port}`, { tls: undefined });
  for (let call = 0; call < CALLS; call++) {
    await new Promise<void>((resolve) => {
      const stream = channel.open("call", {
        onBytes: () => stream.finish(),
        onHalfEnd: () => undefined,
        onEnd: () => resolve(),
      });
      stream.write(Uint8Array.of(call), () => undefined);
    });
  }
  end({ channel, listener });
  // What an orderly end would say comes at once.
  await new DenoClock().sleep(50);
  channel.close();
  listener.close();
  await passed;
  proxy.close();
  return { sent: frameTypes(there, PREFACE_BYTES), answered: frameTypes(back, 0) };
}

for (const side of ["channel", "listener"] as const) {
  Deno.test(`a ${side} that ends after calls says no goodbye`, async () => {
    const { sent, answered } = await frames((sides) => sides[side].close());
    strictEqual(sent.filter((type) => type === HEADERS).length, CALLS);
    deepStrictEqual([sent, answered].map((types) => types.includes(GOAWAY)), [false, false]);
  });
}
