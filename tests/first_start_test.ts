/**
 * The first start of a source tree, which compiles SQLite: nobody can connect before that is done,
 * progress is on standard error, and a stop meanwhile ends the compiler too. A script stands in for
 * the compiler: it takes its time and gives the library that this tree has built already.
 */
import { match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("..", import.meta.url));
const TREE = ["src", "scripts", "main.ts", "deno.json", "deno.lock"];

/** A copy of the program without lib/, and a compiler for it. */
class FreshTree implements AsyncDisposable {
  readonly folder: string;
  /** Exists while the compiler runs; holds its process id. */
  readonly compiling: string;
  /** The compiler goes on once this exists. */
  readonly proceed: string;
  readonly compiler: string;

  constructor() {
    this.folder = Deno.makeTempDirSync({ prefix: "dust-test-" });
    this.compiling = join(this.folder, "compiling");
    this.proceed = join(this.folder, "proceed");
    this.compiler = join(this.folder, "cc");
    for (const name of TREE) copy(join(PROJECT, name), join(this.folder, "tree", name));
    Deno.writeTextFileSync(this.compiler, this.#script(), { mode: 0o755 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }

  #script(): string {
    return [
      "#!/bin/sh",
      'test "$1" = --version && exit 0',
      'while test "$1" != -o; do shift; done',
      `echo $$ > '${this.compiling}.new'; mv '${this.compiling}.new' '${this.compiling}'`,
      `while ! test -e '${this.proceed}'; do sleep 0.05; done`,
      `cp '${join(PROJECT, "lib/libsqlite3.so")}' "$2"`,
      "",
    ].join("\n");
  }
}

function copy(from: string, to: string): void {
  if (Deno.statSync(from).isFile) {
    Deno.copyFileSync(from, to);
    return;
  }
  Deno.mkdirSync(to, { recursive: true });
  for (const { name } of Deno.readDirSync(from)) copy(join(from, name), join(to, name));
}

/** A node of the fresh tree that has just been started. */
class StartingNode implements AsyncDisposable {
  readonly port: number;
  readonly process: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  log = "";

  constructor(tree: FreshTree) {
    const [http = 0, raft = 0] = [freePort(), freePort()];
    this.port = http;
    this.process = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", "--no-prompt", "main.ts", "-http-addr", `127.0.0.1:${http}`],
        ...["-raft-addr", `127.0.0.1:${raft}`, "-on-disk", join(tree.folder, "data")],
      ],
      cwd: join(tree.folder, "tree"),
      env: { CC: tree.compiler, DUST_SQLITE_LIB: "", NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#reading = this.#read();
  }

  /** The status of /readyz, 0 while nobody listens. */
  async readiness(): Promise<number> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.port}/readyz`);
      await response.body?.cancel();
      return response.status;
    } catch (error) {
      if (error instanceof TypeError) return 0;
      throw error;
    }
  }

  async stop(): Promise<Deno.CommandStatus> {
    this.process.kill("SIGTERM");
    const status = await this.process.status;
    await this.#reading;
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.process.status;
    await this.#reading;
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const piece of this.process.stderr) {
      this.log += decoder.decode(piece, { stream: true });
    }
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function until(
  node: StartingNode,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!await condition()) {
    if (performance.now() > deadlineMs) throw new Error(`Not in time\n${node.log}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test("the first start builds SQLite before anyone can connect, and says so", async () => {
  await using tree = new FreshTree();
  await using node = new StartingNode(tree);
  await until(node, () => exists(tree.compiling));
  strictEqual(await node.readiness(), 0);
  match(node.log, /SQLite [\d.]+: compiling/);
  Deno.writeTextFileSync(tree.proceed, "");
  await until(node, async () => await node.readiness() === 200);
  match(node.log, /SQLite [\d.]+: built lib\/libsqlite3/);
  strictEqual((await node.stop()).code, 0, node.log);
});

Deno.test("SIGTERM during the first build ends the node and the compiler", async () => {
  await using tree = new FreshTree();
  await using node = new StartingNode(tree);
  await until(node, () => exists(tree.compiling));
  const compiler = Deno.readTextFileSync(tree.compiling).trim();
  ok(exists(`/proc/${compiler}`));
  const startedMs = performance.now();
  strictEqual((await node.stop()).code, 0, node.log);
  ok(performance.now() - startedMs < 5_000);
  await until(node, () => !exists(`/proc/${compiler}`));
});
