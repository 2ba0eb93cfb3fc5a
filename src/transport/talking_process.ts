/**
 * A node in a process of its own, for tests and the bench: number 2 of a cluster of two. It prints its
 * address, reads number 1's from its input, answers heartbeats and appends as a follower does and calls
 * with "done", takes snapshots into FOLDER, and ends in an orderly way when its input does.
 * Run: deno run -A src/transport/talking_process.ts PORT FOLDER [TLS_FOLDER]
 */
import { logIndex, nodeId, term } from "../base/ids.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import type { Message } from "../raft/message.ts";
import type { PeerServices } from "./peer_services.ts";
import { PeerTls } from "./peer_tls.ts";
import { openSnapshotFile } from "./snapshot_file.ts";
import { identityOf, TestNetworks, type TestNode } from "./testing.ts";

const BACK = { from: nodeId(2), to: nodeId(1), term: term(1) };

/** TLS with the files `cert.pem`, `key.pem` and `ca.pem` of a folder, both sides verified. */
export async function loadTestTls(folder: string | undefined): Promise<PeerTls | undefined> {
  if (folder === undefined) return undefined;
  return await PeerTls.load({
    certificatePath: `${folder}/cert.pem`,
    keyPath: `${folder}/key.pem`,
    caPath: `${folder}/ca.pem`,
    verifiesServers: true,
    verifiesClients: true,
    serverName: undefined,
    clientCommonName: "node",
  });
}

/** The other side of such a process. */
export interface TalkingProcess extends AsyncDisposable {
  readonly child: Deno.ChildProcess;
  readonly address: string;
  /** Makes it dial number 1. */
  connect(address: string): Promise<void>;
}

/** Starts one. Disposed of, it has ended. */
export async function startTalkingProcess(options: {
  /** 0 chooses one. */
  readonly port: number;
  readonly folder: string;
  readonly tlsFolder?: string | undefined;
}): Promise<TalkingProcess> {
  const { port, folder, tlsFolder } = options;
  const script = new URL("talking_process.ts", import.meta.url).pathname;
  const args = ["run", "-A", "--no-prompt", "--no-check", script, String(port), folder];
  const child = new Deno.Command(Deno.execPath(), {
    args: tlsFolder === undefined ? args : [...args, tlsFolder],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const address = new TextDecoder().decode((await reader.read()).value).trim();
  const writer = child.stdin.getWriter();
  return {
    child,
    address,
    connect: (to) => writer.write(new TextEncoder().encode(to)),
    [Symbol.asyncDispose]: async () => {
      // It may have been killed: then its input is broken, and its end known.
      await writer.close().catch((error) => {
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      });
      await child.status;
      await reader.cancel();
    },
  };
}

function answerTo(message: Message): Message | undefined {
  if (message.kind === "heartbeat") {
    return { kind: "heartbeat_response", ...BACK, readRound: message.readRound };
  }
  if (message.kind !== "append") return undefined;
  const index = logIndex(message.prevIndex + message.entries.length);
  return { kind: "append_response", ...BACK, index, rejection: undefined };
}

async function main(options: {
  readonly port: number;
  readonly folder: string;
  readonly tlsFolder: string | undefined;
}): Promise<void> {
  await using networks = new TestNetworks();
  // Every call is answered alike; the type of the method cannot say so.
  const answer = (() => Promise.resolve({ kind: "done" })) as unknown as PeerServices["answer"];
  const node: TestNode = await networks.open(identityOf(2), {
    listen: { host: "127.0.0.1", port: options.port },
    tls: await loadTestTls(options.tlsFolder),
    answers: {
      answer,
      receive: (message) => {
        const said = answerTo(message);
        if (said !== undefined) node.network.send(said);
      },
      receiveSnapshot: (offer) =>
        openSnapshotFile({
          fileSystem: new DenoFileSystem(),
          directory: options.folder,
          offer,
          onComplete: () => undefined,
        }),
    },
  });
  await Deno.stdout.write(new TextEncoder().encode(`${node.peer.address}\n`));
  const buffer = new Uint8Array(64);
  const size = await Deno.stdin.read(buffer);
  if (size === null) return;
  const address = new TextDecoder().decode(buffer.subarray(0, size));
  const one = { nodeId: nodeId(1), incarnation: identityOf(1).incarnation, address };
  node.network.setPeers({ peers: [one], nextNodeId: 9 });
  await Deno.stdin.read(buffer);
}

if (import.meta.main) {
  const [port, folder, tlsFolder] = Deno.args;
  await main({ port: Number(port), folder: folder ?? "", tlsFolder });
}
