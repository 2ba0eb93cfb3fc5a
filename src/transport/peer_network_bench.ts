/**
 * How fast two processes on loopback talk: a message there and its answer back with nothing else under way,
 * with 256 KiB appends under way, messages a second, megabytes a second, and calls. Prints a line for each.
 * Run: deno run -A src/transport/peer_network_bench.ts
 */
import { logIndex, nodeId, term } from "../base/ids.ts";
import type { Message } from "../raft/message.ts";
import type { ForwardRequest } from "./peer_calls.ts";
import { identityOf, TestNetworks, type TestNode, untilConnected } from "./testing.ts";

const ROUNDS = 3000;
const MESSAGES = 100_000;
const WINDOW = 256;
const BULK_BYTES = 256 * 1024;
const BULKS = 1000;
const CALLS = 3000;

function envelope(from: number): Pick<Message, "from" | "to" | "term"> {
  return { from: nodeId(from), to: nodeId(3 - from), term: term(1) };
}

const HEARTBEAT: Message = {
  kind: "heartbeat",
  ...envelope(1),
  commit: logIndex(9),
  readRound: 1,
};

function append(size: number): Message {
  const entry = { index: logIndex(8), term: term(1), size, payload: new Uint8Array(size) };
  return {
    kind: "append",
    ...envelope(1),
    prevIndex: logIndex(7),
    prevTerm: term(1),
    entries: [{ kind: "normal", ...entry }],
    commit: logIndex(7),
  };
}

/** The other process: answers everything, until its input ends. */
async function answer(address: string): Promise<void> {
  await using networks = new TestNetworks();
  const node: TestNode = await networks.open(identityOf(2), {
    answers: {
      receive: (message) => {
        if (message.kind === "heartbeat") {
          const { readRound } = message;
          node.network.send({ kind: "heartbeat_response", ...envelope(2), readRound });
        } else if (message.kind === "append") {
          const index = logIndex(message.prevIndex + message.entries.length);
          const rejection = undefined;
          node.network.send({ kind: "append_response", ...envelope(2), index, rejection });
        }
      },
      // The bench asks for nothing else.
      answer: (() =>
        Promise.resolve({ kind: "forward", answer: { results: "[{}]", raftIndex: 1 } })) as never,
    },
  });
  const peer = { nodeId: nodeId(1), incarnation: identityOf(1).incarnation, address };
  node.network.setPeers({ peers: [peer], nextNodeId: 3 });
  await Deno.stdout.write(new TextEncoder().encode(`${node.peer.address}\n`));
  await Deno.stdin.read(new Uint8Array(1));
}

interface Bench {
  readonly node: TestNode;
  readonly address: string;
  /** Called with each message that arrives. */
  readonly on: { receive: (message: Message) => void };
}

/** Sends `count` messages, `window` of them unanswered. @returns the milliseconds that each took. */
function exchange(
  { node, on }: Bench,
  { message, count, window }: {
    readonly message: Message;
    readonly count: number;
    readonly window: number;
  },
): Promise<number[]> {
  const { promise, resolve } = Promise.withResolvers<number[]>();
  const sentMs: number[] = [];
  const tookMs: number[] = [];
  const awaited = message.kind === "heartbeat" ? "heartbeat_response" : "append_response";
  const send = (): void => {
    sentMs.push(performance.now());
    node.network.send(message);
  };
  on.receive = ({ kind }): void => {
    if (kind !== awaited) return;
    tookMs.push(performance.now() - (sentMs[tookMs.length] ?? 0));
    if (sentMs.length < count) send();
    if (tookMs.length === count) resolve(tookMs);
  };
  for (let place = 0; place < Math.min(window, count); place++) send();
  return promise;
}

function percentiles(tookMs: readonly number[]): string {
  const sorted = tookMs.toSorted((a, b) => a - b);
  const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(3);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${(sorted.at(-1) ?? 0).toFixed(3)} ms`;
}

async function print(line: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${line}\n`));
}

async function measure(bench: Bench): Promise<void> {
  const ping = { message: HEARTBEAT, count: ROUNDS, window: 1 };
  await exchange(bench, ping);
  await print(`ping-pong: ${percentiles(await exchange(bench, ping))}`);
  const small = { message: append(100), count: ROUNDS, window: 1 };
  await print(`append of 100 bytes and answer: ${percentiles(await exchange(bench, small))}`);
  const startMs = performance.now();
  await exchange(bench, { message: HEARTBEAT, count: MESSAGES, window: WINDOW });
  const rate = MESSAGES / (performance.now() - startMs) * 1000;
  await print(`messages there and back, ${WINDOW} under way: ${Math.round(rate)}/s`);
  const bulkMs = performance.now();
  await exchange(bench, { message: append(BULK_BYTES), count: BULKS, window: 64 });
  const speed = BULKS * BULK_BYTES / 1e6 / (performance.now() - bulkMs) * 1000;
  await print(`appends of 256 KiB: ${speed.toFixed(0)} MB/s`);
  await measureHeartbeatsUnderBulk(bench);
  const callMs: number[] = [];
  const request: ForwardRequest = {
    kind: "forward",
    work: { kind: "execute", format: 0 },
    body: new Uint8Array(100),
    credentials: undefined,
    hops: 0,
  };
  for (let count = 0; count < CALLS; count++) {
    const atMs = performance.now();
    await bench.node.network.call(bench.address, request, { timeoutMs: 5000 });
    callMs.push(performance.now() - atMs);
  }
  await print(`calls one after the other: ${percentiles(callMs)}`);
}

async function measureHeartbeatsUnderBulk({ node, on }: Bench): Promise<void> {
  const tookMs: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  let sentMs = 0;
  on.receive = ({ kind }): void => {
    if (kind === "append_response") node.network.send(append(BULK_BYTES));
    if (kind !== "heartbeat_response") return;
    tookMs.push(performance.now() - sentMs);
    if (tookMs.length === 100) resolve();
  };
  for (let count = 0; count < 64; count++) node.network.send(append(BULK_BYTES));
  const timer = setInterval(() => {
    sentMs = performance.now();
    node.network.send(HEARTBEAT);
  }, 100);
  await promise;
  clearInterval(timer);
  on.receive = () => undefined;
  await print(`heartbeats beside bulk at full speed: ${percentiles(tookMs)}`);
}

async function main(): Promise<void> {
  const [role, address] = Deno.args;
  if (role === "answer" && address !== undefined) return await answer(address);
  await using networks = new TestNetworks();
  const on: Bench["on"] = { receive: () => undefined };
  const node = await networks.open(identityOf(1), {
    answers: { receive: (message) => on.receive(message) },
  });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", import.meta.filename ?? "", "answer", node.peer.address],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const peerAddress = new TextDecoder().decode(value).trim();
  const incarnation = identityOf(2).incarnation;
  const peer = { nodeId: nodeId(2), incarnation, address: peerAddress };
  node.network.setPeers({ peers: [peer], nextNodeId: 3 });
  await untilConnected(node);
  await measure({ node, address: peerAddress, on });
  await child.stdin.close();
  await child.status;
  await reader.cancel();
}

if (import.meta.main) await main();
