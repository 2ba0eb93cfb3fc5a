/**
 * Whom a node takes for the one that goes on (rule M3): its own data is set aside on that word.
 */
import { deepStrictEqual, rejects } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { type RecoveryPort, RecoveryRound } from "./recovery.ts";

const PEERS = [{ id: "a", address: "h:1" }, { id: "b", address: "h:2" }];
const CLUSTER = new Uint8Array(16);

/** What node a makes of node b, which refuses it as one of another cluster and says that it is `name`. */
function settle(name: string | undefined): ReturnType<RecoveryRound["settle"]> {
  const round = new RecoveryRound({ own: { name: "a", term: 1, index: 5 }, peers: PEERS });
  const port = {
    identity: { clusterId: CLUSTER },
    call: (_address: string, { kind }: { readonly kind: string }) => {
      if (kind === "identify" && name !== undefined) {
        return Promise.resolve({ identity: { name, clusterId: CLUSTER } });
      }
      return Promise.reject(new OperatingError("conflict", "Cannot listen for peers"));
    },
  } as unknown as RecoveryPort;
  return round.settle(port, { clock: new FakeClock(), stop: new AbortController().signal });
}

Deno.test("RecoveryRound.settle() takes a listed node of another cluster for the one that goes on", async () => {
  deepStrictEqual(await settle("b"), { id: "b", address: "h:2", isSelf: false });
});

Deno.test("RecoveryRound.settle() fails when whoever refuses is not the one listed, or is this node itself", async () => {
  await rejects(settle("stranger"), { name: "FatalError", message: /h:2 is stranger/ });
  await rejects(settle(undefined), { name: "FatalError", message: /Cannot listen/ });
});
