/**
 * What a node does that waits for the verdict on an entry from which an earlier process of its own did not come
 * back (rule A4b). It took too long here; another replica may have come to its end, gone on without a verdict,
 * and told the client. So nobody voids it before those were asked who may know better: a follower takes the
 * state of a leader that is past the entry, and a leader hands over once before it proposes to void.
 * Not here: whoever ran the entry and is away when it is voided (nobody can ask it).
 */
import type { LogIndex, NodeId } from "../base/ids.ts";
import type { Clock } from "../os/clock.ts";
import { NOBODY } from "../raft/types.ts";
import type { EventLoop } from "./event_loop.ts";
import { STUCK_STATE_WAIT_MS } from "./limits.ts";

/** See the file's header. One per node. */
export class StuckEntry {
  readonly #loop: EventLoop;
  readonly #clock: Clock;
  #index = 0;
  #sinceMs = 0;
  #hasHandedOver = false;

  constructor(options: { readonly loop: EventLoop; readonly clock: Clock }) {
    this.#loop = options.loop;
    this.#clock = options.clock;
  }

  /** Called again and again while the entry waits. @returns whether this node is to propose its verdict. */
  mayJudge(index: LogIndex): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (index !== this.#index) {
      this.#index = index;
      this.#sinceMs = nowMs;
      this.#hasHandedOver = false;
    }
    const { raft, role } = this.#loop;
    if (role.role !== "leader") {
      // A leader that is not past it either has the verdict in the log by then.
      const isTime = nowMs - this.#sinceMs >= STUCK_STATE_WAIT_MS;
      if (isTime && !raft.state.wantsSnapshot) raft.requestSnapshot();
      return false;
    }
    if (this.#hasHandedOver) return raft.state.transferee === NOBODY;
    const successor = this.#successor();
    if (successor === undefined) return true;
    this.#hasHandedOver = true;
    this.#loop.transferLeadership(successor);
    return false;
  }

  /** The voter that has most of the log, among those heard from. */
  #successor(): NodeId | undefined {
    const { raft } = this.#loop;
    const able = raft.status().members.filter((member) =>
      member.id !== raft.id && member.isActive && !member.isLearner
    );
    return able.sort((left, right) => right.match - left.match)[0]?.id;
  }
}
