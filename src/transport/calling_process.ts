/**
 * A process of its own for orderly_end_test.ts: calls the node at ADDRESS, tells so on its standard output,
 * waits until the node has ended, and exits with 0 if it is still alive then.
 * Run: deno run -A src/transport/calling_process.ts ADDRESS CALLS
 */
import { DenoClock } from "../os/deno_clock.ts";
import { identityOf, TestNetworks } from "./testing.ts";

const REQUEST = { kind: "remove", name: "x", credentials: undefined } as const;
const AFTERWARDS_MS = 300;

async function main(address: string, calls: number): Promise<void> {
  await using networks = new TestNetworks();
  const { network } = await networks.open(identityOf(2));
  for (let count = 0; count < calls; count++) {
    await network.call(address, REQUEST, { timeoutMs: 10_000 });
  }
  await Deno.stdout.write(new TextEncoder().encode("called\n"));
  await Deno.stdin.read(new Uint8Array(1));
  await new DenoClock().sleep(AFTERWARDS_MS);
}

if (import.meta.main) await main(Deno.args[0] ?? "", Number(Deno.args[1]));
