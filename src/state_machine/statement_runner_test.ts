/** Which errors of a statement are results of it; what they do is tested with entries. */
import { deepStrictEqual } from "node:assert/strict";
import { ResultCode, SqliteError } from "../sqlite/errors.ts";
import { isResultOfStatement } from "./statement_runner.ts";

Deno.test("isResultOfStatement() takes a statement in its own way for failed, not for early (A3)", () => {
  const { ERROR, CONSTRAINT, BUSY, LOCKED, FULL, IOERR, NOMEM, INTERRUPT } = ResultCode;
  const verdicts = [ERROR, CONSTRAINT, BUSY, LOCKED, FULL, IOERR, NOMEM, INTERRUPT].map((code) =>
    isResultOfStatement(new SqliteError(code, "Failed"))
  );
  deepStrictEqual(verdicts, [true, true, true, true, false, false, false, false]);
});
