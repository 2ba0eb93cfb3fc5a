/**
 * Snapshots from file to file: whole, cut at every chunk and gone on with, damaged, declined, unfit.
 * The stream is in memory; over sockets they go in peer_network_test.ts.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { crc32c } from "../base/crc32c.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import { FakeClock } from "../os/fake_clock.ts";
import type { Clock } from "../os/clock.ts";
import type { SnapshotMessage } from "../raft/message.ts";
import { makeHello } from "./handshake.ts";
import { PIECE_BYTES, SNAPSHOT_SILENCE_MS_MAX, SNAPSHOT_WINDOW_BYTES } from "./limits.ts";
import { openMemoryStream } from "./memory_stream.ts";
import type { Admission } from "./inbound_stream.ts";
import type { SnapshotOffer, SnapshotSink } from "./peer_services.ts";
import { openSnapshotFile } from "./snapshot_file.ts";
import { SnapshotReceiver } from "./snapshot_receiver.ts";
import { SnapshotSender } from "./snapshot_sender.ts";
import { identityOf } from "./testing.ts";

const FILES = new DenoFileSystem();
/** Four chunks and a short one. */
const SIZE = 4 * PIECE_BYTES + 1234;

const MESSAGE: SnapshotMessage = {
  kind: "snapshot",
  from: nodeId(1),
  to: nodeId(2),
  term: term(3),
  snapshot: {
    index: logIndex(77),
    term: term(2),
    configuration: {
      voters: [nodeId(1), nodeId(2)],
      votersOutgoing: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    },
  },
};

/** A folder with the content to send and a folder to receive into. */
class Case implements AsyncDisposable {
  readonly content: Uint8Array;
  readonly root: string;
  readonly delivered: SnapshotMessage[] = [];
  readonly completed: string[] = [];
  readonly resumed: number[] = [];
  readonly bugs: unknown[] = [];

  constructor(size: number) {
    this.content = new Uint8Array(size);
    for (let at = 0; at < size; at++) this.content[at] = (at * 31 + (at >> 8)) % 256;
    this.root = Deno.makeTempDirSync({ prefix: "dust_snapshot_" });
    Deno.writeFileSync(`${this.root}/source`, this.content);
    Deno.mkdirSync(`${this.root}/in`);
  }

  get offer(): SnapshotOffer {
    return {
      message: MESSAGE,
      sizeBytes: this.content.length,
      checksum: crc32c(this.content),
      note: Uint8Array.of(1, 2, 3),
    };
  }

  /** The names in the receiver's folder. */
  get received(): string[] {
    return [...Deno.readDirSync(`${this.root}/in`)].map(({ name }) => name);
  }

  async sink(offer: SnapshotOffer): Promise<SnapshotSink> {
    const sink = await openSnapshotFile({
      fileSystem: FILES,
      directory: `${this.root}/in`,
      offer,
      onComplete: (path) => this.completed.push(path),
    });
    this.resumed.push(sink.resumeOffset);
    return sink;
  }

  /** One transfer, to its end: what the sender was told. */
  async transfer(changes: {
    readonly limit?: number;
    readonly change?: (bytes: Uint8Array, place: number) => Uint8Array;
    readonly offer?: SnapshotOffer;
    readonly admission?: Admission;
    readonly receiveSnapshot?: (offer: SnapshotOffer) => Promise<SnapshotSink | undefined>;
    readonly clock?: Clock;
    readonly onStarted?: (sender: SnapshotSender) => void;
  } = {}): Promise<string> {
    const ended = Promise.withResolvers<string>();
    const receiverEnded = Promise.withResolvers<void>();
    const clock = changes.clock ?? new DenoClock();
    const answer = makeHello(identityOf(2), { to: identityOf(1) });
    const sender = new SnapshotSender({
      clock,
      offer: changes.offer ?? this.offer,
      file: FILES.openSync(`${this.root}/source`, "read"),
      dial: (events) => {
        const accept = (stream: Parameters<typeof makeReceiver>[0]) => makeReceiver(stream).events;
        const makeReceiver = (stream: ConstructorParameters<typeof SnapshotReceiver>[0]) =>
          new SnapshotReceiver(stream, {
            clock,
            admit: () => changes.admission ?? { kind: "admitted", answer },
            receiveSnapshot: changes.receiveSnapshot ?? ((offer) => this.sink(offer)),
            deliver: (message) => this.delivered.push(message),
            onEnd: () => receiverEnded.resolve(),
            onBug: (error) => this.bugs.push(error),
          });
        const { limit, change } = changes;
        const stream = openMemoryStream({
          events,
          accept,
          limit,
          ...(change === undefined ? {} : { change }),
        });
        return { stream, disconnect: () => undefined };
      },
      hello: () => makeHello(identityOf(1), { to: identityOf(2) }),
      judge: ({ nodeId }) => nodeId === 2 ? undefined : "Somebody else",
      onEnd: (outcome, text) => ended.resolve(`${outcome}: ${text}`),
      onBug: (error) => this.bugs.push(error),
    });
    changes.onStarted?.(sender);
    const outcome = await ended.promise;
    await receiverEnded.promise;
    // The sink's last call may still be under way.
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    deepStrictEqual(this.bugs, []);
    return outcome;
  }

  assertWhole(): void {
    strictEqual(this.completed.length, 1);
    deepStrictEqual(this.received.length, 1);
    const path = this.completed[0] ?? "";
    ok(path.endsWith(this.received[0] ?? "?") && !path.endsWith(".part"));
    ok(Deno.readFileSync(path).every((byte, at) => byte === this.content[at]));
    deepStrictEqual(this.delivered, [MESSAGE]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Deno.remove(this.root, { recursive: true });
  }
}

for (const size of [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * SNAPSHOT_WINDOW_BYTES, SIZE]) {
  Deno.test(`a snapshot of ${size} bytes arrives, durable, before its message`, async () => {
    await using one = new Case(size);
    strictEqual(await one.transfer(), "finished: Installed");
    one.assertWhole();
  });
}

Deno.test("a snapshot that is cut at any chunk goes on from there (N10)", async () => {
  for (let limit = 0; limit <= 5; limit++) {
    await using one = new Case(SIZE);
    strictEqual(await one.transfer({ limit }), "failed: Cut");
    deepStrictEqual(one.delivered, []);
    ok(one.received.every((name) => name.endsWith(".part")));
    strictEqual(await one.transfer(), "finished: Installed");
    one.assertWhole();
    // The offer is the first message; what was written of the others is not sent again.
    const wasResumed = (one.resumed.at(-1) ?? 0) > 0;
    strictEqual(wasResumed, limit >= 2, `cut at ${limit}: ${one.resumed}`);
  }
});

Deno.test("a snapshot that is cut again and again arrives", async () => {
  await using one = new Case(SIZE);
  for (let round = 0; round < 4; round++) await one.transfer({ limit: 2 });
  strictEqual(await one.transfer(), "finished: Installed");
  ok((one.resumed.at(-1) ?? 0) >= 3 * PIECE_BYTES);
  one.assertWhole();
});

Deno.test("a chunk damaged on the way ends the transfer, and is not written", async () => {
  await using one = new Case(SIZE);
  const change = (bytes: Uint8Array, place: number): Uint8Array => {
    if (place !== 3) return bytes;
    const damaged = bytes.slice();
    damaged[1000] = (damaged[1000] ?? 0) ^ 1;
    return damaged;
  };
  match(await one.transfer({ change }), /failed: .*damaged/);
  deepStrictEqual(one.delivered, []);
  strictEqual(await one.transfer(), "finished: Installed");
  one.assertWhole();
});

Deno.test("a chunk that comes twice, or is left out, ends the transfer", async () => {
  for (const shown of [2, 4]) {
    await using one = new Case(SIZE);
    const chunks: Uint8Array[] = [];
    // The third chunk of content is another one, whole in itself; a later one is known from a first run.
    await using model = new Case(SIZE);
    const record = (bytes: Uint8Array): Uint8Array => {
      chunks.push(bytes.slice());
      return bytes;
    };
    await model.transfer({ change: record });
    const change = (bytes: Uint8Array, place: number): Uint8Array =>
      place === 3 ? chunks[shown]?.slice() ?? bytes : bytes;
    match(await one.transfer({ change }), /failed: .*Content at \d+ instead of/);
    deepStrictEqual([one.delivered, one.completed], [[], []]);
    strictEqual(await one.transfer(), "finished: Installed");
    one.assertWhole();
  }
});

Deno.test("a beginning that is not that of the content is thrown away, not installed", async () => {
  await using one = new Case(SIZE);
  await one.transfer({ limit: 3 });
  const part = `${one.root}/in/${one.received[0]}`;
  const bytes = Deno.readFileSync(part);
  bytes[5] = (bytes[5] ?? 0) ^ 1;
  Deno.writeFileSync(part, bytes);
  match(await one.transfer(), /failed: .*checksum/);
  deepStrictEqual([one.received, one.delivered, one.completed], [[], [], []]);
  strictEqual(await one.transfer(), "finished: Installed");
  one.assertWhole();
});

Deno.test("a transfer of other content does not go on with what is there, and removes it", async () => {
  await using one = new Case(SIZE);
  await one.transfer({ limit: 3 });
  const before = one.received;
  Deno.writeFileSync(`${one.root}/source`, one.content.fill(7));
  strictEqual(await one.transfer(), "finished: Installed");
  strictEqual(one.resumed.at(-1), 0);
  ok(!one.received.includes(before[0] ?? ""));
  one.assertWhole();
});

Deno.test("a snapshot that is not wanted fails at once", async () => {
  await using one = new Case(SIZE);
  const receiveSnapshot = (): Promise<undefined> => Promise.resolve(undefined);
  match(await one.transfer({ receiveSnapshot }), /failed: .*not want/);
  deepStrictEqual([one.received, one.delivered], [[], []]);
});

Deno.test("a sender that is not let in learns why, and nothing is written", async () => {
  await using one = new Case(SIZE);
  const admission = { kind: "refused", text: "Another cluster" } as const;
  strictEqual(await one.transfer({ admission }), "failed: Another cluster");
  deepStrictEqual(one.received, []);
});

Deno.test("a sender does not give its content to somebody else", async () => {
  await using one = new Case(SIZE);
  const answer = makeHello(identityOf(9), {});
  strictEqual(
    await one.transfer({ admission: { kind: "admitted", answer } }),
    "failed: Somebody else",
  );
  deepStrictEqual(one.delivered, []);
});

Deno.test("a receiver whose disk is full ends the transfer and says so", async () => {
  await using one = new Case(SIZE);
  let aborts = 0;
  const sink: SnapshotSink = {
    resumeOffset: 0,
    write: () => Promise.reject(new OperatingError("disk_full", "Cannot write: no room")),
    commit: () => Promise.resolve(),
    abort: () => {
      aborts += 1;
      return Promise.resolve();
    },
  };
  const outcome = await one.transfer({ receiveSnapshot: () => Promise.resolve(sink) });
  strictEqual(outcome, "failed: Cannot write: no room");
  deepStrictEqual([one.delivered, aborts], [[], 1]);
});

Deno.test("a sender is never further ahead of the sink than the window", async () => {
  await using one = new Case(4 * SNAPSHOT_WINDOW_BYTES);
  let [sent, written, furthest] = [0, 0, 0];
  const slow: SnapshotSink = {
    resumeOffset: 0,
    write: async (chunk) => {
      await new DenoClock().sleep(1);
      written += chunk.length;
    },
    commit: () => Promise.resolve(),
    abort: () => Promise.resolve(),
  };
  const change = (bytes: Uint8Array): Uint8Array => {
    sent += bytes.length;
    furthest = Math.max(furthest, sent - written);
    return bytes;
  };
  const receiveSnapshot = (): Promise<SnapshotSink> => Promise.resolve(slow);
  strictEqual(await one.transfer({ change, receiveSnapshot }), "finished: Installed");
  ok(furthest > SNAPSHOT_WINDOW_BYTES / 2);
  ok(furthest <= SNAPSHOT_WINDOW_BYTES + PIECE_BYTES, `${furthest} bytes ahead`);
});

Deno.test("a transfer that stands still ends on both sides", async () => {
  await using one = new Case(SIZE);
  const clock = new FakeClock();
  const never = Promise.withResolvers<undefined>();
  const outcome = one.transfer({ clock, receiveSnapshot: () => never.promise });
  clock.advance(SNAPSHOT_SILENCE_MS_MAX);
  never.resolve(undefined);
  match(await outcome, /failed: No progress/);
});

Deno.test("a file that became shorter than was offered fails the transfer", async () => {
  await using one = new Case(SIZE);
  const offer = { ...one.offer, sizeBytes: SIZE + 1 };
  match(await one.transfer({ offer }), /failed: Cannot read .* it ends at/);
  deepStrictEqual(one.delivered, []);
});

Deno.test("a transfer that is cancelled fails, and what was written stays for the next", async () => {
  await using one = new Case(SIZE);
  strictEqual(
    await one.transfer({ onStarted: (sender) => sender.cancel("No leader any more") }),
    "failed: No leader any more",
  );
  strictEqual(await one.transfer(), "finished: Installed");
  one.assertWhole();
});
