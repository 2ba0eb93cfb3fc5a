/**
 * The published JavaScript client of rqlite, unmodified, against a running node: what it writes it
 * reads back, and errors arrive where it looks for them.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { DataApiClient, StatusApiClient } from "rqlite-js";
import { startNode } from "./process.ts";

/** What is used of the package, which comes without types. */
interface Results {
  hasError(): boolean;
  getFirstError(): Error;
  toArray(): unknown[];
  get(index: number): { getLastInsertId(): number; getRowsAffected(): number; getTime(): number };
}

interface Data {
  execute(sql: string | readonly unknown[], options?: object): Promise<Results>;
  query(sql: string | readonly unknown[], options?: object): Promise<Results>;
}

interface Status {
  status(): Promise<{ readonly body: { readonly store: { readonly raft: { state: string } } } }>;
}

Deno.test("rqlite-js writes, reads, and sees errors and status", async () => {
  await using node = await startNode();
  const data: Data = new DataApiClient(node.url);
  const created = await data.execute(
    "CREATE TABLE foo (id integer primary key, name text, age real)",
  );
  ok(!created.hasError());

  const inserted = await data.execute(
    [
      ["INSERT INTO foo(name, age) VALUES(?, ?)", "fiona", 20],
      "INSERT INTO foo(name) VALUES('bob')",
    ],
    { timings: true },
  );
  deepStrictEqual([inserted.get(0).getLastInsertId(), inserted.get(1).getLastInsertId()], [1, 2]);
  strictEqual(inserted.get(1).getRowsAffected(), 1);
  ok(inserted.get(1).getTime() > 0);

  const rows = [{ id: 1, name: "fiona", age: 20 }, { id: 2, name: "bob", age: null }];
  for (const level of ["none", "weak", "strong", "linearizable"]) {
    deepStrictEqual((await data.query("SELECT * FROM foo ORDER BY id", { level })).toArray(), rows);
    deepStrictEqual(
      (await data.query([["SELECT * FROM foo WHERE name=?", "bob"]], { level })).toArray(),
      [rows[1]],
    );
  }

  const failed = await data.execute(
    ["INSERT INTO foo(id) VALUES(9)", "INSERT INTO foo(id) VALUES(1)"],
    { transaction: true },
  );
  ok(failed.hasError());
  strictEqual(failed.getFirstError().message, "UNIQUE constraint failed: foo.id");
  deepStrictEqual((await data.query("SELECT count(*) AS n FROM foo")).toArray(), [{ n: 2 }]);
  const wrong = await data.query("SELECT * FROM nope");
  strictEqual(wrong.getFirstError().message, "no such table: nope");

  const status: Status = new StatusApiClient(node.url);
  strictEqual((await status.status()).body.store.raft.state, "Leader");
});
