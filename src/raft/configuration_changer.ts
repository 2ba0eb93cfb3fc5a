/**
 * What a change does to a configuration: pure functions from one configuration to the next, or to the
 * reason why not. Single changes are applied in order and are idempotent. The leader's knowledge of
 * members follows the configuration (members.ts).
 *
 * A voter of the outgoing half that becomes a learner waits in `learnersNext` until the joint
 * configuration is left: until then its vote counts.
 */
import type { NodeId } from "../base/ids.ts";
import {
  type ConfChange,
  type ConfChangeSingle,
  isAutoLeave,
  isEnterJoint,
  isLeaveJoint,
} from "./conf_change.ts";
import { ascending, isJoint } from "./configuration.ts";
import type { ConfState } from "./types.ts";

/** The next configuration, and who got a new start in between: removed and added again, or new. */
export interface ConfigurationChanged {
  readonly kind: "changed";
  readonly configuration: ConfState;
  /** Members that begin without a history, though they may have been members before. */
  readonly renewed: readonly NodeId[];
}

/** The next configuration, or why there is none. */
export type ChangeOutcome = ConfigurationChanged | {
  readonly kind: "impossible";
  /** In lower case, as the last part of a sentence. */
  readonly reason: string;
};

/** The configuration while single changes are applied to it. */
class Draft {
  readonly voters: Set<NodeId>;
  readonly outgoing: ReadonlySet<NodeId>;
  readonly learners: Set<NodeId>;
  readonly learnersNext: Set<NodeId>;
  readonly renewed = new Set<NodeId>();

  constructor(from: ConfState, outgoing: readonly NodeId[]) {
    this.voters = new Set(from.voters);
    this.outgoing = new Set(outgoing);
    this.learners = new Set(from.learners);
    this.learnersNext = new Set(from.learnersNext);
  }

  apply(change: ConfChangeSingle): void {
    const id = change.nodeId;
    if (id === 0) return;
    switch (change.type) {
      case "add_voter":
        this.#renewUnlessMember(id);
        this.#forget(id);
        this.voters.add(id);
        return;
      case "add_learner":
        if (this.learners.has(id)) return;
        this.#renewUnlessMember(id);
        this.#forget(id);
        (this.outgoing.has(id) ? this.learnersNext : this.learners).add(id);
        return;
      case "remove":
        this.#forget(id);
        return;
      case "update":
        return;
    }
  }

  #renewUnlessMember(id: NodeId): void {
    const isMember = this.voters.has(id) || this.outgoing.has(id) || this.learners.has(id);
    if (!isMember) this.renewed.add(id);
  }

  #forget(id: NodeId): void {
    this.voters.delete(id);
    this.learners.delete(id);
    this.learnersNext.delete(id);
  }

  finish(options: { readonly autoLeave: boolean }): ChangeOutcome {
    if (this.voters.size === 0) return impossible("removed all voters");
    return {
      kind: "changed",
      configuration: {
        voters: ascending(this.voters),
        votersOutgoing: ascending(this.outgoing),
        learners: ascending(this.learners),
        learnersNext: ascending(this.learnersNext),
        autoLeave: options.autoLeave,
      },
      renewed: ascending(this.renewed),
    };
  }
}

function impossible(reason: string): ChangeOutcome {
  return { kind: "impossible", reason };
}

/** What `change` makes of `current`, choosing among the three functions below by its transition. */
export function changeConfiguration(current: ConfState, change: ConfChange): ChangeOutcome {
  if (isLeaveJoint(change)) return leaveJoint(current);
  if (!isEnterJoint(change)) return changeSimply(current, change.changes);
  return enterJoint(current, { changes: change.changes, autoLeave: isAutoLeave(change) });
}

/** Applies changes of which at most one concerns a voter, so that old and new majorities overlap. */
export function changeSimply(
  current: ConfState,
  changes: readonly ConfChangeSingle[],
): ChangeOutcome {
  if (isJoint(current)) return impossible("can't apply simple config change in joint config");
  const draft = new Draft(current, []);
  for (const change of changes) draft.apply(change);
  const removed = current.voters.filter((id) => !draft.voters.has(id)).length;
  const added = draft.voters.size - (current.voters.length - removed);
  const outcome = draft.finish({ autoLeave: false });
  if (outcome.kind === "changed" && removed + added > 1) {
    return impossible("more than one voter changed without entering joint config");
  }
  return outcome;
}

/** Keeps the voters as the outgoing half and applies the changes to the incoming one. */
export function enterJoint(
  current: ConfState,
  options: { readonly changes: readonly ConfChangeSingle[]; readonly autoLeave: boolean },
): ChangeOutcome {
  if (isJoint(current)) return impossible("config is already joint");
  if (current.voters.length === 0) return impossible("can't make a zero-voter config joint");
  const draft = new Draft(current, current.voters);
  for (const change of options.changes) draft.apply(change);
  return draft.finish({ autoLeave: options.autoLeave });
}

/** Drops the outgoing half; those who waited to become learners do. */
export function leaveJoint(current: ConfState): ChangeOutcome {
  if (!isJoint(current)) return impossible("can't leave a non-joint config");
  return {
    kind: "changed",
    configuration: {
      voters: current.voters,
      votersOutgoing: [],
      learners: ascending([...current.learners, ...current.learnersNext]),
      learnersNext: [],
      autoLeave: false,
    },
    renewed: [],
  };
}
