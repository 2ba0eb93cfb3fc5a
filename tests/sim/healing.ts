/**
 * The calm after the storm. First a random majority is healed and must commit within 30 seconds of
 * simulated time, whatever the others do; then everybody is, and all members must come to one state.
 * A cluster that is safe because it does nothing fails here.
 */
import { runInBackground } from "../../src/base/background.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { allMembers, isJoint } from "../../src/raft/configuration.ts";
import type { Clients } from "./clients.ts";
import { isQuorum } from "./history.ts";
import { DISK_BYTES } from "./machine.ts";
import { SqliteStateMachine } from "./sqlite_state_machine.ts";
import type { World } from "./world.ts";

/** G1: a healed majority commits within so much simulated time. */
const COMMIT_MS_MAX = 30_000;

/** All members are at one place within so much; snapshots may have to be made and sent, one by one. */
const CONVERGE_MS_MAX = 90_000;

const LOOK_MS = 100;

/** How a run waits: moves time, and tells whether something is wrong. */
export type Advance = (untilMs: number) => boolean;

/**
 * See the file's header. @returns when all is well or a violation is noted.
 * Without pre-votes nobody promises progress while a removed node runs: it raises the terms of others as
 * fast as they can, and as etcd's an engine without them says nothing to candidates of older terms.
 */
export function heal(world: World, clients: Clients, advance: Advance): void {
  const { judge } = world;
  if (world.options.raft.preVote === false) return;
  const majority = chooseMajority(world);
  calm(world, majority);
  world.trace.note("healed_majority", 0, majority ?? []);
  if (!commits(world, clients, advance)) {
    judge.fail(`a healed majority (${majority ?? "all"}) does not commit: ${describe(world)}`);
  }
  if (judge.violation !== undefined) return;
  calm(world, undefined);
  world.trace.note("healed_all", 0);
  // Where nobody knows which state is right, none is copied, and whoever needs a copy stays behind.
  if (!converges(world, clients, advance) && isTold(world)) {
    judge.fail(`the healed cluster does not come to one state: ${describe(world)}`);
  }
  compareDatabases(world);
  compareTaints(world);
}

/** A majority that must do without the others; undefined for everybody, while changes are under way. */
function chooseMajority(world: World): readonly NodeId[] | undefined {
  if (!world.isSettled) return undefined;
  const chance = world.stream("majority");
  const { voters, learners } = world.configuration;
  const sound = voters.filter((id) => !isGone(world, id));
  const chosen = new Set(sound);
  for (const id of sound) {
    const without = (other: NodeId): boolean => other !== id && chosen.has(other);
    if (chance.happens(0.6) && isQuorum(world.configuration, without)) chosen.delete(id);
  }
  return [...chosen, ...learners.filter(() => chance.happens(0.5))];
}

function isGone(world: World, id: NodeId): boolean {
  return world.machines.get(id)?.isLost !== false;
}

/** Nothing goes wrong any more among `group`; all others are cut off, or dead. */
function calm(world: World, group: readonly NodeId[] | undefined): void {
  const { network, machines } = world;
  world.isCalm = true;
  network.isPerfect = true;
  network.healAll();
  const members = allMembers(world.configuration);
  for (const machine of machines.values()) {
    machine.ioErrorsUntilMs = 0;
    machine.slowUntilMs = 0;
    machine.stalledUntilMs = 0;
    machine.lagsUntilMs = 0;
    machine.crashAtOperation = undefined;
    machine.disk.capacityBytes = DISK_BYTES;
    if (machine.process !== undefined) machine.process.pausedUntilMs = 0;
    if (members.includes(machine.id)) machine.isRetired = false;
    const isIn = group === undefined || group.includes(machine.id);
    if (isIn) world.restart(machine);
    else {
      for (const other of machines.keys()) {
        network.cut(machine.id, other);
        network.cut(other, machine.id);
      }
    }
  }
}

/** Whether a write is acknowledged in time. */
function commits(world: World, clients: Clients, advance: Advance): boolean {
  const endMs = world.timeline.nowMs + COMMIT_MS_MAX;
  let isAcked = false;
  let isTrying = false;
  while (!isAcked && world.timeline.nowMs < endMs) {
    const leader = world.leader();
    if (!isTrying && leader !== undefined) {
      isTrying = leader.enter((node) => {
        const write = clients.write(leader, node).then((done) => {
          isAcked = isAcked || done;
          isTrying = false;
        });
        runInBackground(write, (error) => leader.failed(error));
      });
      // A leader that dies or is cut off never answers.
      if (isTrying) {
        world.timeline.after(3000, () => {
          isTrying = false;
        });
      }
    }
    if (!advance(world.timeline.nowMs + LOOK_MS)) return true;
  }
  return isAcked;
}

function converges(world: World, clients: Clients, advance: Advance): boolean {
  const endMs = world.timeline.nowMs + CONVERGE_MS_MAX;
  while (world.timeline.nowMs < endMs) {
    if (!commits(world, clients, advance)) return false;
    if (!advance(world.timeline.nowMs + 500)) return true;
    if (isConverged(world) && areTaintsGone(world)) return true;
  }
  return false;
}

/**
 * Whether states never diverged, or one is held by a majority of all voters, so that the others can be told from
 * it. Who is in quarantine or cannot go on without a copy does not count, whatever it has in its file: it comes to
 * no index at which states are compared, and while nobody knows which is right, none is copied (rule V1).
 */
function isTold(world: World): boolean {
  if (!world.hasDiverged) return true;
  const { voters } = world.configuration;
  const firstIndex = firstIndexOfLeader(world);
  const taints = new Map<number, number>();
  for (const id of voters) {
    const machine = world.machines.get(id);
    const state = machine?.process?.stateMachine?.state;
    if (isGone(world, id) || machine?.isQuarantined === true) continue;
    if (state === undefined || state.index + 1 < firstIndex) continue;
    taints.set(state.taint, (taints.get(state.taint) ?? 0) + 1);
  }
  return [...taints.values()].some((count) => count * 2 > voters.length);
}

/** From where on others can have the log. */
function firstIndexOfLeader(world: World): number {
  const rafts = [...world.machines.values()].flatMap(({ process }) =>
    process?.node?.loop.raft ?? []
  );
  const leaders = rafts.filter(({ role }) => role === "leader");
  leaders.sort((left, right) => right.term - left.term);
  return leaders[0]?.state.log.firstIndex ?? 1;
}

/** Rule V2: everybody has come to the state of the majority, and serves. */
function areTaintsGone(world: World): boolean {
  if (!isTold(world)) return true;
  const members = allMembers(world.configuration).filter((id) => !isGone(world, id));
  const taints = members.map((id) => world.machines.get(id)?.process?.stateMachine?.state.taint);
  return new Set(taints).size === 1 &&
    members.every((id) => world.machines.get(id)?.isQuarantined === false);
}

function compareTaints(world: World): void {
  if (world.judge.violation !== undefined || areTaintsGone(world)) return;
  world.judge.fail(`states differ and are not renewed: ${describe(world)}`);
}

/** All members that are not lost have applied the same, which is everything committed. */
function isConverged(world: World): boolean {
  const { configuration } = world;
  if (isJoint(configuration)) return false;
  return allMembers(configuration).every((id) => {
    if (isGone(world, id)) return true;
    const node = world.machines.get(id)?.process?.node;
    return node?.loop.applyQueue.appliedIndex === world.judge.history.commitMax;
  });
}

/** Replicas at one index hold the same, row by row. */
function compareDatabases(world: World): void {
  const texts = new Map<string, NodeId>();
  let first: number | undefined;
  for (const id of allMembers(world.configuration)) {
    const { stateMachine } = world.machines.get(id)?.process ?? {};
    if (!(stateMachine instanceof SqliteStateMachine) || isGone(world, id)) continue;
    first ??= stateMachine.state.index;
    if (stateMachine.state.index === first) texts.set(stateMachine.text, id);
  }
  if (texts.size > 0) world.count("databasesCompared");
  if (texts.size < 2) return;
  world.judge.fail(`databases differ:\n${[...texts].map(([text, id]) => `node ${id}: ${text}`)}`);
}

function describe(world: World): string {
  const lines = [...world.machines.values()].map((machine) => {
    const raft = machine.process?.node?.loop.raft;
    const flags = [
      machine.isLost ? "lost" : "",
      machine.isRetired ? "retired" : "",
      machine.isSuspect ? "suspect" : "",
      machine.isQuarantined ? "quarantined" : "",
      `taint ${machine.process?.stateMachine?.state.taint}`,
    ].join(" ");
    if (raft === undefined) return `${machine.id}: down ${flags}`;
    const { log } = raft.state;
    return `${machine.id}: ${raft.role} term ${raft.term} leader ${raft.leader} log ` +
      `${log.firstIndex}-${log.lastIndex} commit ${log.commit} applied ${log.applied} ` +
      `voters ${raft.configuration.voters}/${raft.configuration.votersOutgoing} ${flags}`;
  });
  return `\n  ${lines.join("\n  ")}`;
}
