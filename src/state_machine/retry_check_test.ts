/**
 * Each kind of disagreement between the tables of the retry ledger is found, and none where there is none.
 */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { Connection } from "../sqlite/connection.ts";
import { findLibrary } from "../sqlite/loader.ts";
import { problemsWithRetries } from "./retry_check.ts";
import { createState } from "./state_record.ts";

const CHAIN = { high: 1, low: 2 };

function makeState(): Connection {
  const { library } = findLibrary();
  const connection = Connection.open(library, { path: ":memory:", mode: "create" });
  const record = {
    appliedIndex: 10,
    appliedTerm: 1,
    entryChain: CHAIN,
    resultChain: CHAIN,
    lastTimeMs: 0,
    lastInsertId: 0,
    rowsAffected: 0,
    lastWriteIndex: 9,
    foreignKeys: false,
    softLimitSteps: 1000,
    featureLevel: 1,
    logClockMs: 0,
  };
  const identity = { clusterId: new Uint8Array(16), configuration: new Uint8Array(2) };
  createState(connection, { record, identity });
  for (const number of [4, 5, 6]) {
    connection.exec(`
      INSERT INTO sqlite_dust_key VALUES('', 'k${number}', 'hash', ${number}, 1, '[]');
      INSERT INTO sqlite_dust_key_age VALUES(${number}, 0, 100, ${
      number * 100
    }, '', 'k${number}')`);
  }
  connection.exec(`INSERT INTO sqlite_dust_session VALUES(2, 'n', 5, 7, 8);
    INSERT INTO sqlite_dust_answer VALUES(2, 7, 8, 1, '[]')`);
  return connection;
}

Deno.test("problemsWithRetries() finds nothing in tables that agree, and each kind of change", () => {
  const changes: readonly (readonly [string, RegExp])[] = [
    ["DELETE FROM sqlite_dust_key_age WHERE number=4", /^1 idempotency keys more or less/],
    ["UPDATE sqlite_dust_key SET key='x' WHERE key='k5'", /^1 ages .* that are not there/],
    ["UPDATE sqlite_dust_key_age SET total_bytes=0 WHERE number=6", /^1 gaps in the order/],
    ["UPDATE sqlite_dust_key SET raft_index=11 WHERE key='k6'", /^1 idempotency keys of entries/],
    ["UPDATE sqlite_dust_session SET lowest=8", /^1 answers kept for nobody/],
    ["UPDATE sqlite_dust_answer SET raft_index=11", /^1 answers of entries/],
  ];
  for (const [sql, pattern] of changes) {
    using connection = makeState();
    deepStrictEqual(problemsWithRetries(connection), []);
    connection.exec(sql);
    const problems = problemsWithRetries(connection);
    strictEqual(problems.length, 1, problems.join());
    match(problems[0] ?? "", pattern);
  }
});
