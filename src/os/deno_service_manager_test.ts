import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { hasListener, NotifySocket } from "../../tests/notify_socket.ts";
import { ServiceManager } from "./deno_service_manager.ts";
import { FakeClock } from "./fake_clock.ts";

const ignore = !(await hasListener());
const WATCHDOG = { WATCHDOG_USEC: "4000000", WATCHDOG_PID: String(Deno.pid) };

function unexpected(reason: string): void {
  throw new Error(reason);
}

for (const kind of ["path", "abstract"] as const) {
  Deno.test({
    name: `ServiceManager says when it is ready, alive and stopping, on a socket's ${kind}`,
    ignore,
    fn: async () => {
      const folder = await Deno.makeTempDir({ prefix: "dust-test-" });
      const name = kind === "path" ? `${folder}/notify` : `@${folder}`;
      try {
        await using socket = await NotifySocket.open(name);
        const clock = new FakeClock();
        const environment = { NOTIFY_SOCKET: socket.name, ...WATCHDOG };
        const manager = new ServiceManager({ environment, clock, onFailure: unexpected });
        strictEqual(clock.timerCount, 0);
        manager.ready("Serving");
        strictEqual(await socket.next(), "READY=1\nSTATUS=Serving\n");
        for (let count = 0; count < 2; count++) {
          clock.advance(2_000);
          strictEqual(await socket.next(), "WATCHDOG=1\n");
        }
        manager.stopping();
        match(await socket.next(), /^STOPPING=1\n/);
        manager.close();
        strictEqual(clock.timerCount, 0);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

Deno.test("ServiceManager does nothing without a manager, and feeds no watchdog of somebody else", () => {
  const clock = new FakeClock();
  for (
    const environment of [
      WATCHDOG,
      { NOTIFY_SOCKET: "", ...WATCHDOG },
      { NOTIFY_SOCKET: "relative" },
      { NOTIFY_SOCKET: "/" + "x".repeat(200) },
    ]
  ) {
    const manager = new ServiceManager({ environment, clock, onFailure: unexpected });
    manager.ready("Serving");
    manager.stopping();
    strictEqual(clock.timerCount, 0);
  }
});

Deno.test("ServiceManager tells when nobody takes its notice, after it has tried for a while", () => {
  const clock = new FakeClock();
  const reasons: string[] = [];
  const environment = {
    NOTIFY_SOCKET: "/nonexistent/notify",
    WATCHDOG_USEC: "1",
    WATCHDOG_PID: "1",
  };
  const onFailure = (reason: string): void => void reasons.push(reason);
  new ServiceManager({ environment, clock, onFailure }).ready("Serving");
  clock.advance(4_000);
  deepStrictEqual(reasons, []);
  clock.advance(1_000);
  deepStrictEqual(reasons, ["nobody takes it at NOTIFY_SOCKET"]);
  strictEqual(clock.timerCount, 0);
});
