/**
 * Clusters of whole processes for tests: nodes on free ports of the loopback, each with a folder of its own
 * that stays while the cluster is there, so that a node can be ended and started again in it.
 */
import { READY_MS_MAX, sleep, startNode, type TestNode } from "./process.ts";

/** How long to wait for what must come by itself. */
const SETTLE_MS_MAX = 20_000;

/** How long an answer may take that needs no other node. */
const GET_MS_MAX = 60_000;

const LOOK_MS = 100;

const JSON_TYPE = { "content-type": "application/json" };

/** One member, whether it runs or not. */
export interface Member {
  readonly name: string;
  readonly dataDirectory: string;
  readonly flags: readonly string[];
  /** Of its process, besides what this process has in its own. */
  environment: Readonly<Record<string, string>>;
  /** The main.ts that it runs; this project's where there is none. */
  program: string | undefined;
  node: TestNode;
}

/** How the nodes of a cluster are started. */
export interface ClusterOptions {
  readonly flags?: readonly string[];
  /** Further ones of the member with this number, from 1. */
  readonly flagsOf?: (number: number) => readonly string[];
  /** Where state in memory goes: a folder that exists and stays; one beside the data otherwise. */
  readonly ramFolder?: string;
  /** How long a node may take until it is ready. */
  readonly readyMsMax?: number;
  /** The main.ts that new members run; this project's otherwise. */
  readonly program?: string;
}

/** A cluster; disposing of it ends its processes and removes its folders. */
export class TestCluster implements AsyncDisposable {
  readonly members: Member[] = [];
  readonly #folder: string;
  readonly #options: ClusterOptions;

  constructor(options: ClusterOptions & { readonly folder: string }) {
    this.#folder = options.folder;
    this.#options = options;
  }

  /** Starts so many nodes, the first alone, the others joining it. */
  static async start(
    size: number,
    options: ClusterOptions = {},
  ): Promise<TestCluster> {
    const folder = await Deno.makeTempDir({ prefix: "dust-cluster-" });
    const cluster = new TestCluster({ ...options, folder });
    try {
      for (let count = 1; count <= size; count++) {
        await cluster.add(`n${count}`, options.flagsOf?.(count));
      }
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts another node, which joins the first one that runs, or begins the cluster. */
  async add(
    name: string,
    flags: readonly string[] = [],
    environment: Member["environment"] = {},
  ): Promise<Member> {
    const [first] = this.members;
    const join = first === undefined ? [] : ["--join", first.node.raftAddress];
    const ramDirectory = this.#ramDirectory(name);
    await Deno.mkdir(ramDirectory, { mode: 0o700 });
    const all = [...(this.#options.flags ?? []), ...flags, ...join, "--ram-dir", ramDirectory];
    const dataDirectory = `${this.#folder}/${name}`;
    const { readyMsMax = READY_MS_MAX, program } = this.#options;
    const start = { nodeId: name, dataDirectory, flags: all, environment, readyMsMax, program };
    const node = await startNode(start);
    const member = { name, dataDirectory, flags: all, environment, program, node };
    this.members.push(member);
    return member;
  }

  /** Starts a member again that was ended, where it was. */
  async restart(member: Member, flags: readonly string[] = []): Promise<void> {
    const { name: nodeId, dataDirectory, environment, program, node: at } = member;
    const { readyMsMax = READY_MS_MAX } = this.#options;
    const all = [...member.flags, ...flags];
    member.node = await startNode({
      nodeId,
      dataDirectory,
      at,
      flags: all,
      environment,
      readyMsMax,
      program,
    });
  }

  /** Forgets a member that is none any more, and what it had. Its process has ended. */
  async forget(member: Member): Promise<void> {
    this.members.splice(this.members.indexOf(member), 1);
    await Deno.remove(member.dataDirectory, { recursive: true });
    await Deno.remove(this.#ramDirectory(member.name), { recursive: true });
  }

  /** The member that leads, as `witness` knows it. */
  async leader(witness: Member = this.#first()): Promise<Member> {
    let found: Member | undefined;
    await eventually(async () => {
      const text = await get(witness, "/status?key=store.leader.node_id");
      found = this.members.find(({ name }) => JSON.stringify(name) === text);
      return found !== undefined;
    }, "a leader");
    return found ?? this.#first();
  }

  /** All but one. */
  others(member: Member): Member[] {
    return this.members.filter((each) => each !== member);
  }

  #ramDirectory(name: string): string {
    return `${this.#options.ramFolder ?? this.#folder}/ram-${name}`;
  }

  #first(): Member {
    const [first] = this.members;
    if (first === undefined) throw new Error("TestCluster: no members");
    return first;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { node } of this.members) await node.stop("SIGKILL");
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Sends statements to a member. @returns the body of the answer. */
export async function execute(
  { node }: Member,
  statements: readonly unknown[],
  query = "",
): Promise<string> {
  const response = await fetch(`${node.url}/db/execute${query}`, {
    method: "POST",
    headers: JSON_TYPE,
    body: JSON.stringify(statements),
  });
  return await response.text();
}

/** Asks a member one query. @returns the values, as JSON. */
export async function values(
  { node }: Member,
  sql: string,
  level = "linearizable",
): Promise<string> {
  const response = await fetch(`${node.url}/db/query?level=${level}`, {
    method: "POST",
    headers: JSON_TYPE,
    body: JSON.stringify([sql]),
  });
  const text = await response.text();
  return /"values":(\[.*\])\}\]/s.exec(text)?.[1] ?? text;
}

/** The body of a GET. @throws {DOMException} when it takes too long. */
export async function get({ node }: Member, path: string): Promise<string> {
  const signal = AbortSignal.timeout(GET_MS_MAX);
  return await (await fetch(node.url + path, { signal })).text();
}

/** The folder in which a member keeps its state in memory. */
export function ramDirectoryOf({ flags }: Pick<Member, "flags">): string {
  return flags[flags.indexOf("--ram-dir") + 1] ?? "";
}

/** Looks until what is found `isSo`. @returns it. @throws {Error} with what was found last. */
export async function untilFacts<Facts>(
  look: () => Promise<Facts>,
  isSo: (facts: Facts) => boolean,
  waitMsMax: number,
): Promise<Facts> {
  const startedMs = performance.now();
  for (;;) {
    const facts = await look();
    if (isSo(facts)) return facts;
    if (performance.now() - startedMs > waitMsMax) {
      throw new Error(`Waited in vain: ${JSON.stringify(facts)}`);
    }
    await sleep(LOOK_MS);
  }
}

/** Waits until `isSo`. @throws {Error} when that takes too long. */
export async function eventually(isSo: () => Promise<boolean>, what: string): Promise<void> {
  const untilMs = performance.now() + SETTLE_MS_MAX;
  while (performance.now() < untilMs) {
    try {
      if (await isSo()) return;
    } catch (error) {
      // A node that is not there (yet).
      if (!(error instanceof TypeError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`Waited in vain for ${what}`);
}
