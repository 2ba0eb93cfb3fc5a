/**
 * Snapshots between networks, over sockets: beside the engine's messages, one at a time in each direction,
 * only from members, reported once.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { type LogIndex, logIndex, nodeId, term } from "../base/ids.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import type { File, FileAccess } from "../os/file_system.ts";
import type { SnapshotMessage } from "../raft/message.ts";
import { PIECE_BYTES } from "./limits.ts";
import type { PeerServices, SnapshotOffer, SnapshotSink } from "./peer_services.ts";
import { openSnapshotFile } from "./snapshot_file.ts";
import {
  identityOf,
  introduce,
  TestNetworks,
  type TestNode,
  until,
  untilConnected,
} from "./testing.ts";

function snapshot(options: {
  readonly from?: number;
  readonly term?: number;
  readonly index?: number;
}): SnapshotMessage {
  const { from = 1, term: at = 1, index = 5 } = options;
  const voters = [nodeId(1), nodeId(2), nodeId(3)];
  const lists = { votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  return {
    kind: "snapshot",
    from: nodeId(from),
    to: nodeId(2),
    term: term(at),
    snapshot: { index: logIndex(index), term: term(1), configuration: { voters, ...lists } },
  };
}

class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "dust_snapshots_" });

  content(size: number): { path: string; sizeBytes: number; entryChain: string } {
    const path = `${this.path}/content-${size}`;
    const bytes = new Uint8Array(size).map((_, at) => at % 253);
    Deno.writeFileSync(path, bytes);
    return { path, sizeBytes: size, entryChain: "0123456789abcdef" };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Services that take snapshots as files. */
function receiving(folder: Folder, offers: SnapshotOffer[]): Partial<PeerServices> {
  return {
    receiveSnapshot: (offer) => {
      offers.push(offer);
      return openSnapshotFile({
        fileSystem: new DenoFileSystem(),
        directory: folder.path,
        offer,
        onComplete: () => undefined,
      });
    },
  };
}

function indexes({ told }: TestNode): LogIndex[] {
  return told.messages.flatMap((each) => each.kind === "snapshot" ? [each.snapshot.index] : []);
}

function reports({ told }: TestNode): string[] {
  return told.events.filter((text) => text.startsWith("snapshot"));
}

Deno.test("PeerNetwork.sendSnapshot() brings content, note and message, and reports once", async () => {
  using folder = new Folder();
  await using networks = new TestNetworks();
  const offers: SnapshotOffer[] = [];
  const one = await networks.open(identityOf(1));
  const two = await networks.open(identityOf(2), { answers: receiving(folder, offers) });
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  const content = folder.content(9 * PIECE_BYTES + 7);
  one.network.sendSnapshot(snapshot({}), content);
  await until(() => reports(one).length > 0, "a report");
  deepStrictEqual(reports(one), ["snapshot 2 finished"]);
  deepStrictEqual(two.told.messages, [snapshot({})]);
  strictEqual(new TextDecoder().decode(offers[0]?.note), content.entryChain);
  const [name] = [...Deno.readDirSync(folder.path)].map((each) => each.name)
    .filter((each) => each.startsWith("snapshot-5-1-"));
  const [left, right] = [`${folder.path}/${name}`, content.path].map((path) =>
    Deno.readFileSync(path)
  );
  ok(left !== undefined && right !== undefined && left.length === right.length);
  ok(left.every((byte, at) => byte === right[at]));
});

Deno.test("PeerNetwork.sendSnapshot() to nobody, or to who does not listen, fails", async () => {
  using folder = new Folder();
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1));
  const content = folder.content(10);
  one.network.setPeers({ peers: [], nextNodeId: 9 });
  one.network.sendSnapshot(snapshot({}), content);
  await until(() => reports(one).length === 1, "the first report");
  const address = "127.0.0.1:1";
  const peers = [{ nodeId: nodeId(2), incarnation: identityOf(2).incarnation, address }];
  one.network.setPeers({ peers, nextNodeId: 9 });
  one.network.sendSnapshot(snapshot({}), content);
  await until(() => reports(one).length === 2, "the second report");
  deepStrictEqual(reports(one), ["snapshot 2 failed", "snapshot 2 failed"]);
});

Deno.test("PeerNetwork takes no snapshot from a node of another cluster, nor from a stranger", async () => {
  using folder = new Folder();
  await using networks = new TestNetworks();
  const offers: SnapshotOffer[] = [];
  const two = await networks.open(identityOf(2), { answers: receiving(folder, offers) });
  const foreign = await networks.open(identityOf(1, { clusterId: new Uint8Array(16).fill(9) }));
  const stranger = await networks.open(identityOf(1, { incarnation: new Uint8Array(16).fill(9) }));
  const member = { ...foreign.peer, incarnation: identityOf(1).incarnation };
  two.network.setPeers({ peers: [member], nextNodeId: 9 });
  for (const node of [foreign, stranger]) {
    node.network.setPeers({ peers: [two.peer], nextNodeId: 9 });
    node.network.sendSnapshot(snapshot({}), folder.content(10));
    await until(() => reports(node).length === 1, "a report");
    deepStrictEqual(reports(node), ["snapshot 2 failed"]);
  }
  deepStrictEqual([offers, two.told.messages], [[], []]);
});

/** A sink that stands still until it is let go. */
function slowSink(): { readonly sink: SnapshotSink; readonly go: () => void; aborts: number } {
  const gate = Promise.withResolvers<void>();
  const state = {
    aborts: 0,
    go: () => gate.resolve(),
    sink: {
      resumeOffset: 0,
      write: () => gate.promise,
      commit: () => Promise.resolve(),
      abort: () => {
        state.aborts += 1;
        return Promise.resolve();
      },
    },
  };
  return state;
}

Deno.test("PeerNetwork takes one snapshot at a time; one of a newer leader ends the older's", async () => {
  using folder = new Folder();
  await using networks = new TestNetworks();
  const slow = slowSink();
  const sinks: SnapshotSink[] = [slow.sink];
  const offers: SnapshotOffer[] = [];
  const files = receiving(folder, offers);
  const two = await networks.open(identityOf(2), {
    answers: {
      receiveSnapshot: (offer) => {
        const sink = sinks.shift();
        return sink === undefined
          ? files.receiveSnapshot?.(offer) ?? Promise.resolve(undefined)
          : Promise.resolve(sink);
      },
    },
  });
  const [one, three] = [await networks.open(identityOf(1)), await networks.open(identityOf(3))];
  introduce(one, two, three);
  await Promise.all([one, two, three].map(untilConnected));
  const content = folder.content(PIECE_BYTES);
  one.network.sendSnapshot(snapshot({ term: 4 }), content);
  await until(() => sinks.length === 0, "the first is let in");
  // An older leader's is declined and changes nothing.
  three.network.sendSnapshot(snapshot({ from: 3, term: 3, index: 6 }), content);
  await until(() => reports(three).length === 1, "the older is refused");
  deepStrictEqual([reports(one), slow.aborts], [[], 0]);
  // A newer one's ends the first, and is taken once that has let its sink go.
  three.network.sendSnapshot(snapshot({ from: 3, term: 5, index: 7 }), content);
  await until(() => reports(one).length === 1 && reports(three).length === 2, "both fail");
  slow.go();
  await until(() => slow.aborts === 1, "the sink is let go");
  three.network.sendSnapshot(snapshot({ from: 3, term: 5, index: 7 }), content);
  await until(() => reports(three).length === 3, "the newer is there");
  deepStrictEqual(reports(one), ["snapshot 2 failed"]);
  strictEqual(reports(three)[2], "snapshot 2 finished");
  deepStrictEqual(indexes(two), [7]);
});

Deno.test("PeerNetwork.sendSnapshot() again to one member replaces what is under way, unreported", async () => {
  using folder = new Folder();
  await using networks = new TestNetworks();
  const slow = slowSink();
  const sinks: SnapshotSink[] = [slow.sink];
  const files = receiving(folder, []);
  const one = await networks.open(identityOf(1));
  const two = await networks.open(identityOf(2), {
    answers: {
      receiveSnapshot: (offer) => {
        const sink = sinks.shift();
        return sink === undefined
          ? files.receiveSnapshot?.(offer) ?? Promise.resolve(undefined)
          : Promise.resolve(sink);
      },
    },
  });
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  const content = folder.content(PIECE_BYTES);
  one.network.sendSnapshot(snapshot({ index: 5 }), content);
  await until(() => sinks.length === 0, "the first is let in");
  slow.go();
  one.network.sendSnapshot(snapshot({ index: 6 }), content);
  await until(() => reports(one).length === 1, "a report");
  if (reports(one)[0] === "snapshot 2 failed") {
    // The first had not let go when the second came: the engine asks again.
    one.network.sendSnapshot(snapshot({ index: 6 }), content);
    await until(() => reports(one).length === 2, "another report");
  }
  strictEqual(reports(one).at(-1), "snapshot 2 finished");
  match(String(indexes(two).at(-1)), /^6$/);
});

Deno.test("PeerNetwork.setPeers() reports what was on its way to who left: its copy must not be kept for ever (N3)", async () => {
  using folder = new Folder();
  await using networks = new TestNetworks();
  const slow = slowSink();
  const one = await networks.open(identityOf(1));
  const offers: SnapshotOffer[] = [];
  const receiveSnapshot = (offer: SnapshotOffer): Promise<SnapshotSink> => {
    offers.push(offer);
    return Promise.resolve(slow.sink);
  };
  const two = await networks.open(identityOf(2), { answers: { receiveSnapshot } });
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  one.network.sendSnapshot(snapshot({}), folder.content(PIECE_BYTES));
  await until(() => offers.length > 0, "it is on its way");
  one.network.setPeers({ peers: [], nextNodeId: 9 });
  await until(() => reports(one).length === 1, "a report");
  deepStrictEqual(reports(one), ["snapshot 2 failed"]);
  slow.go();
});

Deno.test("PeerNetwork.close() waits until a snapshot on its way in has let its sink go", async () => {
  using folder = new Folder();
  await using networks = new TestNetworks();
  const slow = slowSink();
  const one = await networks.open(identityOf(1));
  let isWriting = false;
  const two = await networks.open(identityOf(2), {
    answers: {
      receiveSnapshot: () => {
        const write = (): Promise<void> => {
          isWriting = true;
          return slow.sink.write(new Uint8Array(0), 0);
        };
        return Promise.resolve({ ...slow.sink, write });
      },
    },
  });
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  one.network.sendSnapshot(snapshot({}), folder.content(PIECE_BYTES));
  await until(() => isWriting, "the sink is used");
  const closed = two.network.close();
  slow.go();
  await closed;
  strictEqual(slow.aborts, 1);
  deepStrictEqual(indexes(two), []);
});

/** Counts how often a file is opened. */
class CountingFileSystem extends DenoFileSystem {
  opened = 0;

  override openSync(path: string, access: FileAccess): File {
    this.opened += 1;
    return super.openSync(path, access);
  }
}

Deno.test("PeerNetwork.sendSnapshot() reads a copy once for its checksum, however often it is sent", async () => {
  using folder = new Folder();
  await using networks = new TestNetworks();
  const fileSystem = new CountingFileSystem();
  const one = await networks.open(identityOf(1), { fileSystem });
  const two = await networks.open(identityOf(2));
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  const content = folder.content(PIECE_BYTES);
  for (let round = 1; round <= 3; round++) {
    one.network.sendSnapshot(snapshot({}), content);
    await until(() => reports(one).length === round, "a report");
    strictEqual(fileSystem.opened, 1 + round);
  }
});
