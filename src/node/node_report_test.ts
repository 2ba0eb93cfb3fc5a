import { strictEqual } from "node:assert/strict";
import { FakeClock } from "../os/fake_clock.ts";
import type { OpenedNode } from "./database.ts";
import { NodeReport } from "./node_report.ts";
import type { StateMachineStats } from "./ports.ts";

const STATS: StateMachineStats = {
  path: "/data/db.sqlite",
  mode: "ram",
  databaseBytes: 1,
  walBytes: 0,
  sqliteVersion: "3.53.2",
  sqlitePinned: true,
  compileOptions: [],
  readers: 0,
  queriesInFlight: 0,
  lastWriteIndex: 0,
  foreignKeys: false,
};

/** A report of a node whose writer answers one question after the other, when the test says so. */
function setUp(): {
  report: NodeReport;
  clock: FakeClock;
  stateMachine: OpenedNode["stateMachine"];
  answers: ((stats: StateMachineStats) => void)[];
} {
  const clock = new FakeClock();
  const answers: ((stats: StateMachineStats) => void)[] = [];
  const stateMachine = {
    stats: () => new Promise((resolve) => answers.push(resolve)),
  } as unknown as OpenedNode["stateMachine"];
  const report = new NodeReport({
    identity: {
      nodeId: "1",
      raftAddress: "localhost:4002",
      apiUrl: "http://localhost:4001",
      version: "0",
      dataDirectory: "/data",
      snapshotEntries: 1,
      snapshotIntervalMs: 1,
      trailingEntries: 1,
    },
    opened: () => undefined,
    hasQueried: () => true,
    clock,
  });
  return { report, clock, stateMachine, answers };
}

Deno.test("NodeReport.stats() gives the last facts while the writer is busy, and asks only once", async () => {
  const { report, clock, stateMachine, answers } = setUp();
  const first = report.stats({ stateMachine });
  answers[0]?.(STATS);
  strictEqual((await first).databaseBytes, 1);

  const busy = report.stats({ stateMachine });
  const alsoBusy = report.stats({ stateMachine });
  clock.advance(200);
  strictEqual((await busy).databaseBytes, 1);
  strictEqual((await alsoBusy).databaseBytes, 1);
  strictEqual(answers.length, 2);

  answers[1]?.({ ...STATS, databaseBytes: 2 });
  await Promise.resolve();
  await Promise.resolve();
  const fresh = report.stats({ stateMachine });
  answers[2]?.({ ...STATS, databaseBytes: 3 });
  strictEqual((await fresh).databaseBytes, 3);
  strictEqual(clock.timerCount, 0);
});

Deno.test("NodeReport.store() says that the store is closed while the node opens", async () => {
  const { report } = setUp();
  strictEqual(JSON.stringify(await report.store()), '{"open":false}');
});
