import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { decodeCommand } from "./command_decoder.ts";
import { encodeExecuteBody } from "./execute_body.ts";

const OPTIONS = { transaction: true, rows: true, timeoutMs: 1500 };

function sqlOf(text: string): string[] | undefined {
  const payload = encodeExecuteBody({ body: { kind: "json", text }, ...OPTIONS });
  if (payload === undefined) return undefined;
  const command = decodeCommand(payload);
  ok(command.kind === "execute");
  deepStrictEqual(command.options, OPTIONS);
  deepStrictEqual([command.nowMs, command.seed], [0, 0n]);
  return command.statements.map((statement) => statement.sql);
}

Deno.test("encodeExecuteBody() encodes the statements that are not empty", () => {
  deepStrictEqual(sqlOf('["a",["b",1],"c"]'), ["a", "b", "c"]);
  deepStrictEqual(sqlOf('["","a",[""]," "]'), ["a", " "]);
  strictEqual(sqlOf('["",[""]]'), undefined);
  strictEqual(encodeExecuteBody({ body: { kind: "sql", text: "" }, ...OPTIONS }), undefined);
});

Deno.test("encodeExecuteBody() refuses unusable bodies", () => {
  throws(() => sqlOf("[]"), OperatingError);
});
