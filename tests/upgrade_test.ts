/**
 * Nodes are upgraded one by one (rule F1): the cluster's feature level follows the last of them, until then each
 * can go back, and from then on an older build is refused. Real processes: the newer build is this one with its
 * feature level raised.
 */
import { match, strictEqual } from "node:assert/strict";
import { eventually, execute, get, type Member, TestCluster, values } from "./cluster.ts";
import { sleep } from "./process.ts";

const PROJECT = decodeURIComponent(new URL("..", import.meta.url).pathname);
const LEVEL_FILE = "src/command/feature_level.ts";
const LEVEL = /^export const FEATURE_LEVEL = (\d+);$/m;

/** Past the leader's next look at its members. */
const LOOKS_MS = 2_000;

/** This project with a higher feature level, in a folder that goes with it. */
class NewerBuild implements AsyncDisposable {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(): Promise<NewerBuild> {
    const folder = await Deno.makeTempDir({ prefix: "dust-newer-" });
    for (const name of ["deno.json", "deno.lock", "proto", "scripts", "lib"]) {
      await Deno.symlink(`${PROJECT}${name}`, `${folder}/${name}`);
    }
    await Deno.copyFile(`${PROJECT}main.ts`, `${folder}/main.ts`);
    await copyFolder(`${PROJECT}src`, `${folder}/src`);
    const path = `${folder}/${LEVEL_FILE}`;
    const text = await Deno.readTextFile(path);
    match(text, LEVEL);
    await Deno.writeTextFile(
      path,
      text.replace(LEVEL, (line, level) => line.replace(level, `${Number(level) + 1}`)),
    );
    return new NewerBuild(folder);
  }

  get program(): string {
    return `${this.#folder}/main.ts`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const copy = isDirectory ? copyFolder : Deno.copyFile;
    await copy(`${from}/${name}`, `${to}/${name}`);
  }
}

async function levelOf(member: Member, part: "build" | "cluster"): Promise<number> {
  return Number(await get(member, `/status?key=${part}.feature_level`));
}

async function restartAs(
  cluster: TestCluster,
  member: Member,
  program: string | undefined,
): Promise<void> {
  await member.node.stop("SIGTERM");
  member.program = program;
  await cluster.restart(member);
}

Deno.test("the feature level rises with the last member that is upgraded, and older builds are refused from then on (F1)", async () => {
  await using newer = await NewerBuild.make();
  await using cluster = await TestCluster.start(3);
  const [first, second, third] = cluster.members as [Member, Member, Member];
  const old = await levelOf(first, "build");
  strictEqual(await levelOf(first, "cluster"), old);
  await execute(first, ["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"]);
  for (const member of [first, second]) {
    await restartAs(cluster, member, newer.program);
    strictEqual(await levelOf(member, "build"), old + 1);
  }
  await sleep(LOOKS_MS);
  strictEqual(await levelOf(first, "cluster"), old);
  // It can go back still.
  await restartAs(cluster, first, undefined);
  await restartAs(cluster, first, newer.program);
  await restartAs(cluster, third, newer.program);
  await eventually(async () => {
    const levels = await Promise.all(cluster.members.map((each) => levelOf(each, "cluster")));
    return levels.every((level) => level === old + 1);
  }, "all to know the new level");
  match(await execute(third, ["INSERT INTO t VALUES(2)"]), /"rows_affected":1/);
  const known = `feature level ${old + 1}, and this build knows ${old}; start`;
  const refusedJoin = await cluster.add("n4").then(() => "", String);
  match(refusedJoin, new RegExp(`ended with status 1\\n[^]*Cannot join: the cluster has ${known}`));
  const refusedStart = await restartAs(cluster, first, undefined).then(() => "", String);
  match(refusedStart, new RegExp(`ended with status 65\\n[^]*the cluster has ${known}`));
  await restartAs(cluster, first, newer.program);
  await eventually(
    async () => await values(first, "SELECT count(*) FROM t", "none") === "[[2]]",
    "its rows",
  );
});
