/**
 * The progress handler: called every so many steps of SQLite's virtual machine, it may end the
 * statement, which then gives INTERRUPT. How often it is called for one statement differs from replica
 * to replica (rule A4), so what it decides is never a result by itself.
 */
import type { Connection } from "./connection.ts";

/** @returns whether the statement may go on. */
export type ProgressHandler = () => boolean;

const CALLBACK = { parameters: ["pointer"], result: "i32" } as const;
const GO_ON = 0;
const STOP = 1;

/** Has `handler` called about every `stepCount` steps, at least 1, in place of an earlier one. */
export function setProgressHandler(
  connection: Connection,
  stepCount: number,
  handler: ProgressHandler,
): void {
  const callback = new Deno.UnsafeCallback(CALLBACK, () => {
    try {
      return handler() ? GO_ON : STOP;
    } catch (error) {
      connection.reportCallbackFailure(error);
      return STOP;
    }
  });
  connection.onClose(() => callback.close());
  const { symbols } = connection.library;
  symbols.sqlite3_progress_handler(connection.pointer, stepCount, callback.pointer, null);
}

/** Has nothing called any more. */
export function removeProgressHandler(connection: Connection): void {
  connection.library.symbols.sqlite3_progress_handler(connection.pointer, 0, null, null);
}
