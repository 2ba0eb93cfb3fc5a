/**
 * Pledges (rule M2): a node gives one at a time, keeps it through a crash, and is let go by its proposer alone.
 * Without any of these two clusters could come to be out of the same nodes.
 */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { FatalError, OperatingError } from "../base/errors.ts";
import { parseConfig } from "../config/config.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { Logger } from "../telemetry/logger.ts";
import type { PeerRequest, PledgeAnswer, PledgeRequest } from "../transport/peer_calls.ts";
import type { LocalIdentity } from "../transport/peer_identity.ts";
import { NOBODY } from "../raft/types.ts";
import { SimFileSystem } from "../../tests/sim/sim_file_system.ts";
import { Forming, type FormingOptions } from "./forming.ts";

const FLAGS = ["--bootstrap-expect", "3", "--join", "a:1,b:1,c:1", "--node-id", "b", "/data"];
const [ONE, TWO] = [bytes(1), bytes(2)];

function bytes(fill: number): Uint8Array {
  return new Uint8Array(16).fill(fill);
}

function identity(name: string, clusterId?: Uint8Array): LocalIdentity {
  return {
    clusterId,
    nodeId: NOBODY,
    incarnation: bytes(name.charCodeAt(0)),
    bootNonce: new Uint8Array(8),
    name,
    raftAddress: `${name}:1`,
    apiUrl: `http://${name}:2`,
    sqliteFingerprint: "",
    allowsOtherSqlite: false,
    featureLevel: 1,
    version: "",
  };
}

function proposal(clusterId: Uint8Array, proposer: string): PledgeRequest {
  const names = [...new Set([proposer, "b", "c"])];
  return { kind: "pledge", clusterId, members: names.map((name) => identity(name)) };
}

async function emptyDisk(): Promise<SimFileSystem> {
  const disk = new SimFileSystem();
  await disk.makeDirectory("/data");
  await disk.makeDirectory("/data/raft");
  await disk.syncDirectory("/data");
  await disk.syncDirectory("/");
  return disk;
}

/** Node b, on a disk; whom it calls answers by `answer`. */
function node(
  fileSystem: SimFileSystem,
  options: {
    readonly answer?: (address: string, request: PeerRequest) => unknown;
    readonly stop?: AbortSignal;
  } = {},
): Forming {
  const outcome = parseConfig({ argv: FLAGS, environment: {} });
  ok(outcome.kind === "run");
  const clock = new FakeClock();
  const call = (address: string, request: PeerRequest): Promise<unknown> => {
    const answer = options.answer?.(address, request);
    if (answer !== undefined) return Promise.resolve(answer);
    return Promise.reject(new OperatingError("not_ready", "nobody is there"));
  };
  return new Forming({
    config: outcome.config,
    port: { identity: identity("b"), call: call as FormingOptions["port"]["call"] },
    clock,
    entropy: { bytes: (count) => new Uint8Array(count).fill(7), below: () => 0 },
    fileSystem,
    logger: new Logger({
      level: "ERROR",
      format: "text",
      component: "test",
      sink: () => undefined,
      wallClockMs: () => 0,
    }),
    stop: options.stop ?? new AbortController().signal,
  });
}

/** A process that starts on what the one before has left: reads its pledge, and is told to stop. */
async function restarted(disk: SimFileSystem): Promise<Forming> {
  const forming = node(disk, { stop: AbortSignal.abort() });
  await rejects(forming.form(), FatalError);
  return forming;
}

function taken(clusterId: Uint8Array): PledgeAnswer["outcome"] {
  return { kind: "taken", clusterId };
}

Deno.test("Forming.pledge() gives one of two proposers that ask at the same moment its pledge (M2)", async () => {
  const forming = node(await emptyDisk());
  const outcomes = await Promise.all([
    forming.pledge(proposal(ONE, "a")),
    forming.pledge(proposal(TWO, "c")),
  ]);
  deepStrictEqual(outcomes, [{ kind: "pledged" }, taken(ONE)]);
  deepStrictEqual(await forming.pledge(proposal(ONE, "a")), { kind: "pledged" }, "asked again");
});

Deno.test("Forming.pledge() is kept through a power cut once it is given (M2)", async () => {
  const disk = await emptyDisk();
  deepStrictEqual(await node(disk).pledge(proposal(ONE, "a")), { kind: "pledged" });
  const after = disk.afterPowerCut(() => 0);
  deepStrictEqual(await (await restarted(after)).pledge(proposal(TWO, "c")), taken(ONE));
});

Deno.test("Forming.abort() lets go of its own cluster's pledge only, durably (M2)", async () => {
  const disk = await emptyDisk();
  const forming = node(disk);
  await forming.pledge(proposal(ONE, "a"));
  await forming.abort(TWO);
  deepStrictEqual(await forming.pledge(proposal(TWO, "c")), taken(ONE));
  await forming.abort(ONE);
  const next = await restarted(disk.afterPowerCut(() => 0));
  deepStrictEqual(await next.pledge(proposal(TWO, "c")), { kind: "pledged" });
});

Deno.test("Forming.pledge() is refused to a proposal without this node", async () => {
  const forming = node(await emptyDisk());
  const request = { ...proposal(ONE, "a"), members: [identity("a"), identity("c")] };
  await rejects(forming.pledge(request), { code: "conflict" });
});

Deno.test("Forming.form(): who asks a cluster to be let in is nobody else's any more, also after a crash (M2)", async () => {
  const disk = await emptyDisk();
  let asked = 0;
  const joined = Promise.withResolvers<void>();
  const stop = new AbortController();
  const forming = node(disk, {
    stop: stop.signal,
    answer: (address, { kind }) => {
      if (address !== "a:1") return undefined;
      if (kind === "identify") {
        return { kind, identity: identity("a", ONE), leader: undefined, hasData: true };
      }
      asked += 1;
      joined.resolve();
      // The answer never comes: the node may be a member, and does not know.
      return new Promise(() => undefined);
    },
  });
  const formed = forming.form();
  await Promise.race([joined.promise, formed]);
  strictEqual(asked, 1);
  deepStrictEqual(await forming.pledge(proposal(TWO, "c")), taken(ONE));
  const next = await restarted(disk.afterPowerCut(() => 0));
  deepStrictEqual(await next.pledge(proposal(TWO, "c")), taken(ONE));
});
