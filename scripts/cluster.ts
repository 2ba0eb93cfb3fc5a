/**
 * `deno task cluster [--nodes N] [--port P] [DIR] [-- FLAGS]`: a cluster on this machine, to try things: N
 * nodes (3) on the loopback, their data in DIR or in a folder that goes with them. HTTP ports are P (4001)
 * and every second one behind it, peers' the ones in between. One screen shows who leads; Ctrl-C stops all.
 * The flags behind `--` go to every node.
 */
import { fileURLToPath } from "node:url";
import { v8Option } from "./compile.ts";

const PROJECT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const NODES_DEFAULT = 3;
const NODES_MAX = 9;
const PORT_DEFAULT = 4001;
const LOOK_MS = 500;
const READY_MS_MAX = 60_000;

/** What the command line asks for. */
export interface ClusterOptions {
  readonly nodes: number;
  readonly port: number;
  /** undefined: a temporary folder. */
  readonly directory: string | undefined;
  readonly flags: readonly string[];
}

/** Reads the command line. @returns a sentence when it cannot be read. */
export function parseClusterOptions(args: readonly string[]): ClusterOptions | string {
  let nodes = NODES_DEFAULT;
  let port = PORT_DEFAULT;
  let directory: string | undefined;
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? "";
    if (word === "--") {
      // `deno task` passes on its own `--` too.
      if (at === 0) continue;
      return { nodes, port, directory, flags: args.slice(at + 1) };
    }
    if (word === "--nodes" || word === "--port") {
      const value = Number(args[++at]);
      const max = word === "--nodes" ? NODES_MAX : 65_000;
      if (!Number.isInteger(value) || value < 1 || value > max) {
        return `${word} takes a number from 1 to ${max}`;
      }
      if (word === "--nodes") nodes = value;
      else port = value;
    } else if (word.startsWith("-")) {
      return `Unknown option ${word}: flags of the nodes go behind --`;
    } else if (directory === undefined) directory = word;
    else return `One folder is enough: ${word} is the second`;
  }
  return { nodes, port, directory, flags: [] };
}

interface RunningNode {
  readonly name: string;
  readonly http: string;
  readonly raft: string;
  readonly process: Deno.ChildProcess;
  isGone: boolean;
}

interface NodeView {
  readonly name: string;
  readonly http: string;
  readonly state: string;
  readonly applied: string;
}

function startNodes(options: ClusterOptions, directory: string): RunningNode[] {
  const nodes: RunningNode[] = [];
  for (let number = 1; number <= options.nodes; number++) {
    const http = `localhost:${options.port + 2 * (number - 1)}`;
    const raft = `localhost:${options.port + 2 * (number - 1) + 1}`;
    const [first] = nodes;
    const join = first === undefined
      ? []
      : ["--join", first.raft, "--join-attempts", "300", "--join-interval", "200ms"];
    const process = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-prompt", v8Option(PROJECT), `${PROJECT}/main.ts`, "serve"],
        ...["--node-id", String(number), "--http-addr", http, "--raft-addr", raft],
        ...["--raft-log-level", "ERROR", ...join, ...options.flags, `${directory}/${number}`],
      ],
      // Its Ctrl-C is ours to pass on.
      detached: true,
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    const node: RunningNode = { name: String(number), http, raft, process, isGone: false };
    const watched = process.status.then(() => {
      node.isGone = true;
    });
    watched.catch(fatal);
    nodes.push(node);
  }
  return nodes;
}

async function look(node: RunningNode): Promise<NodeView> {
  const { name, http } = node;
  if (node.isGone) return { name, http, state: "ended", applied: "" };
  try {
    const response = await fetch(`http://${http}/status?key=store`, {
      signal: AbortSignal.timeout(1000),
    });
    const { raft, ready } = await response.json();
    const state = ready ? raft.state : "starting";
    return { name, http, state, applied: String(raft?.applied_index ?? "") };
  } catch (error) {
    // Not there yet, or too busy to answer.
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
    return { name, http, state: "starting", applied: "" };
  }
}

/** The table of all nodes. */
export function clusterText(views: readonly NodeView[]): string {
  const rows = [
    ["node", "API", "state", "applied"],
    ...views.map(({ name, http, state, applied }) => [name, http, state, applied]),
  ];
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length))
  );
  return rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("   ").trimEnd()}\n`
  ).join("");
}

function queryText(views: readonly NodeView[]): string {
  const [first, ...rest] = views.map(({ http }) => http);
  const other = rest.at(-1) ?? first;
  return [
    "Write through one node, read on another:",
    "",
    `  curl -s '${first}/db/execute' -d '["CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text)", ["INSERT INTO note(text) VALUES(?)", "hello"]]'`,
    `  curl -s -G '${other}/db/query?level=linearizable' --data-urlencode 'q=SELECT * FROM note'`,
    "",
    "Ctrl-C stops all.",
    "",
  ].join("\n");
}

async function show(
  nodes: readonly RunningNode[],
  stop: AbortSignal,
  startedMs: number,
): Promise<void> {
  const isScreen = Deno.stdout.isTerminal();
  let shown = "";
  let isReady = false;
  let drawn = 0;
  while (!stop.aborted && nodes.some(({ isGone }) => !isGone)) {
    const views = await Promise.all(nodes.map(look));
    const isComplete = views.every(({ state }) => state === "Leader" || state === "Follower");
    const states = views.map(({ state }) => state).join();
    if (isScreen && drawn > 0) print(`\x1b[${drawn}A\x1b[J`);
    if (isComplete && !isReady) {
      isReady = true;
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      print(`${nodes.length} nodes are one cluster after ${seconds} s.\n${queryText(views)}\n`);
      drawn = 0;
    }
    if (isScreen || states !== shown) print(clusterText(views));
    drawn = nodes.length + 1;
    shown = states;
    if (!isReady && performance.now() - startedMs > READY_MS_MAX) {
      fatal("The nodes do not get ready");
    }
    await new Promise((resolve) => setTimeout(resolve, isReady ? LOOK_MS : LOOK_MS / 5));
  }
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseClusterOptions(args);
  if (typeof options === "string") {
    Deno.stderr.writeSync(new TextEncoder().encode(`${options}\n`));
    return 2;
  }
  const startedMs = performance.now();
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stop.abort());
  }
  const directory = options.directory ?? await Deno.makeTempDir({ prefix: "dust-cluster-" });
  print(
    `Data in ${directory}${options.directory === undefined ? ", for as long as this runs" : ""}\n`,
  );
  const nodes = startNodes(options, directory);
  await show(nodes, stop.signal, startedMs);
  for (const { process, isGone } of nodes) if (!isGone) process.kill("SIGTERM");
  await Promise.all(nodes.map(({ process }) => process.status));
  if (options.directory === undefined) await Deno.remove(directory, { recursive: true });
  print("All nodes have stopped.\n");
  return 0;
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

function fatal(reason: unknown): never {
  Deno.stderr.writeSync(new TextEncoder().encode(`${reason}\n`));
  Deno.exit(1);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
