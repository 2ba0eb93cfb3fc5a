import { ok, rejects } from "node:assert/strict";
import { logIndex, term } from "../base/ids.ts";
import type { AppliedState } from "./ports.ts";
import { assertOwnHistory, isOwnHistory } from "./recovery.ts";
import { memoryEntry, MemoryLog, MemoryStateMachine } from "./testing.ts";

/** Entries 5 to 8 of term 3, behind a marker at 4 of term 2. */
function compactedLog(): MemoryLog {
  const log = new MemoryLog();
  log.firstIndex = logIndex(5);
  log.marker = { ...log.marker, index: logIndex(4), term: term(2) };
  log.entries = [5, 6, 7, 8].map((index) => memoryEntry(index, { term: 3 }));
  return log;
}

function stateAt(log: MemoryLog, index: number, stateTerm: number): AppliedState {
  return { ...new MemoryStateMachine(log, index).applied, term: term(stateTerm) };
}

Deno.test("isOwnHistory() takes a state whose term and entry chain the log has (D4)", async () => {
  const log = compactedLog();
  ok(await isOwnHistory(stateAt(log, 6, 3), log));
  ok(await isOwnHistory(stateAt(log, 8, 3), log));
  // The marker's own index is the last one known of what was purged.
  ok(await isOwnHistory(stateAt(log, 4, 2), log));
});

Deno.test("isOwnHistory() takes no state of another history, nor one whose entries are gone (D4, S3)", async () => {
  const log = compactedLog();
  const state = stateAt(log, 6, 3);
  ok(!(await isOwnHistory({ ...state, term: term(2) }, log)));
  ok(!(await isOwnHistory({ ...state, entryChain: "ffffffffffffffff" }, log)));
  ok(!(await isOwnHistory(stateAt(log, 3, 2), log)));
  await rejects(assertOwnHistory({ ...state, term: term(2) }, log), { exitStatus: 65 });
});

Deno.test("isOwnHistory() refuses to go on when the log ends before the state (D5)", async () => {
  const log = compactedLog();
  const what = { name: "FatalError", exitStatus: 65, message: /entry 9 but the log ends at 8/ };
  await rejects(isOwnHistory(stateAt(log, 9, 3), log), what);
  await rejects(assertOwnHistory(stateAt(log, 9, 3), log), what);
});
