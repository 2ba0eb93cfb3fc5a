/**
 * Keeps membership changes and entries that may wait for a verdict apart (rules A4 and D2).
 *
 * Nobody may campaign before every change that he knows to be committed is applied. Behind an entry that
 * waits for its verdict nothing is applied, and only a leader can propose verdicts: if all nodes stopped in
 * that moment, nobody could ever lead again. So a change is proposed when all of the log is applied,
 * and writes wait until it is, and until the configuration is not on its way to be left.
 * Verdicts themselves never wait.
 */
import { OperatingError } from "../base/errors.ts";
import type { ConfChange } from "../raft/conf_change.ts";
import type { RefusalReason } from "../raft/proposal.ts";
import type { Raft } from "../raft/raft.ts";
import type { Proposal, Proposals } from "./proposals.ts";

/** See the file's header. One per event loop. */
export class ChangeGate {
  readonly #raft: Raft;
  #waiting: { readonly change: ConfChange; readonly proposal: Proposal } | undefined;

  constructor(raft: Raft) {
    this.#raft = raft;
  }

  /** Takes a change, until all before it is applied. */
  add(change: ConfChange, proposal: Proposal): void {
    if (this.#waiting !== undefined) return proposal.reject(refusal("change_pending"));
    this.#waiting = { change, proposal };
  }

  /** Whether writes may not enter the log now. */
  get isClosed(): boolean {
    const { role, pendingConfIndex, log, members } = this.#raft.state;
    if (role !== "leader") return false;
    return this.#waiting !== undefined || pendingConfIndex > log.applied ||
      members.configuration.autoLeave;
  }

  /** Proposes the change that waits, if its time has come; also where it will be refused. */
  proposeWaiting(proposals: Proposals): void {
    const { role, log } = this.#raft.state;
    if (this.#waiting === undefined) return;
    if (role === "leader" && log.applied < log.lastIndex) return;
    const { change, proposal } = this.#waiting;
    this.#waiting = undefined;
    const outcome = this.#raft.proposeConfChange(change);
    if (outcome.kind === "taken") proposals.place(outcome.index, proposal);
    else proposal.reject(refusal(outcome.kind === "refused" ? outcome.reason : "not_leader"));
  }

  /**
   * Rows of the member table were put: a change that waits was made of the table before, and may give a number
   * that is given by now. Two processes with one number would be counted as one (rule M1).
   */
  onMembersPut(): void {
    this.#waiting?.proposal.reject(refusal("change_pending"));
    this.#waiting = undefined;
  }

  /** Refuses the change when it has waited for too long; on the monotonic clock. */
  expire(nowMs: number): void {
    if (this.#waiting === undefined || nowMs < this.#waiting.proposal.queueDeadlineMs) return;
    const { proposal } = this.#waiting;
    this.#waiting = undefined;
    proposal.reject(new OperatingError("timeout", "timed out enqueuing operation"));
  }

  /** Nothing is proposed here any more: whoever leads next is to be asked. */
  abandon(): void {
    this.#waiting?.proposal.reject(refusal("not_leader"));
    this.#waiting = undefined;
  }
}

function refusal(reason: RefusalReason): OperatingError {
  switch (reason) {
    case "no_leader":
    case "not_leader":
    case "not_member":
    case "transferring":
      return new OperatingError("not_leader", "leader not found");
    case "change_pending":
    case "joint":
    case "uncommitted_limit":
      return new OperatingError(
        "overloaded",
        "Cannot change members: another change is on its way",
      );
    default:
      return new OperatingError("conflict", `Cannot change members: ${reason}`);
  }
}
