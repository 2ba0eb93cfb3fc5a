/**
 * A state on its way from one node to another: copied to a file, moved in as a new generation, and gone
 * on with, in both modes (rules S2, N3).
 */
import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import type { QueryRequest } from "../command/request.ts";
import { TemporaryFolder } from "../sqlite/testing.ts";
import type { StateMachine } from "./state_machine.ts";
import { entry, openNode } from "./testing.ts";

async function write(machine: StateMachine, sql: string): Promise<void> {
  await machine.apply([entry(machine.applied.index + 1, [sql])]);
}

async function rowsOf(machine: StateMachine): Promise<string> {
  const request: QueryRequest = {
    id: 0,
    body: { kind: "sql", text: "SELECT group_concat(a) FROM t" },
    transaction: false,
    format: 0,
    timeoutMs: 0,
    level: "none",
    freshnessMs: 0,
    freshnessStrict: false,
    linearizableTimeoutMs: 0,
  };
  const outcome = await machine.query(request, { unified: false });
  ok(outcome.kind === "answer");
  return /"values":\[\[(.*?)\]\]/.exec(String(outcome.results))?.[1] ?? String(outcome.results);
}

for (const mode of ["ram", "disk"] as const) {
  Deno.test(`A state goes to another node and on from there, mode ${mode}`, async () => {
    using folder = new TemporaryFolder();
    const sender = await openNode(folder.file("a"), "disk");
    await write(sender, "CREATE TABLE t(a)");
    await write(sender, "INSERT INTO t VALUES(1)");
    const sent = await sender.exportState();
    await write(sender, "INSERT INTO t VALUES(2)");
    deepStrictEqual([sent.index, sent.sizeBytes], [3, Deno.statSync(sent.path).size]);

    // One writer in a process: the clock's VFS is registered once.
    await sender.close();
    let receiver = await openNode(folder.file("b"), mode);
    await write(receiver, "CREATE TABLE other(a)");
    const incoming = folder.file("incoming");
    Deno.copyFileSync(sent.path, incoming);
    const staged = await receiver.stageFile(incoming);
    const { path: _path, sizeBytes: _size, ...state } = sent;
    deepStrictEqual(staged, { ...state, generation: 2 });
    strictEqual(receiver.applied.index, 2, "not in use before it is activated");
    ok((await rowsOf(receiver)).includes("no such table: t"));
    const activating = receiver.activateGeneration(2);
    strictEqual(await rowsOf(receiver), '"1"', "reads wait for it");
    await activating;
    deepStrictEqual(receiver.applied, state);
    await receiver.releaseGenerations(2);
    await write(receiver, "INSERT INTO t VALUES(3)");
    strictEqual(await rowsOf(receiver), '"1,3"');
    const { index } = await receiver.snapshot();
    strictEqual(index, 4);
    await receiver.close();
    receiver = await openNode(folder.file("b"), mode, mode === "disk" ? 2 : 3);
    strictEqual(await rowsOf(receiver), '"1,3"');
    await receiver.dropExport(sent.path);
    ok(!(await Deno.stat(sent.path).then(() => true, () => false)));
    await receiver.close();
  });
}

Deno.test("stageFile() refuses what is damaged", async () => {
  using folder = new TemporaryFolder();
  const machine = await openNode(folder.file("a"), "disk");
  const path = folder.file("incoming");
  Deno.writeTextFileSync(path, "x".repeat(8192));
  await rejects(machine.stageFile(path), { name: "FatalError" });
  await machine.close();
});
