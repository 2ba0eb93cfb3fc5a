import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { nodeId, term } from "../base/ids.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { PROBE_GAP_MS } from "./limits.ts";
import { probeByTcp, type ProbeResult, ProcessEvidence } from "./process_evidence.ts";
import { identityOf, introduce, TestNetworks, until, untilConnected } from "./testing.ts";

/** Evidence whose probes answer `results` in order, the last one for ever. */
function asking(results: readonly ProbeResult[]): {
  readonly evidence: ProcessEvidence;
  readonly probedMs: number[];
} {
  const clock = new DenoClock();
  const probedMs: number[] = [];
  const probe = (): Promise<ProbeResult> => {
    probedMs.push(clock.monotonicMs());
    return Promise.resolve(results[probedMs.length - 1] ?? results.at(-1) ?? "unknown");
  };
  const onBug = (error: unknown): void => {
    throw error;
  };
  return { evidence: new ProcessEvidence({ clock, probe, onBug }), probedMs };
}

Deno.test("ProcessEvidence needs two refusals, PROBE_GAP_MS apart", async () => {
  const { evidence, probedMs } = asking(["refused"]);
  let gone = 0;
  evidence.begin("a:1", () => gone += 1);
  await until(() => gone > 0, "evidence");
  strictEqual(gone, 1);
  strictEqual(probedMs.length, 2);
  ok((probedMs[1] ?? 0) - (probedMs[0] ?? 0) >= PROBE_GAP_MS);
});

for (const other of ["connected", "unknown"] as const) {
  Deno.test(`ProcessEvidence: ${other} behind a refusal is none, and is asked about again`, async () => {
    const { evidence, probedMs } = asking(["refused", other, other, "refused", "refused"]);
    let probesAtGone = 0;
    evidence.begin("a:1", () => probesAtGone = probedMs.length);
    await until(() => probesAtGone > 0, "evidence");
    strictEqual(probesAtGone, 5);
  });
}

Deno.test("ProcessEvidence.cancel() ends the asking", async () => {
  const { evidence, probedMs } = asking(["unknown"]);
  let gone = 0;
  evidence.begin("a:1", () => gone += 1);
  await until(() => probedMs.length >= 2, "probes");
  evidence.cancel();
  const count = probedMs.length;
  await new DenoClock().sleep(200);
  strictEqual(probedMs.length, count);
  strictEqual(gone, 0);
});

Deno.test("probeByTcp() tells a listener from none", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${listener.addr.port}`;
  strictEqual(await probeByTcp(address), "connected");
  listener.close();
  strictEqual(await probeByTcp(address), "refused");
});

Deno.test("PeerNetwork: a process that ended is told of once, and so is its successor", async () => {
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1));
  const before = identityOf(2);
  const two = await networks.open(before);
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  await two.network.close();
  const gone = `gone 2 ${before.bootNonce.toHex()}`;
  await until(() => one.told.events.includes(gone), "evidence");
  const after = identityOf(2);
  const port = Number(two.peer.address.split(":").at(-1));
  const again = await networks.open(after, { listen: { host: "127.0.0.1", port } });
  again.network.setPeers({ peers: [one.peer], nextNodeId: 100 });
  const back = `back 2 ${after.bootNonce.toHex()}`;
  await until(() => one.told.events.includes(back), "its successor");
  deepStrictEqual(one.told.events.filter((each) => /gone|back/.test(each)), [gone, back]);
});

Deno.test("PeerNetwork: a peer whose listener still answers is not gone", async () => {
  await using networks = new TestNetworks();
  let probes = 0;
  const probe = (): Promise<ProbeResult> => {
    probes += 1;
    return Promise.resolve("connected");
  };
  const one = await networks.open(identityOf(1), { probe });
  const two = await networks.open(identityOf(2));
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  await two.network.close();
  await until(() => probes >= 4, "probes");
  ok(!one.told.events.some((each) => each.startsWith("gone")));
});

Deno.test("PeerNetwork: of two processes with one identity the second is kept out, with an alarm", async () => {
  await using networks = new TestNetworks();
  const one = await networks.open(identityOf(1));
  const two = await networks.open(identityOf(2));
  introduce(one, two);
  await Promise.all([one, two].map(untilConnected));
  const copy = await networks.open(identityOf(2));
  copy.network.setPeers({ peers: [one.peer], nextNodeId: 100 });
  await until(() => one.told.events.includes("duplicate 2"), "the alarm");
  match(copy.network.peers()[0]?.lastError ?? "", /Another process with this identity/);
  ok(!copy.network.peers()[0]?.control.isConnected);
  copy.network.send({
    kind: "timeout_now",
    from: nodeId(2),
    to: nodeId(1),
    term: term(1),
  });
  strictEqual(one.told.messages.length, 0);
  ok(one.network.peers()[0]?.control.isConnected, "the first is still there");
});
