/**
 * Empty nodes that form a cluster together (`--bootstrap-expect`, rule M2): exactly one comes to be, whoever
 * starts when, and existing data wins over the flags.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { execute, get, type Member, values } from "./cluster.ts";
import { startNode, type TestNode } from "./process.ts";

interface Place {
  readonly name: string;
  readonly folder: string;
  readonly at: Pick<TestNode, "httpAddress" | "raftAddress">;
}

function freeAddress(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return `127.0.0.1:${listener.addr.port}`;
}

function makePlaces(folder: string, names: readonly string[]): Place[] {
  return names.map((name) => {
    Deno.mkdirSync(`${folder}/ram-${name}`, { mode: 0o700 });
    return { name, folder, at: { httpAddress: freeAddress(), raftAddress: freeAddress() } };
  });
}

async function startAt(
  { name, folder, at }: Place,
  options: { readonly all: readonly Place[]; readonly expect: number },
): Promise<Member> {
  const join = options.all.map((place) => place.at.raftAddress).join();
  const flags = ["--bootstrap-expect", String(options.expect), "--join", join];
  const all = [...flags, "--ram-dir", `${folder}/ram-${name}`];
  const dataDirectory = `${folder}/${name}`;
  const node = await startNode({ nodeId: name, dataDirectory, at, flags: all });
  return { name, dataDirectory, flags: all, environment: {}, program: undefined, node };
}

async function clusterOf(member: Member): Promise<string[]> {
  return Object.keys(JSON.parse(await get(member, "/nodes"))).sort();
}

Deno.test("three empty nodes form one cluster, come back to it, and a fourth joins it (M2, M12)", async () => {
  const folder = await Deno.makeTempDir({ prefix: "dust-forming-" });
  const places = makePlaces(folder, ["c", "a", "b", "d"]);
  const three = places.slice(0, 3);
  let members: Member[] = [];
  try {
    members = await Promise.all(three.map((place) => startAt(place, { all: three, expect: 3 })));
    const [first, second, third] = members;
    ok(first !== undefined && second !== undefined && third !== undefined);
    match(
      await execute(first, ["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"]),
      /"rows_affected":1/,
    );
    for (const member of members) {
      deepStrictEqual(await clusterOf(member), ["a", "b", "c"]);
      strictEqual(await values(member, "SELECT count(*) FROM t"), "[[1]]");
    }
    for (const { node } of members) await node.stop("SIGKILL");
    members = await Promise.all(three.map((place) => startAt(place, { all: three, expect: 3 })));
    strictEqual(await values(members[1] ?? first, "SELECT count(*) FROM t"), "[[1]]");
    const [, , , last] = places;
    ok(last !== undefined);
    members.push(await startAt(last, { all: places, expect: 3 }));
    deepStrictEqual(await clusterOf(members[0] ?? first), ["a", "b", "c", "d"]);
  } finally {
    for (const { node } of members) await node.stop("SIGKILL");
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a member that pledged itself and was told nothing more finds out how the cluster began", async () => {
  const folder = await Deno.makeTempDir({ prefix: "dust-forming-" });
  const places = makePlaces(folder, ["a", "b"]);
  const [one, two] = places;
  ok(one !== undefined && two !== undefined);
  const started: Member[] = [];
  try {
    // It is killed again and again while it forms: each time it begins where it was.
    const other = startAt(one, { all: places, expect: 2 });
    for (let attempt = 0; attempt < 3; attempt++) {
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "-A", "--no-prompt", "main.ts", "serve", "-node-id", two.name],
          ...["-http-addr", two.at.httpAddress, "-raft-addr", two.at.raftAddress],
          ...["--ram-dir", `${folder}/ram-${two.name}`, "--bootstrap-expect", "2"],
          ...["--join", places.map(({ at }) => at.raftAddress).join(), `${folder}/${two.name}`],
        ],
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      await new Promise((resolve) => setTimeout(resolve, 700 + 250 * attempt));
      child.kill("SIGKILL");
      await child.status;
    }
    started.push(await startAt(two, { all: places, expect: 2 }), await other);
    for (const member of started) deepStrictEqual(await clusterOf(member), ["a", "b"]);
  } finally {
    for (const { node } of started) await node.stop("SIGKILL");
    await Deno.remove(folder, { recursive: true });
  }
});
