import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { logIndex, nodeId, term } from "../base/ids.ts";
import type { Message } from "../raft/message.ts";
import { GRPC_MESSAGE_BYTES_MAX } from "./limits.ts";
import type { LocalIdentity } from "./peer_identity.ts";
import {
  identityOf,
  idOf,
  introduce,
  TestNetworks,
  type TestNode,
  until,
  untilConnected,
} from "./testing.ts";

function heartbeat(from: number, to: number, commit = 0): Message {
  const envelope = { from: nodeId(from), to: nodeId(to), term: term(1) };
  return { kind: "heartbeat", ...envelope, commit: logIndex(commit), readRound: 0 };
}

function append(options: { readonly size: number; readonly at?: number }): Message {
  const { size, at = 0 } = options;
  const payload = new Uint8Array(size);
  for (let place = 0; place < size; place += 4099) payload[place] = place % 251;
  return {
    kind: "append",
    from: nodeId(1),
    to: nodeId(2),
    term: term(1),
    prevIndex: logIndex(at),
    prevTerm: term(1),
    commit: logIndex(0),
    entries: [{ index: logIndex(at + 1), term: term(1), kind: "normal", size, payload }],
  };
}

async function pair(networks: TestNetworks): Promise<readonly [TestNode, TestNode]> {
  const nodes = [await networks.open(identityOf(1)), await networks.open(identityOf(2))] as const;
  introduce(...nodes);
  await Promise.all(nodes.map(untilConnected));
  return nodes;
}

Deno.test("PeerNetwork.send() reaches the other member, both ways, in order", async () => {
  await using networks = new TestNetworks();
  const [one, two] = await pair(networks);
  const sent = Array.from({ length: 1000 }, (_, at) => heartbeat(1, 2, at));
  for (const message of sent) one.network.send(message);
  two.network.send(heartbeat(2, 1));
  await until(
    () => two.told.messages.length === 1000 && one.told.messages.length === 1,
    "messages",
  );
  deepStrictEqual(two.told.messages, sent);
  deepStrictEqual(one.told.messages, [heartbeat(2, 1)]);
  deepStrictEqual(two.told.events, []);
  const [status] = one.network.peers();
  strictEqual(status?.sentMessages.heartbeat, 1000);
  strictEqual(status?.receivedMessages.heartbeat, 1);
});

Deno.test("PeerNetwork.send() delivers an entry larger than gRPC takes, and small ones around it", async () => {
  await using networks = new TestNetworks();
  const [one, two] = await pair(networks);
  const sizes = [10, 3 * GRPC_MESSAGE_BYTES_MAX + 1, 20];
  const sent = sizes.map((size, at) => append({ size, at }));
  for (const message of sent) one.network.send(message);
  await until(() => two.told.messages.length === 3, "appends");
  for (const [place, message] of two.told.messages.entries()) {
    const expected = sent[place];
    ok(message.kind === "append" && expected?.kind === "append");
    const [left, right] = [message.entries[0]?.payload, expected.entries[0]?.payload];
    ok(left !== undefined && right !== undefined);
    strictEqual(left.length, right.length);
    ok(left.every((byte, at) => byte === right[at]));
  }
});

Deno.test("PeerNetwork: a heartbeat overtakes entries that were sent before it", async () => {
  await using networks = new TestNetworks();
  const [one, two] = await pair(networks);
  for (let at = 0; at < 8; at++) one.network.send(append({ size: 4 << 20, at }));
  one.network.send(heartbeat(1, 2));
  await until(() => two.told.messages.length === 9, "messages");
  const place = two.told.messages.findIndex(({ kind }) => kind === "heartbeat");
  ok(place <= 2, `the heartbeat came as number ${place}`);
});

Deno.test("PeerNetwork.send() to nobody, and to one who is not there, says that it is unreachable", async () => {
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1));
  const absent = { nodeId: nodeId(2), incarnation: idOf(2), address: "127.0.0.1:1" };
  one.network.setPeers({ peers: [absent], nextNodeId: 3 });
  one.network.send(heartbeat(1, 2));
  one.network.send(heartbeat(1, 2));
  one.network.send(heartbeat(1, 7));
  await until(() => one.told.events.length >= 2, "events");
  deepStrictEqual(one.told.events.slice(0, 2).sort(), ["unreachable 2", "unreachable 7"]);
  strictEqual(one.network.peers()[0]?.droppedMessages, 2);
});

/** Opens node 1, and another node with `changes`; both take each other for members 1 and 2. */
async function mismatched(
  networks: TestNetworks,
  changes: Partial<LocalIdentity>,
  ours: Partial<LocalIdentity> = {},
): Promise<string[]> {
  const one = await networks.open(identityOf(1, ours));
  const two = await networks.open(identityOf(2, changes));
  one.network.setPeers({
    peers: [{ ...two.peer, nodeId: nodeId(2), incarnation: idOf(2) }],
    nextNodeId: 3,
  });
  two.network.setPeers({ peers: [one.peer], nextNodeId: 3 });
  await until(() => [one, two].every(({ told }) => told.events.length > 0), "both refuse");
  for (const { network, told } of [one, two]) {
    const [status] = network.peers();
    ok(!status?.control.isConnected && !status?.bulk.isConnected);
    deepStrictEqual(told.messages, []);
  }
  return [...one.told.events, ...two.told.events];
}

const MISMATCHES: readonly (readonly [
  name: string,
  changes: Partial<LocalIdentity>,
  expected: RegExp,
  ours?: Partial<LocalIdentity>,
])[] = [
  ["of another cluster", { clusterId: idOf(9) }, /belongs to cluster 0101|belongs to cluster 0909/],
  ["with another incarnation", { incarnation: idOf(9) }, /data directory was replaced/],
  ["with another SQLite", { sqliteFingerprint: "other" }, /run the same build/],
  [
    "that allows another SQLite alone",
    { sqliteFingerprint: "other", allowsOtherSqlite: true },
    /run the same build/,
  ],
  [
    "with other limits, whatever is allowed",
    { sqliteFingerprint: "sqlite; rules 1", allowsOtherSqlite: true },
    /run the same build of Dust on all nodes/,
    { allowsOtherSqlite: true },
  ],
];

for (const [name, changes, expected, ours] of MISMATCHES) {
  Deno.test(`PeerNetwork refuses a node ${name}, both ways`, async () => {
    await using networks = new TestNetworks();
    for (const event of await mismatched(networks, changes, ours)) match(event, expected);
  });
}

Deno.test("PeerNetwork lets in who joined without this node knowing, and not who was removed", async () => {
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1));
  const guest = await networks.open(identityOf(5));
  const former = await networks.open(identityOf(3));
  one.network.setPeers({ peers: [], nextNodeId: 5 });
  // As it stands in its hello, so that it can be answered.
  for (const node of [guest, former]) node.network.setPeers({ peers: [one.peer], nextNodeId: 6 });
  await untilConnected(guest);
  guest.network.send(heartbeat(5, 1));
  await until(() => one.told.messages.length === 1, "the guest's message");
  await until(() => former.told.events.length > 0, "a refusal");
  match(former.told.events[0] ?? "", /Node 3 was removed from the cluster/);
  // By now it is known that the guest was removed too.
  one.network.setPeers({ peers: [], nextNodeId: 6 });
  await until(() => guest.told.events.some((event) => event.includes("was removed")), "a refusal");
});

Deno.test("PeerNetwork.setPeers() drops who left and dials again who returns", async () => {
  await using networks = new TestNetworks();
  const [one, two] = await pair(networks);
  one.network.setPeers({ peers: [], nextNodeId: 100 });
  strictEqual(one.network.peers().length, 0);
  await until(() => two.network.peers()[0]?.control.isConnected === false, "the lanes to end");
  one.network.setPeers({ peers: [two.peer], nextNodeId: 100 });
  await Promise.all([one, two].map(untilConnected));
  one.network.send(heartbeat(1, 2));
  await until(() => two.told.messages.length === 1, "a message");
});

Deno.test("PeerNetwork takes no messages before setPeers()", async () => {
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1));
  const two = await networks.open(identityOf(2));
  one.network.setPeers({ peers: [two.peer], nextNodeId: 3 });
  await until(() => one.network.peers()[0]?.lastError !== undefined, "an error");
  strictEqual(one.network.peers()[0]?.lastError, "Not a member yet");
  two.network.setPeers({ peers: [one.peer], nextNodeId: 3 });
  await Promise.all([one, two].map(untilConnected));
});
