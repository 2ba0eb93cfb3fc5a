import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { encodeCommand } from "../command/command_encoder.ts";
import { encodeMemberTable, type MemberRow } from "../command/member_table.ts";
import { Connection } from "../sqlite/connection.ts";
import { setSwitches } from "../sqlite/settings.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import { readState } from "./state_record.ts";
import { contentOf, createTestState, entry, TestWriter } from "./testing.ts";

function stateOf(path: string): ReturnType<typeof readState> {
  using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  setSwitches(connection, { noCheckpointOnClose: true });
  return readState(connection);
}

function row(nodeId: number): MemberRow {
  return {
    nodeId,
    incarnation: new Uint8Array(16).fill(nodeId),
    name: `n${nodeId}`,
    raftAddress: `h:${nodeId}`,
    apiUrl: `http://h:${nodeId}`,
    isReadOnly: nodeId === 3,
  };
}

Deno.test("readState() refuses a state of another format", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("state");
  createTestState(path);
  {
    using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
    connection.exec("UPDATE sqlite_dust_state SET format=1");
  }
  throws(() => stateOf(path), { name: "FatalError", message: /format 1, and this build reads 3/ });
});

Deno.test("members change with their entry, in its transaction, and whoever goes takes its session", () => {
  using folder = new TemporaryFolder();
  const path = folder.file("state");
  using writer = new TestWriter(path);
  const change = (nextNodeId: number, ids: readonly number[]): void => {
    const members = encodeMemberTable({ nextNodeId, members: ids.map(row) });
    const payload = Uint8Array.of(1, 0, 0, 0, 0);
    const configuration = Uint8Array.from(ids);
    writer.apply([{
      ...entry(writer.nextIndex, []),
      kind: "conf_change",
      payload,
      configuration,
      members,
    }]);
    deepStrictEqual(writer.writer.members, members);
  };
  change(4, [1, 2, 3]);
  deepStrictEqual(stateOf(path).identity.members, { nextNodeId: 4, members: [1, 2, 3].map(row) });
  const opening = { kind: "open_session", nodeId: 2, bootNonce: 77n, seenIndex: 0 } as const;
  writer.apply([{ ...entry(writer.nextIndex, []), payload: encodeCommand(opening) }]);
  ok(/sqlite_dust_session: number 2/.test(contentOf(path)));
  change(4, [1, 3]);
  const { record, identity } = stateOf(path);
  deepStrictEqual(identity.members, { nextNodeId: 4, members: [1, 3].map(row) });
  deepStrictEqual(identity.configuration, Uint8Array.of(1, 3));
  strictEqual(record.appliedIndex, writer.nextIndex - 1);
  ok(!/sqlite_dust_session: number 2/.test(contentOf(path)));
});
