import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { logIndex } from "../base/ids.ts";
import type { QueryRequest } from "../command/request.ts";
import { Database } from "./database.ts";
import type { Forwarding } from "./forwarding.ts";
import type { Node } from "./node.ts";
import type { QueryOutcome, StateMachinePort } from "./ports.ts";
import { writePayload } from "./testing.ts";

/** What a leader and its state were asked, in order; `follows` says what each look at its followers finds. */
class Leader {
  readonly asked: string[] = [];
  readonly database = new Database();
  #reads = 0;

  constructor(follows: boolean[]) {
    const isFollowed = (): boolean => {
      this.asked.push("look");
      return follows.shift() ?? true;
    };
    const node = {
      isLeader: true,
      automaticLevel: "weak",
      mayReadWeakly: isFollowed,
      get isFollowed() {
        return isFollowed();
      },
      confirmRead: () => {
        this.asked.push("confirm");
        return Promise.resolve();
      },
    } as unknown as Node;
    const stateMachine = {
      query: (): Promise<QueryOutcome> => {
        this.asked.push("read");
        this.#reads += 1;
        return Promise.resolve({
          kind: "answer",
          results: `[${this.#reads}]`,
          index: logIndex(7),
        });
      },
    } as unknown as StateMachinePort;
    this.database.attach({ node, stateMachine });
  }
}

const WEAK: QueryRequest = {
  id: 1,
  body: { kind: "sql", text: "SELECT 1" },
  transaction: false,
  format: 0,
  timeoutMs: 0,
  level: "weak",
  freshnessMs: 0,
  freshnessStrict: false,
  linearizableTimeoutMs: 1000,
};

for (const way of ["query", "request"] as const) {
  Deno.test(`Database.${way}() reads again, confirmed, when it is followed no more behind a weak read (E4)`, async () => {
    const leader = new Leader([true, false]);
    const { results } = await leader.database[way](WEAK);
    strictEqual(results, "[2]");
    deepStrictEqual(leader.asked, ["look", "read", "look", "confirm", "read"]);
  });

  Deno.test(`Database.${way}() reads once what a quorum has confirmed, followed or not (E4)`, async () => {
    const leader = new Leader([false, false, false]);
    const { results } = await leader.database[way](WEAK);
    strictEqual(results, "[1]");
    deepStrictEqual(leader.asked, ["look", "confirm", "read"]);
  });
}

Deno.test("Database.carryOut() proposes nothing that this build cannot read: it would stop every node (F1)", async () => {
  const proposed: Uint8Array[] = [];
  const node = {
    assertWritable: () => undefined,
    write: (payload: Uint8Array) => {
      proposed.push(payload);
      return Promise.resolve({ results: "[1]", index: logIndex(9) });
    },
  } as unknown as Node;
  const database = new Database();
  database.attach({ node, stateMachine: {} as unknown as StateMachinePort });
  const { signal } = new AbortController();
  const known = new Uint8Array(writePayload());
  const newer = new Uint8Array(known);
  newer[0] = 255;
  await rejects(database.carryOut({ kind: "execute", format: 0 }, newer, signal), {
    code: "bad_request",
  });
  const both = new Uint8Array([...newer, ...known]);
  const writes = [newer, known].map(({ length }) => ({ format: 0, sizeBytes: length }));
  const answer = await database.carryOut({ kind: "executes", writes }, both, signal);
  const results = String(answer.results);
  match(results, /^\[\{"code":"bad_request".*\},\{"results":"\[1\]","index":9\}\]$/);
  deepStrictEqual(proposed, [known]);
});

/** A node in quarantine, whose state must not be asked. */
function quarantined(options: { readonly isLeader: boolean }): Database {
  const node = {
    ...options,
    isQuarantined: true,
    leaderId: 1,
    automaticLevel: "weak",
    assertFresh: () => undefined,
    untilLeader: () => Promise.resolve(0),
  } as unknown as Node;
  const forwarding = {
    read: ({ kind }: { readonly kind: string }) =>
      Promise.resolve({ results: `${kind} of the leader`, raftIndex: 0 }),
  } as unknown as Forwarding;
  const stateMachine = {
    query: (_: QueryRequest, { unified }: { readonly unified: boolean }) => {
      // What the statements are is found out here; what they answer is not shown.
      ok(unified, "the state was read");
      return Promise.resolve({ kind: "answer", results: "[]", index: logIndex(7) });
    },
  } as unknown as StateMachinePort;
  const database = new Database();
  database.attach({ node, stateMachine, forwarding });
  return database;
}

for (const level of ["none", "weak", "linearizable", "strong", "auto"] as const) {
  Deno.test(`Database in quarantine answers no read of level ${level} by itself (V2)`, async () => {
    const follower = quarantined({ isLeader: false });
    const leader = quarantined({ isLeader: true });
    for (const way of ["query", "request"] as const) {
      const request = { ...WEAK, level };
      if (level === "none") {
        await rejects(follower[way](request), { code: "quarantined" });
      } else {
        strictEqual((await follower[way](request)).results, `${way} of the leader`);
      }
      await rejects(leader[way](request), { code: "not_leader" });
    }
  });
}
