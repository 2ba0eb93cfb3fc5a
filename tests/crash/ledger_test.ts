/**
 * The judge of the crash tests: each kind of wrong database must be called wrong, or the tests that rely
 * on it could not fail.
 */
import { deepStrictEqual, match, notStrictEqual, strictEqual } from "node:assert/strict";
import { encodeOperation, Ledger, type OperationKind, type TableContent } from "./ledger.ts";

interface Tables {
  event: [number, number, number, string][];
  counter: [number, number, number][];
  large: [number, number, string][];
}

/** A ledger of one writer that has sent `kinds` and was told that all are done, and the right tables. */
function told(kinds: readonly OperationKind[]): { ledger: Ledger; tables: Tables } {
  const ledger = new Ledger(1);
  const tables: Tables = { event: [], counter: [[0, 0, -1]], large: [] };
  for (const kind of kinds) {
    run(tables, kind, ledger.begin(0, kind));
    ledger.settle(0, "acknowledged");
  }
  return { ledger, tables };
}

/** Does to the tables what the operation's statements say. */
function run(tables: Tables, kind: OperationKind, seq: number): void {
  if (kind === "failing") return;
  const statements: [string, ...(number | string)[]][] = JSON.parse(
    encodeOperation(kind, { writer: 0, seq }).body,
  );
  for (const [sql, ...values] of statements) {
    if (sql.startsWith("INSERT INTO event")) tables.event.push(values as Tables["event"][number]);
    else if (sql.startsWith("UPDATE counter")) {
      tables.counter = [[0, (tables.counter[0]?.[1] ?? 0) + 1, seq]];
    } else tables.large = [values as Tables["large"][number]];
  }
}

const ALL: readonly OperationKind[] = ["row", "entry", "transaction", "failing", "count", "large"];

function firstViolation(ledger: Ledger, tables: TableContent): string {
  return ledger.compare(tables).violations[0] ?? "none";
}

Deno.test("compare() finds nothing wrong when all that was acknowledged is there", () => {
  const { ledger, tables } = told(ALL);
  deepStrictEqual(ledger.compare(tables), { violations: [], unacknowledgedFound: 0 });
  strictEqual(ledger.acknowledgedRows, 1 + 2 + 3 + 1 + 1);
});

Deno.test("compare() finds a row that is lost, doubled, torn, or from nowhere", () => {
  for (let at = 0; at < 6; at++) {
    const { ledger, tables } = told(ALL);
    tables.event.splice(at, 1);
    match(firstViolation(ledger, tables), /of \d rows of acknowledged/);
  }
  const doubled = told(ALL);
  doubled.tables.event.push([...doubled.tables.event[4] ?? [0, 0, 0, ""]]);
  match(firstViolation(doubled.ledger, doubled.tables), /is there twice/);
  const torn = told(ALL);
  torn.tables.event[0] = [0, 0, 0, "row 0.0.0 "];
  match(firstViolation(torn.ledger, torn.tables), /is torn/);
  const strange = told(["row"]);
  run(strange.tables, "row", 7);
  match(firstViolation(strange.ledger, strange.tables), /never sent/);
});

Deno.test("compare() finds rows of what failed or was refused", () => {
  const failed = told(["failing"]);
  run(failed.tables, "row", 0);
  match(firstViolation(failed.ledger, failed.tables), /1 of 0 rows of acknowledged failing/);
  const refused = told([]);
  run(refused.tables, "entry", refused.ledger.begin(0, "entry"));
  refused.ledger.settle(0, "refused");
  match(firstViolation(refused.ledger, refused.tables), /rows of refused entry/);
});

Deno.test("compare() finds an update that is lost or doubled, and a large value that is old or torn", () => {
  for (const value of [1, 3]) {
    const { ledger, tables } = told(["count", "count"]);
    tables.counter = [[0, value, 1]];
    match(firstViolation(ledger, tables), /counter 0 is \d and not 2$/);
  }
  const old = told(["large"]);
  const before = old.tables.large;
  old.ledger.begin(0, "large");
  old.ledger.settle(0, "acknowledged");
  match(firstViolation(old.ledger, { ...old.tables, large: before }), /is of 0 and not of 1/);
  const torn = told(["large"]);
  torn.tables.large = [[0, 0, "large 0.0 y"]];
  match(firstViolation(torn.ledger, torn.tables), /is torn: 11/);
});

Deno.test("compare() takes what nobody was told of as a whole or not at all, and remembers which", () => {
  for (const kind of ["row", "entry", "transaction", "count", "large"] as const) {
    for (const isThere of [true, false]) {
      const { ledger, tables } = told(ALL);
      const before = structuredClone(tables);
      const after = structuredClone(tables);
      run(after, kind, ledger.begin(0, kind));
      const [first, second] = isThere ? [after, before] : [before, after];
      deepStrictEqual(ledger.compare(first).violations, [], kind);
      deepStrictEqual(ledger.compare(first).violations, [], kind);
      notStrictEqual(firstViolation(ledger, second), "none", `${kind} changed its mind`);
    }
  }
  const half = told([]);
  run(half.tables, "transaction", half.ledger.begin(0, "transaction"));
  half.tables.event.pop();
  match(firstViolation(half.ledger, half.tables), /is torn: 2 of 3 rows/);
});

Deno.test("forget() keeps counters and large values in mind, and notices rows that come back", () => {
  const { ledger, tables } = told(ALL);
  ledger.compare(tables);
  ledger.forget();
  match(firstViolation(ledger, tables), /never sent, or deleted/);
  const emptied = { ...tables, event: [] };
  deepStrictEqual(ledger.compare(emptied).violations, []);
  match(firstViolation(ledger, { ...emptied, counter: [[0, 0, -1]] }), /counter 0 is 0 and not 1/);
  match(firstViolation(ledger, { ...emptied, large: [] }), /is of -1 and not of 5/);
});
