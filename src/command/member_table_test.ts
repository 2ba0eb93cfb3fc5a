import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { decodeGenesis, encodeGenesis } from "./genesis.ts";
import {
  changeMembers,
  decodeMemberTable,
  encodeMemberTable,
  type MemberRow,
  NO_MEMBERS,
} from "./member_table.ts";

function row(nodeId: number, name = `n${nodeId}`): MemberRow {
  return {
    nodeId,
    incarnation: new Uint8Array(16).fill(nodeId),
    name,
    raftAddress: `127.0.0.1:${4000 + nodeId}`,
    apiUrl: `http://127.0.0.1:${5000 + nodeId}`,
    isReadOnly: nodeId % 2 === 0,
  };
}

Deno.test("decodeMemberTable() reads what was written, names of any kind included", () => {
  const table = { nextNodeId: 9, members: [row(1, ""), row(2, "größe"), row(8)] };
  deepStrictEqual(decodeMemberTable(encodeMemberTable(table)), table);
  deepStrictEqual(decodeMemberTable(encodeMemberTable(NO_MEMBERS)), NO_MEMBERS);
});

Deno.test("decodeMemberTable() refuses what is cut short, too long, unordered or newer", () => {
  const bytes = encodeMemberTable({ nextNodeId: 3, members: [row(1), row(2)] });
  for (let size = 0; size < bytes.length; size++) {
    strictEqual(decodeMemberTable(bytes.subarray(0, size)), undefined, `${size} bytes`);
  }
  strictEqual(decodeMemberTable(Uint8Array.of(...bytes, 0)), undefined);
  strictEqual(decodeMemberTable(Uint8Array.of(2, ...bytes.subarray(1))), undefined);
  const unordered = encodeMemberTable({ nextNodeId: 3, members: [row(2), row(1)] });
  strictEqual(decodeMemberTable(unordered), undefined);
});

Deno.test("changeMembers() never gives a number again, also not that of who is gone (M1)", () => {
  const grown = changeMembers(NO_MEMBERS, { put: [row(1), row(2)], memberIds: [1, 2] });
  strictEqual(grown.nextNodeId, 3);
  const shrunk = changeMembers(grown, { put: [], memberIds: [1] });
  deepStrictEqual(shrunk, { nextNodeId: 3, members: [row(1)] });
  const moved = { ...row(1), raftAddress: "elsewhere:1" };
  deepStrictEqual(changeMembers(shrunk, { put: [moved], memberIds: [1] }).members, [moved]);
});

Deno.test("decodeGenesis() reads what was written, and nothing else", () => {
  const genesis = {
    configuration: Uint8Array.of(1, 2, 3),
    members: { nextNodeId: 2, members: [row(1)] },
    foreignKeys: true,
    softLimitSteps: 200_000_000,
  };
  const bytes = encodeGenesis(genesis);
  deepStrictEqual(decodeGenesis(bytes), genesis);
  for (let size = 0; size < bytes.length; size++) {
    strictEqual(decodeGenesis(bytes.subarray(0, size)), undefined, `${size} bytes`);
  }
});
