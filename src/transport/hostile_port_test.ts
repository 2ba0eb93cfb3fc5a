/**
 * What anybody who reaches the peer port can send: garbage, other protocols, streams that never say who
 * they are, lengths and compressed bytes that promise too much, floods (faults X8, X9, N8). The port goes on
 * serving its members, nothing reaches the services, and memory stays bounded.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import * as grpc from "@grpc/grpc-js";
import { logIndex, nodeId, term } from "../base/ids.ts";
import type { Message } from "../raft/message.ts";
import { encodeChecked } from "./checked_codec.ts";
import { Packet } from "./generated/dust.ts";
import { makeHello } from "./handshake.ts";
import { GRPC_MESSAGE_BYTES_MAX } from "./limits.ts";
import { channelCredentials } from "./peer_credentials.ts";
import { OpenSockets } from "./quiet_end.ts";
import { emptyPacket } from "./outbound_queue.ts";
import {
  identityOf,
  introduce,
  TestNetworks,
  type TestNode,
  until,
  untilConnected,
} from "./testing.ts";

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const TALK = "/dust.v1.Peer/Talk";
const MEMORY_BYTES_MAX = 100 * 1024 * 1024;

const HEARTBEAT: Message = {
  kind: "heartbeat",
  from: nodeId(1),
  to: nodeId(2),
  term: term(1),
  commit: logIndex(0),
  readRound: 0,
};

interface Target extends AsyncDisposable {
  readonly one: TestNode;
  readonly two: TestNode;
  readonly port: number;
}

/** Two members that talk; number 2 is attacked. */
async function open(): Promise<Target> {
  const networks = new TestNetworks();
  const [one, two] = [await networks.open(identityOf(1)), await networks.open(identityOf(2))];
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  const port = Number(two.peer.address.split(":").at(-1));
  return { one, two, port, [Symbol.asyncDispose]: () => networks[Symbol.asyncDispose]() };
}

/** The members still talk, and nothing else was heard. */
async function assertUnmoved({ one, two }: Target): Promise<void> {
  one.network.send(HEARTBEAT);
  await until(() => two.told.messages.length > 0, "a heartbeat");
  deepStrictEqual(two.told.messages, [HEARTBEAT]);
  strictEqual(one.network.peers()[0]?.control.connects, 1);
  deepStrictEqual(two.told.events.filter((each) => !each.startsWith("refused")), []);
}

/** Sends bytes, then reads until the other side ends the connection, or `waitMs` have passed. */
async function attack(port: number, bytes: Uint8Array, waitMs = 300): Promise<void> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const timer = setTimeout(() => connection.close(), waitMs);
  try {
    await new Blob([bytes as BlobPart]).stream().pipeTo(connection.writable, {
      preventClose: true,
    });
    for (const buffer = new Uint8Array(65_536); await connection.read(buffer) !== null;);
  } catch (error) {
    // It was closed on one of the two sides.
    ok(error instanceof Error);
  }
  clearTimeout(timer);
  try {
    connection.close();
  } catch (error) {
    ok(error instanceof Deno.errors.BadResource);
  }
}

/** A frame of HTTP/2 (RFC 9113, 4.1). */
function frame(options: {
  readonly type: number;
  readonly flags?: number;
  readonly stream?: number;
  readonly content?: readonly number[];
  /** What the frame says; its real length unless given. */
  readonly length?: number;
}): number[] {
  const { type, flags = 0, stream = 0, content = [] } = options;
  const length = options.length ?? content.length;
  const head = new Uint8Array(9);
  const view = new DataView(head.buffer);
  view.setUint32(0, length * 256 + type);
  view.setUint8(4, flags);
  view.setUint32(5, stream);
  return [...head, ...content];
}

const SETTINGS = frame({ type: 4 });

function raw(...frames: readonly number[][]): Uint8Array {
  return Uint8Array.from([...PREFACE, ...frames.flat()]);
}

/** Deterministic noise. */
function noise(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** HEADERS of a new stream with an empty block, then RST_STREAM at once (CVE-2023-44487). */
function rapidReset(count: number): number[][] {
  return Array.from({ length: count }, (_, place) => {
    const stream = 2 * place + 1;
    const block = [0x83, 0x86, 0x84, 0x41, 0x01, 0x61];
    return [
      ...frame({ type: 1, flags: 4, stream, content: block }),
      ...frame({ type: 3, stream, content: [0, 0, 0, 8] }),
    ];
  });
}

/** A literal of HPACK without indexing (RFC 7541, 6.2.2); `name` is of the static table, or text. */
function field(name: number | string, value: string): number[] {
  const text = (from: string): number[] => [from.length, ...new TextEncoder().encode(from)];
  if (typeof name === "string") return [0, ...text(name), ...text(value)];
  return [...(name < 15 ? [name] : [15, name - 15]), ...text(value)];
}

/** Opens calls as a gRPC client does, and leaves them open. */
function openCalls(count: number): number[][] {
  const [path, contentType, authority] = [4, 31, 1];
  const content = [
    0x83,
    0x86,
    ...field(path, TALK),
    ...field(authority, "a"),
    ...field(contentType, "application/grpc"),
    ...field("te", "trailers"),
  ];
  return Array.from(
    { length: count },
    (_, place) => frame({ type: 1, flags: 4, stream: 2 * place + 1, content }),
  );
}

const LEAVE = [0, 0, 0, 0, 0, 0, 0, 0];

const ATTACKS: readonly (readonly [string, Uint8Array])[] = [
  ["noise", noise(100_000, 1)],
  ["noise behind a preface", Uint8Array.from([...PREFACE, ...noise(100_000, 2)])],
  ["HTTP/1.1", new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
  ["a TLS client hello", Uint8Array.from([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, ...noise(194, 3)])],
  ["a frame of 16 MiB", raw(SETTINGS, frame({ type: 0, stream: 1, length: 0xff_ffff }))],
  [
    "a header block that never ends",
    raw(
      SETTINGS,
      frame({ type: 1, stream: 1, content: [0x83] }),
      ...Array.from(
        { length: 3000 },
        () => frame({ type: 9, stream: 1, content: [0x00, 1, 97, 1, 98] }),
      ),
    ),
  ],
  ["settings, again and again", raw(...Array.from({ length: 20_000 }, () => SETTINGS))],
  [
    "pings, again and again",
    raw(
      SETTINGS,
      ...Array.from(
        { length: 20_000 },
        () => frame({ type: 6, content: [0, 0, 0, 0, 0, 0, 0, 0] }),
      ),
    ),
  ],
  ["a hundred calls left open", raw(SETTINGS, ...openCalls(100))],
  [
    "a frame that may not be, with calls open",
    raw(
      SETTINGS,
      ...openCalls(20),
      frame({ type: 0, stream: 0, content: [1] }),
    ),
  ],
  [
    "a goodbye with calls open",
    raw(
      SETTINGS,
      ...openCalls(20),
      frame({ type: 7, content: LEAVE }),
    ),
  ],
  ["streams opened and reset at once", raw(SETTINGS, ...rapidReset(5000))],
];

for (const [name, bytes] of ATTACKS) {
  Deno.test(`peer port: ${name} changes nothing`, async () => {
    await using target = await open();
    const before = Deno.memoryUsage().rss;
    await Promise.all(Array.from({ length: 3 }, () => attack(target.port, bytes)));
    await assertUnmoved(target);
    const grown = Deno.memoryUsage().rss - before;
    ok(grown < MEMORY_BYTES_MAX, `${grown} bytes more`);
  });
}

/** Opens a stream as any gRPC client can, sends messages, and gives the status that it ends with. */
async function talk(port: number, options: {
  readonly messages: readonly Uint8Array[];
  readonly channel?: grpc.ChannelOptions;
}): Promise<grpc.status> {
  const address = `127.0.0.1:${port}`;
  const sockets = new OpenSockets();
  const onSocket = (socket: Socket): void => sockets.add(socket);
  const credentials = channelCredentials(grpc, { tls: undefined, address, onSocket });
  const client = new grpc.Client(address, credentials, {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_send_message_length": -1,
    ...options.channel,
  });
  const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  const call = client.makeBidiStreamRequest(TALK, asBuffer, (bytes) => bytes);
  call.on("data", () => undefined);
  call.on("error", () => undefined);
  try {
    return await new Promise((resolve) => {
      call.on("status", ({ code }: grpc.StatusObject) => resolve(code));
      for (const message of options.messages) call.write(message);
    });
  } finally {
    sockets.destroy();
    client.close();
  }
}

/** The hello of number 1, which is let in, and what else it may say. */
function packet(changes: Partial<Packet>): Uint8Array {
  return encodeChecked(Packet, { ...emptyPacket(), ...changes });
}

Deno.test("peer port: a message beyond what gRPC takes is refused before it is read", async () => {
  await using target = await open();
  const messages = [new Uint8Array(GRPC_MESSAGE_BYTES_MAX + 1)];
  strictEqual(await talk(target.port, { messages }), grpc.status.RESOURCE_EXHAUSTED);
  await assertUnmoved(target);
});

Deno.test("peer port: a small message that decompresses to a large one is refused", async () => {
  await using target = await open();
  const before = Deno.memoryUsage().rss;
  const zeros = new Uint8Array(64 * 1024 * 1024);
  const channel = { "grpc.default_compression_algorithm": 2 };
  const code = await talk(target.port, { messages: [zeros], channel });
  strictEqual(code, grpc.status.RESOURCE_EXHAUSTED);
  await assertUnmoved(target);
  // The sender's own copies are in here.
  const grown = Deno.memoryUsage().rss - before - 3 * zeros.length;
  ok(grown < MEMORY_BYTES_MAX, `${grown} bytes more`);
});

Deno.test("peer port: a stream whose first message is garbage, or says nothing of itself, ends", async () => {
  await using target = await open();
  const garbage = [noise(1000, 4), new Uint8Array(0), packet({}), packet({ ping: 1 })];
  for (const bytes of garbage) {
    const code = await talk(target.port, { messages: [bytes] });
    ok(code !== grpc.status.OK, `status ${code}`);
  }
  await assertUnmoved(target);
});

Deno.test("peer port: streams that never say who they are end with the handshake's time", async () => {
  await using target = await open();
  const codes = await Promise.all(
    Array.from({ length: 50 }, () => talk(target.port, { messages: [] })),
  );
  ok(codes.every((code) => code !== grpc.status.OK));
  await assertUnmoved(target);
});

Deno.test("peer port: a damaged hello of a member is none", async () => {
  await using target = await open();
  const hello = makeHello(identityOf(1), { to: target.two.peer, lane: "control" });
  const bytes = packet({ hello });
  bytes[20] = (bytes[20] ?? 0) ^ 1;
  const code = await talk(target.port, { messages: [bytes] });
  ok(code !== grpc.status.OK);
  await assertUnmoved(target);
});
