import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { nodeId } from "../base/ids.ts";
import { productionConfig } from "./config.ts";
import { EMPTY_CONFIGURATION } from "./configuration.ts";
import { MemoryStorage } from "./memory_storage.ts";
import { Raft } from "./raft.ts";
import { EMPTY_HARD_STATE, NO_INDEX } from "./types.ts";

const ONE = nodeId(1);

function makeSingle(storage: MemoryStorage): Raft {
  return new Raft({
    config: productionConfig(ONE),
    storage,
    hardState: EMPTY_HARD_STATE,
    applied: NO_INDEX,
    configuration: { ...EMPTY_CONFIGURATION, voters: [ONE] },
    random: () => 0,
    trace: undefined,
  });
}

Deno.test("Raft with one voter elects itself, commits when durable, applies in order", () => {
  const storage = new MemoryStorage();
  const raft = makeSingle(storage);
  const applied: number[] = [];
  const turn = (): void => {
    const { append, apply } = raft.ready();
    if (append !== undefined) {
      storage.append(append.entries);
      deepStrictEqual(raft.appended(append), []);
    }
    if (apply !== undefined) {
      applied.push(...apply.entries.map((entry) => entry.index));
      raft.applied(apply);
    }
  };
  raft.campaign();
  while (raft.hasReady()) turn();
  strictEqual(raft.role, "leader");
  const outcome = raft.propose([{ kind: "normal", size: 1, payload: Uint8Array.of(7) }]);
  deepStrictEqual(outcome, { kind: "taken", index: 2, term: 1 });
  strictEqual(raft.hardState.commit, 1);
  while (raft.hasReady()) turn();
  strictEqual(raft.hardState.commit, 2);
  deepStrictEqual(applied, [1, 2]);
  strictEqual(raft.readIndex(42), "taken");
  deepStrictEqual(raft.ready().readStates, [{ context: 42, index: 2 }]);
  ok(!raft.hasReady());
});
