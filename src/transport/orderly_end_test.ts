import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { PeerServices } from "./peer_services.ts";
import { identityOf, TestNetworks } from "./testing.ts";

const CALLS = 300;

Deno.test("PeerNetwork.close() leaves a process alive that has called this node (denoland/deno#36788)", async () => {
  const ends: Deno.CommandStatus[] = [];
  // The crash comes most of the time, not always.
  for (let round = 0; round < 3; round++) {
    await using networks = new TestNetworks();
    // Every call is answered alike; the type of the method cannot say so.
    const answer = (() => Promise.resolve({ kind: "done" })) as unknown as PeerServices["answer"];
    const node = await networks.open(identityOf(1), { answers: { answer } });
    const script = new URL("calling_process.ts", import.meta.url).pathname;
    await using child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", "--no-check", script, node.peer.address, String(CALLS)],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    strictEqual(new TextDecoder().decode(value), "called\n");
    await node.network.close();
    await child.stdin.close();
    ends.push(await child.status);
    await reader.cancel();
  }
  deepStrictEqual(ends.map(({ code, signal }) => ({ code, signal })), [
    { code: 0, signal: null },
    { code: 0, signal: null },
    { code: 0, signal: null },
  ]);
});
