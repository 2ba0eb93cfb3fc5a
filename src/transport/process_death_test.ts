/**
 * Evidence of dead processes with real ones (rule E2): killed, ended in order, stopped and continued,
 * restarted.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { DenoClock } from "../os/deno_clock.ts";
import type { Message } from "../raft/message.ts";
import { startTalkingProcess, type TalkingProcess } from "./talking_process.ts";
import { identityOf, TestNetworks, type TestNode, until, untilConnected } from "./testing.ts";

/** A leader has to be missed well before the shortest election timeout (rule E1). */
const EVIDENCE_MS_MAX = 700;
/** Read rounds of heartbeats that are sent to a process while it is stopped. */
const WHILE_STOPPED = 1_000_000;

function heartbeat(readRound: number): Message {
  const envelope = { from: nodeId(1), to: nodeId(2), term: term(1) };
  return { kind: "heartbeat", ...envelope, commit: logIndex(0), readRound };
}

function introduce(one: TestNode, two: TalkingProcess): void {
  const { incarnation } = identityOf(2);
  const peer = { nodeId: nodeId(2), incarnation, address: two.address };
  one.network.setPeers({ peers: [peer], nextNodeId: 9 });
}

async function start(one: TestNode, port = 0): Promise<TalkingProcess> {
  const two = await startTalkingProcess({ port, folder: "/nowhere" });
  introduce(one, two);
  await two.connect(one.peer.address);
  await untilConnected(one);
  // The process has dialled too: its answers come over its own lane.
  const before = one.told.messages.length;
  await until(() => {
    one.network.send(heartbeat(1));
    return one.told.messages.length > before;
  }, "an answer");
  return two;
}

function evidence({ told }: TestNode): string[] {
  return told.events.filter((each) => /^(gone|back)/.test(each));
}

Deno.test("PeerNetwork: a process that is killed is known to be gone long before a timeout", async () => {
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1));
  await using two = await start(one);
  deepStrictEqual(evidence(one), []);
  const startMs = performance.now();
  two.child.kill("SIGKILL");
  await until(() => evidence(one).length > 0, "evidence");
  const elapsedMs = performance.now() - startMs;
  match(evidence(one)[0] ?? "", /^gone 2 [0-9a-f]{16}$/);
  ok(elapsedMs < EVIDENCE_MS_MAX, `after ${elapsedMs} ms`);
});

Deno.test("PeerNetwork: a killed process that is started again is back, as another one", async () => {
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1));
  let port: number;
  {
    await using two = await start(one);
    port = Number(two.address.split(":").at(-1));
    two.child.kill("SIGKILL");
    await until(() => evidence(one).length > 0, "evidence");
  }
  await using _again = await start(one, port);
  const [gone, back] = evidence(one);
  match(back ?? "", /^back 2 [0-9a-f]{16}$/);
  ok(back?.slice(-16) !== gone?.slice(-16));
  strictEqual(evidence(one).length, 2);
});

Deno.test("PeerNetwork: a process that ends in order is known to be gone", async () => {
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1));
  {
    await using _two = await start(one);
  }
  await until(() => evidence(one).length > 0, "evidence");
  match(evidence(one)[0] ?? "", /^gone 2/);
});

Deno.test("PeerNetwork: a process that is stopped is silent, not gone, and goes on where it was", async () => {
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1));
  await using two = await start(one);
  const connects = one.network.peers()[0]?.control.connects;
  two.child.kill("SIGSTOP");
  const answered = (): number =>
    one.told.messages.filter((each) =>
      each.kind === "heartbeat_response" && each.readRound >= WHILE_STOPPED
    ).length;
  for (let round = 0; round < 10; round++) {
    one.network.send(heartbeat(WHILE_STOPPED + round));
    await new DenoClock().sleep(100);
  }
  strictEqual(answered(), 0);
  deepStrictEqual(evidence(one), []);
  two.child.kill("SIGCONT");
  await until(() => answered() === 10, "the answers");
  deepStrictEqual(evidence(one), []);
  strictEqual(one.network.peers()[0]?.control.connects, connects);
});
