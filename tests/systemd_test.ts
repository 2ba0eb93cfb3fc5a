/**
 * Dust as a service of systemd: the notices that the manager waits for come when they are true, and the unit
 * file says nothing that systemd does not understand. What is missing on this machine is left out.
 */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { hasListener, NotifySocket } from "./notify_socket.ts";
import { startNode } from "./process.ts";

const UNIT = new URL("../scripts/systemd/dust.service", import.meta.url);
const SETTINGS = new URL("../scripts/systemd/dust.env", import.meta.url);

Deno.test({
  name: "a node tells systemd when it is ready, that it lives, and when it stops",
  ignore: !(await hasListener()),
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "dust-test-" });
    try {
      await using socket = await NotifySocket.open(`${folder}/notify`);
      const environment = { NOTIFY_SOCKET: socket.name, WATCHDOG_USEC: "100000" };
      await using node = await startNode({ environment });
      const ready = await socket.next();
      strictEqual(ready, `READY=1\nSTATUS=Serves ${node.url}\n`);
      strictEqual((await fetch(`${node.url}/readyz`)).status, 200);
      strictEqual(await socket.next(), "WATCHDOG=1\n");
      strictEqual((await node.stop("SIGTERM")).code, 0);
      let last = "";
      while (!last.startsWith("STOPPING=1\n")) last = await socket.next();
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "systemd understands the unit file",
  ignore: !(await hasAnalyzer()),
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "dust-test-" });
    try {
      // The executable must be there for systemd to be content; any will do.
      const text = (await Deno.readTextFile(UNIT)).replace("/usr/local/bin/dust", "/bin/sh");
      await Deno.writeTextFile(`${folder}/dust.service`, text);
      const args = ["verify", "--man=no", `${folder}/dust.service`];
      const { code, stderr } = await new Deno.Command("systemd-analyze", { args }).output();
      const own = new TextDecoder().decode(stderr).split("\n").filter((line) =>
        line.includes("dust.service")
      );
      deepStrictEqual({ code, own }, { code: 0, own: [] });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("every variable of the service's settings is a flag of dust", async () => {
  const args = ["run", "-A", "--no-prompt", "main.ts", "serve", "--help"];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
  const help = new TextDecoder().decode(stdout);
  const names = (await Deno.readTextFile(SETTINGS)).matchAll(/^#?DUST_([A-Z_]+)=/gm);
  for (const [, name = ""] of names) {
    match(help, new RegExp(`-${name.toLowerCase().replaceAll("_", "-")}\\b`));
  }
});

async function hasAnalyzer(): Promise<boolean> {
  try {
    return (await new Deno.Command("systemd-analyze", { args: ["--version"] }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
