/**
 * What the transport costs between two processes on loopback: `deno run -A src/transport/transport_bench.ts
 * [--tls]`. Prints latencies, rates, and the processor time of both sides, which other load changes least.
 * The other process is talking_process.ts.
 */
import { type LogIndex, logIndex, nodeId, term } from "../base/ids.ts";
import type { Message } from "../raft/message.ts";
import type { Peer } from "./peer_identity.ts";
import type { PeerNetwork } from "./peer_network.ts";
import type { PeerServices } from "./peer_services.ts";
import type { PeerTls } from "./peer_tls.ts";
import { makeTestCertificate } from "./test_certificate.ts";
import type { TestNode } from "./testing.ts";

const PINGS = 2000;
const MESSAGES = 50_000;
const MESSAGES_IN_FLIGHT = 256;
const SNAPSHOT_BYTES = 256 * 1024 * 1024;
/** Clock ticks of /proc/PID/stat. */
const TICK_MS = 10;

const ENVELOPE = { from: nodeId(1), to: nodeId(2), term: term(1) };

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text + "\n"));
}

function heartbeat(readRound: number): Message {
  return { kind: "heartbeat", ...ENVELOPE, commit: logIndex(0), readRound };
}

function append(index: LogIndex, payload: Uint8Array): Message {
  const entry = { index, term: term(1), kind: "normal" as const, size: payload.length, payload };
  const prevIndex = logIndex(index - 1);
  return {
    kind: "append",
    ...ENVELOPE,
    prevIndex,
    prevTerm: term(1),
    commit: prevIndex,
    entries: [entry],
  };
}

async function open(options: {
  readonly id: number;
  readonly tls: PeerTls | undefined;
  readonly answers: Partial<PeerServices>;
}): Promise<TestNode> {
  const { identityOf, TestNetworks } = await import("./testing.ts");
  return await new TestNetworks().open(identityOf(options.id), options);
}

function peerAt(id: number, address: string): Peer {
  return { nodeId: nodeId(id), incarnation: new Uint8Array(16).fill(id), address };
}

/** Processor time of a process so far, user and system. */
function processorMs(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

function quantiles(values: number[]): string {
  values.sort((left, right) => left - right);
  const at = (share: number): string =>
    (values[Math.floor((values.length - 1) * share)] ?? 0).toFixed(2);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`;
}

/** Messages out and answers in, with so many in flight; how long all took. */
class Pump {
  readonly network: () => PeerNetwork;
  #onAnswer: (message: Message) => void = () => undefined;

  constructor(network: () => PeerNetwork) {
    this.network = network;
  }

  /** What a stream of large appends does with its answers, beside `run`. */
  onAppended: () => void = () => undefined;

  receive(message: Message): void {
    if (message.kind === "append_response") this.onAppended();
    this.#onAnswer(message);
  }

  async run(options: {
    readonly count: number;
    readonly inFlight: number;
    readonly make: (place: number) => Message;
  }): Promise<number> {
    const { count, inFlight, make } = options;
    const done = Promise.withResolvers<void>();
    let [sent, answered] = [0, 0];
    const startMs = performance.now();
    this.#onAnswer = (message) => {
      if (message.kind !== make(0).kind + "_response") return;
      answered += 1;
      if (sent < count) this.network().send(make(sent++));
      else if (answered === count) done.resolve();
    };
    while (sent < Math.min(count, inFlight)) this.network().send(make(sent++));
    await done.promise;
    return performance.now() - startMs;
  }
}

interface Bench {
  readonly pump: Pump;
  readonly node: TestNode;
  readonly childPid: number;
  readonly folder: string;
}

/** Runs `work` and says how long it took by the clock and on both processors. */
async function measure(
  { childPid }: Bench,
  work: () => Promise<unknown>,
): Promise<{ readonly elapsedMs: number; readonly here: number; readonly there: number }> {
  const [here, there] = [processorMs(Deno.pid), processorMs(childPid)];
  const startMs = performance.now();
  await work();
  const elapsedMs = performance.now() - startMs;
  return {
    elapsedMs,
    here: processorMs(Deno.pid) - here,
    there: processorMs(childPid) - there,
  };
}

async function benchLatency({ pump }: Bench, name: string): Promise<void> {
  const latencies: number[] = [];
  for (let ping = 0; ping < PINGS; ping++) {
    latencies.push(await pump.run({ count: 1, inFlight: 1, make: () => heartbeat(ping) }));
  }
  print(`${name}: ${quantiles(latencies)}`);
}

async function benchRate(bench: Bench): Promise<void> {
  const run = { count: MESSAGES, inFlight: MESSAGES_IN_FLIGHT, make: heartbeat };
  await bench.pump.run({ ...run, count: 5000 });
  const { elapsedMs, here, there } = await measure(bench, () => bench.pump.run(run));
  const rate = Math.round(MESSAGES / elapsedMs * 1000);
  print(
    `heartbeats and answers, ${MESSAGES_IN_FLIGHT} in flight: ${rate}/s; processor per pair ` +
      `${(here / MESSAGES * 1000).toFixed(1)} us here, ${
        (there / MESSAGES * 1000).toFixed(1)
      } us there`,
  );
}

async function benchBulk(bench: Bench, payloadBytes: number, count: number): Promise<void> {
  const payload = crypto.getRandomValues(new Uint8Array(65_536));
  const whole = new Uint8Array(payloadBytes);
  for (let at = 0; at < payloadBytes; at += payload.length) {
    whole.set(payload.subarray(0, Math.min(payload.length, payloadBytes - at)), at);
  }
  const make = (place: number): Message => append(logIndex(place + 1), whole);
  const inFlight = Math.max(4, Math.min(256, Math.floor(8 * 1024 * 1024 / payloadBytes)));
  const { elapsedMs, here, there } = await measure(
    bench,
    () => bench.pump.run({ count, inFlight, make }),
  );
  const megabytes = payloadBytes * count / 1e6;
  print(
    `appends of ${payloadBytes} bytes, ${inFlight} in flight: ${
      Math.round(count / elapsedMs * 1000)
    }/s, ` +
      `${(megabytes / elapsedMs * 1000).toFixed(0)} MB/s; processor ` +
      `${(here / count * 1000).toFixed(0)} us here, ${(there / count * 1000).toFixed(0)} us there`,
  );
}

/** Heartbeats while the bulk lane always has something to do. */
async function benchBehindBulk(bench: Bench): Promise<void> {
  const { node, pump } = bench;
  const payload = new Uint8Array(1024 * 1024);
  let index = 0;
  const next = (): void => node.network.send(append(logIndex(++index), payload));
  pump.onAppended = next;
  for (let place = 0; place < 8; place++) next();
  await benchLatency(bench, "the same beside appends of 1 MiB, 8 in flight");
  pump.onAppended = () => undefined;
}

async function benchSnapshot(bench: Bench): Promise<void> {
  const path = `${bench.folder}/content`;
  const file = await Deno.create(path);
  const piece = crypto.getRandomValues(new Uint8Array(65_536));
  for (let at = 0; at < SNAPSHOT_BYTES; at += piece.length) file.writeSync(piece);
  file.close();
  const configuration = {
    voters: [nodeId(1), nodeId(2)],
    votersOutgoing: [],
    learners: [],
    learnersNext: [],
    autoLeave: false,
  };
  const snapshot = { index: logIndex(1), term: term(1), configuration };
  const { elapsedMs, here, there } = await measure(bench, async () => {
    const before = bench.node.told.events.length;
    const content = { path, sizeBytes: SNAPSHOT_BYTES, entryChain: "" };
    bench.node.network.sendSnapshot({ kind: "snapshot", ...ENVELOPE, snapshot }, content);
    while (bench.node.told.events.length === before) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  const megabytes = SNAPSHOT_BYTES / 1e6;
  print(
    `snapshot of ${megabytes.toFixed(0)} MB, file to synced file: ${
      (megabytes / elapsedMs * 1000).toFixed(0)
    } MB/s; processor ${here} ms here, ${there} ms there; ${bench.node.told.events.at(-1)}`,
  );
}

async function benchCalls({ node }: Bench, address: string): Promise<void> {
  const request = { kind: "remove", name: "n", credentials: undefined } as const;
  const latencies: number[] = [];
  for (let call = 0; call < PINGS; call++) {
    const startMs = performance.now();
    await node.network.call(address, request, { timeoutMs: 5000 });
    latencies.push(performance.now() - startMs);
  }
  print(`calls, one at a time: ${quantiles(latencies)}`);
}

/** From a `kill -9` to the evidence of it (rule E2). */
async function benchDeath({ node }: Bench, kill: () => void): Promise<void> {
  const startMs = performance.now();
  kill();
  while (!node.told.events.some((each) => each.startsWith("gone"))) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  print(`killed process known to be gone after ${(performance.now() - startMs).toFixed(0)} ms`);
}

async function writeCertificates(folder: string): Promise<void> {
  const authority = makeTestCertificate({ commonName: "authority", isAuthority: true });
  const addresses = ["127.0.0.1"];
  const { certificate, key } = makeTestCertificate({ commonName: "node", authority, addresses });
  await Deno.writeTextFile(`${folder}/cert.pem`, certificate);
  await Deno.writeTextFile(`${folder}/key.pem`, key);
  await Deno.writeTextFile(`${folder}/ca.pem`, authority.certificate);
}

async function main({ withTls }: { readonly withTls: boolean }): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "dust-transport-bench-" });
  await Deno.mkdir(`${folder}/in`);
  if (withTls) await writeCertificates(folder);
  const [loadMs, before] = [performance.now(), Deno.memoryUsage().rss];
  await import("./peer_network.ts");
  const megabytes = (Deno.memoryUsage().rss - before) / 1e6;
  const elapsedMs = performance.now() - loadMs;
  print(`loading the transport: ${elapsedMs.toFixed(0)} ms, ${megabytes.toFixed(0)} MB`);
  const tlsFolder = withTls ? folder : undefined;
  const { loadTestTls, startTalkingProcess } = await import("./talking_process.ts");
  const inFolder = `${folder}/in`;
  const other = await startTalkingProcess({ port: 0, folder: inFolder, tlsFolder });
  const pump: Pump = new Pump(() => node.network);
  const node: TestNode = await open({
    id: 1,
    tls: await loadTestTls(tlsFolder),
    answers: { receive: (message) => pump.receive(message) },
  });
  node.network.setPeers({ peers: [peerAt(2, other.address)], nextNodeId: 9 });
  await other.connect(node.peer.address);
  const { untilConnected } = await import("./testing.ts");
  await untilConnected(node);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const bench = { pump, node, childPid: other.child.pid, folder };
  await benchLatency(bench, "heartbeat and answer, one at a time");
  await benchRate(bench);
  for (const [size, count] of [[150, 20_000], [65_536, 4000], [1024 * 1024, 256]] as const) {
    await benchBulk(bench, size, count);
  }
  await benchBehindBulk(bench);
  await benchSnapshot(bench);
  await benchCalls(bench, other.address);
  await benchDeath(bench, () => other.child.kill("SIGKILL"));
  await node.network.close();
  await other[Symbol.asyncDispose]();
  await Deno.remove(folder, { recursive: true });
}

if (import.meta.main) await main({ withTls: Deno.args[0] === "--tls" });
