/**
 * A client's body to the payload of a log entry, in one step: what the node does with each write, on
 * the main thread for small bodies and on another for large ones. Time and seed stay zero: the leader
 * stamps them when it proposes (`stampCommand`).
 */
import { CommandEncoder } from "./command_encoder.ts";
import type { RequestBody } from "./request.ts";
import { parseStatements } from "./statement_parser.ts";

/** One for the thread: it shares buffers between small commands. */
const ENCODER = new CommandEncoder();

/**
 * The encoded `ExecuteCommand`, or undefined when there is nothing to run: statements that are the
 * empty string are skipped without a result (the wire contract, section 5.5). The bytes are the
 * caller's, a view of a shared buffer: never transfer them.
 * @throws {OperatingError} as `parseStatements` and `CommandEncoder.encode` do.
 */
export function encodeExecuteBody(options: {
  readonly body: RequestBody;
  readonly transaction: boolean;
  readonly rows: boolean;
  readonly timeoutMs: number;
}): Uint8Array<ArrayBuffer> | undefined {
  const { transaction, rows, timeoutMs } = options;
  let statements = parseStatements(options.body);
  if (statements.some((statement) => statement.sql === "")) {
    statements = statements.filter((statement) => statement.sql !== "");
  }
  if (statements.length === 0) return undefined;
  return ENCODER.encode({
    kind: "execute",
    options: { transaction, rows, timeoutMs },
    nowMs: 0,
    elapsedMs: 0,
    seed: 0n,
    statements,
  });
}
