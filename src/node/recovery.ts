/**
 * The first question after a start: do log and state belong together (rule D4)? Every answer but
 * "yes" is final here: this file decides and words it, the caller only obeys.
 */
import { FatalError } from "../base/errors.ts";
import type { AppliedState, LogPort } from "./ports.ts";

/**
 * Compares a state found on disk or in memory with the log.
 * @returns true when the state is a prefix of the log's history and can be used; false when it is from
 * another history and must be rebuilt from the newest snapshot.
 * @throws {FatalError} when entries are missing that were durable once: the node must not vote or answer
 * (rule D5), and nothing here repairs it.
 */
export async function isOwnHistory(state: AppliedState, log: LogPort): Promise<boolean> {
  if (state.index > log.lastIndex) {
    throw new FatalError(
      65,
      `Cannot start: the state has applied entry ${state.index} but the log ends at ${log.lastIndex}, ` +
        "so durable entries are missing; restore the log directory or the whole data directory",
    );
  }
  if (state.index < log.firstIndex - 1) return false;
  const chain = await log.entryChain(state.index);
  return chain === state.entryChain && log.term(state.index) === state.term;
}

/** @throws {FatalError} when a state that cannot be rebuilt is from another history than the log. */
export async function assertOwnHistory(state: AppliedState, log: LogPort): Promise<void> {
  if (await isOwnHistory(state, log)) return;
  throw new FatalError(
    65,
    `Cannot start: the state at entry ${state.index} is not from this log (entries ${log.firstIndex} ` +
      `to ${log.lastIndex}); restore both from one backup`,
  );
}
