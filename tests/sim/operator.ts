/**
 * Changes the membership at random, through the leader, and replaces machines that are lost or suspect:
 * a new machine comes with an empty disk and an id that was never used (rule M1). Sees to it that every
 * configuration can do without what is lost.
 */
import type { NodeId } from "../../src/base/ids.ts";
import type { ConfChange, ConfChangeSingle } from "../../src/raft/conf_change.ts";
import { allMembers, isJoint } from "../../src/raft/configuration.ts";
import type { ConfState } from "../../src/raft/types.ts";
import type { Chance } from "./chance.ts";
import type { Machine } from "./machine.ts";
import type { SimProcess } from "./sim_process.ts";
import type { World } from "./world.ts";

const MACHINES_MAX = 24;
const VOTERS_MAX = 7;
const LEARNERS_MAX = 2;

/** How often somebody looks after lost machines, in runs that have no other changes. */
const REPAIR_MS = 4000;

/** See the file's header. */
export class Operator {
  readonly #world: World;
  readonly #chance: Chance;
  #isOver = false;

  constructor(world: World) {
    this.#world = world;
    this.#chance = world.stream("operator");
  }

  /** Starts to work. */
  begin(): void {
    this.#next();
  }

  /** Proposes nothing more, but what leaves a joint configuration. */
  end(): void {
    this.#isOver = true;
  }

  #next(): void {
    const { faults } = this.#world.options;
    const meanMs = faults.membership === 0 ? REPAIR_MS : faults.membership;
    this.#world.timeline.after(this.#chance.waitMs(meanMs), () => {
      this.#begin();
      this.#next();
    });
  }

  /** Soon behind an entry that waits for a verdict, too: the change must not be proposed before that came. */
  #begin(): void {
    if (this.#world.options.heavyShare === 0 || !this.#chance.happens(0.4)) return this.#act();
    this.#world.isHeavyNext = true;
    this.#world.timeline.after(this.#chance.within(1, 100), () => this.#act());
  }

  #act(): void {
    const leader = this.#world.leader();
    const configuration = leader?.node?.loop.raft.configuration;
    if (leader === undefined || configuration === undefined) return;
    if (isJoint(configuration)) {
      if (!configuration.autoLeave) this.#propose(leader, { transition: "auto", changes: [] });
      return;
    }
    if (this.#isOver) return;
    this.#retire();
    const lost = allMembers(configuration).find((id) => this.#isBad(id));
    if (lost !== undefined) this.#replace(leader, configuration, lost);
    else if (this.#world.options.faults.membership > 0) this.#change(leader, configuration);
  }

  #isBad(id: NodeId): boolean {
    const machine = this.#world.machines.get(id);
    return machine === undefined || machine.isLost || machine.isSuspect;
  }

  /** One who is lost goes; with luck another comes in the same step. */
  #replace(leader: SimProcess, configuration: ConfState, lost: NodeId): void {
    const changes: ConfChangeSingle[] = [{ type: "remove", nodeId: lost }];
    if (configuration.voters.length === 1 && configuration.voters[0] === lost) return;
    const newcomer = this.#chance.happens(0.7) ? this.#newMachine() : undefined;
    if (newcomer !== undefined) changes.push({ type: "add_learner", nodeId: newcomer.id });
    this.#propose(leader, { transition: "auto", changes });
  }

  #change(leader: SimProcess, configuration: ConfState): void {
    if (configuration.learners.length > 0 && this.#chance.happens(0.3)) {
      return this.#swap(leader, configuration);
    }
    const changes: ConfChangeSingle[] = [];
    const draft = {
      voters: configuration.voters.length,
      learners: configuration.learners.length,
    };
    for (let left = this.#chance.pick([1, 1, 1, 2, 3]) ?? 1; left > 0; left--) {
      const change = this.#oneChange(configuration, draft);
      if (change === undefined || changes.some(({ nodeId }) => nodeId === change.nodeId)) continue;
      changes.push(change);
    }
    if (changes.length === 0) return;
    const transition = this.#chance.pick(["auto", "auto", "implicit", "explicit"] as const);
    this.#propose(leader, { transition: transition ?? "auto", changes });
  }

  /** All learners become voters and as many voters go: old and new majorities may have nobody in common. */
  #swap(leader: SimProcess, configuration: ConfState): void {
    const { voters, learners } = configuration;
    const first = this.#chance.below(voters.length);
    const goes = [...voters.slice(first), ...voters.slice(0, first)].slice(0, learners.length);
    const changes: ConfChangeSingle[] = [
      ...learners.map((nodeId) => ({ type: "add_voter" as const, nodeId })),
      ...goes.map((nodeId) => ({ type: "remove" as const, nodeId })),
    ];
    const transition = this.#chance.pick(["implicit", "explicit"] as const) ?? "explicit";
    this.#propose(leader, { transition, changes });
    if (this.#chance.happens(0.6)) this.#world.onSwap(learners);
  }

  #oneChange(
    configuration: ConfState,
    draft: { voters: number; learners: number },
  ): ConfChangeSingle | undefined {
    const { voters, learners } = configuration;
    switch (this.#chance.below(6)) {
      case 0:
      case 1: {
        if (draft.learners >= LEARNERS_MAX) return undefined;
        const newcomer = this.#newMachine();
        if (newcomer === undefined) return undefined;
        draft.learners += 1;
        return { type: "add_learner", nodeId: newcomer.id };
      }
      case 2:
      case 3: {
        const learner = this.#chance.pick(learners);
        if (learner === undefined || draft.voters >= VOTERS_MAX) return undefined;
        draft.voters += 1;
        return { type: "add_voter", nodeId: learner };
      }
      case 4: {
        const voter = this.#chance.pick(voters);
        if (voter === undefined || draft.voters <= 1) return undefined;
        draft.voters -= 1;
        return { type: "add_learner", nodeId: voter };
      }
      default: {
        const member = this.#chance.pick([...voters, ...learners]);
        if (member === undefined) return undefined;
        if (voters.includes(member)) {
          if (draft.voters <= 1) return undefined;
          draft.voters -= 1;
        }
        return { type: "remove", nodeId: member };
      }
    }
  }

  #newMachine(): Machine | undefined {
    if (this.#world.machines.size >= MACHINES_MAX) return undefined;
    const machine = this.#world.addMachine(undefined);
    this.#world.restart(machine);
    return machine;
  }

  /** As a production node does it, so that no change stands behind an entry that wants a verdict. */
  #propose(
    leader: SimProcess,
    wanted: Pick<ConfChange, "transition" | "changes">,
  ): void {
    const world = this.#world;
    const hasVerdicts = world.options.heavyShare > 0;
    const note = (code: number, outcome: string): void =>
      world.trace.note(
        "conf_change",
        leader.machine.id,
        [wanted.changes.length, code],
        () => `${outcome} ${wanted.transition} ${JSON.stringify(wanted.changes)}`,
      );
    leader.enter((node) => {
      const change = { form: "joint", context: new Uint8Array(0), ...wanted } as const;
      leader.changesAsked += 1;
      node.changeMembers(change).then(
        () => {
          leader.changesAsked -= 1;
          world.count("membershipChanges");
          note(1, "applied");
        },
        (error) => {
          leader.changesAsked -= 1;
          note(0, `${error}`);
        },
      );
      world.onChangeAsked();
      // And soon behind a change: elections must not wait for both.
      world.isHeavyNext = hasVerdicts && this.#chance.happens(0.5);
    });
  }

  /**
   * Stops machines that are no members, sooner or later; they disturb meanwhile. Not before the members
   * know durably that these are gone: one who does not may still need their votes.
   */
  #retire(): void {
    if (!this.#world.isConfigurationKnown) return;
    const members = allMembers(this.#world.configuration);
    for (const machine of this.#world.machines.values()) {
      if (members.includes(machine.id) || machine.isRetired || !this.#chance.happens(0.1)) continue;
      machine.isRetired = true;
      this.#world.kill(machine, "exit");
    }
  }
}
