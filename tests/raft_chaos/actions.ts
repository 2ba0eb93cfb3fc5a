/**
 * What may happen in a chaos run, with weights; and the calm afterwards, in which a cluster must come
 * back: elect a leader, finish every configuration change, and bring all members to one state.
 */
import { assert } from "../../src/base/assert.ts";
import { nodeId } from "../../src/base/ids.ts";
import type { ConfChange, ConfChangeSingle } from "../../src/raft/conf_change.ts";
import { allMembers, configurationText, isJoint } from "../../src/raft/configuration.ts";
import type { ChaosNode, World } from "./world.ts";

type Action = (world: World, node: ChaosNode) => void;

/** Ticks that a calm cluster needs at most to settle: several elections. */
const CALM_TICKS = 600;

const ACTIONS: readonly (readonly [weight: number, action: Action])[] = [
  [30, (world) => world.deliver(world.random.chance(0.8) ? 0 : world.random.below(400))],
  [20, (world, node) => world.takeReady(node)],
  [14, (world, node) => world.write(node)],
  [14, (world, node) => world.acknowledge(node)],
  [12, (world, node) => world.apply(node)],
  [16, (world, node) => world.touch(node, (raft) => raft.tick())],
  [6, propose],
  [1, proposeChange],
  [2, read],
  [0.5, (world, node) => world.touch(node, (raft) => raft.campaign())],
  [0.5, transfer],
  [0.5, (world, node) => world.touch(node, (raft) => raft.forgetLeader())],
  [0.3, (world, node) => world.touch(node, (raft) => raft.requestSnapshot())],
  [0.5, (world, node) => {
    world.touch(node, (raft) => raft.reportUnreachable(world.random.pick(world.nodes).id));
  }],
  [0.7, reportSnapshot],
  [0.7, (world, node) => world.restart(node)],
  [0.7, (world, node) => world.compact(node)],
  [0.5, changeLinks],
];

const WEIGHT = ACTIONS.reduce((sum, [weight]) => sum + weight, 0);

/** One random thing happens. */
export function act(world: World): void {
  let at = world.random.next() * WEIGHT;
  const chosen = ACTIONS.find(([weight]) => (at -= weight) < 0) ?? ACTIONS[0];
  chosen?.[1](world, world.random.pick(world.nodes));
}

function propose(world: World, node: ChaosNode): void {
  const entries = Array.from({ length: 1 + world.random.below(3) }, () => {
    const payload = world.nextValue();
    return { kind: "normal", size: payload.length, payload } as const;
  });
  world.touch(node, (raft) => raft.propose(entries));
}

function proposeChange(world: World, node: ChaosNode): void {
  world.touch(node, (raft) => raft.proposeConfChange(randomChange(world)));
}

function randomChange(world: World): ConfChange {
  const { random } = world;
  const types = ["add_voter", "add_learner", "remove", "add_voter"] as const;
  const changes: ConfChangeSingle[] = Array.from({ length: random.below(3) }, () => ({
    type: random.pick(types),
    nodeId: random.pick(world.nodes).id,
  }));
  const transition = changes.length === 0 ? "auto" : random.pick(["auto", "implicit"] as const);
  return { form: "joint", transition, changes, context: new Uint8Array(0) };
}

let nextContext = 1;

function read(world: World, node: ChaosNode): void {
  world.touch(node, (raft) => {
    const context = nextContext++;
    world.judge.asked(context);
    raft.readIndex(context);
  });
}

function transfer(world: World, node: ChaosNode): void {
  world.touch(node, (raft) => raft.transferLeadership(world.random.pick(world.nodes).id));
}

function reportSnapshot(world: World, node: ChaosNode): void {
  const outcome = world.random.chance(0.5) ? "installed" : "failed";
  const peer = world.random.pick(world.nodes).id;
  world.touch(node, (raft) => raft.reportSnapshot({ peer, outcome }));
}

function changeLinks(world: World): void {
  world.cut.clear();
  if (world.random.chance(0.5)) return;
  const side = world.nodes.filter(() => world.random.chance(0.4)).map((node) => node.id);
  for (const { id } of world.nodes) {
    for (const other of side) {
      if (side.includes(id)) continue;
      world.cut.add(`${id}>${other}`);
      if (world.random.chance(0.8)) world.cut.add(`${other}>${id}`);
    }
  }
}

/** Nothing fails any more: the cluster must come back by itself. */
export function calm(world: World): void {
  world.cut.clear();
  for (let tick = 0; tick < CALM_TICKS; tick++) {
    for (const node of world.nodes) world.touch(node, (raft) => raft.tick());
    work(world);
    // The transport reports snapshots that were lost before; drivers make those that are asked for.
    if (tick % 50 === 0) {
      reportLost(world);
      for (const node of world.nodes) world.compact(node);
    }
    const leader = world.leader();
    if (leader !== undefined && tick > 100 && isSettled(world, leader)) return;
    if (leader !== undefined && tick % 20 === 10) {
      const payload = world.nextValue();
      world.touch(leader, (raft) => {
        raft.propose([{ kind: "normal", size: payload.length, payload }]);
      });
    }
    if (leader !== undefined && tick % 40 === 30 && isJoint(leader.raft.configuration)) {
      world.touch(leader, (raft) => {
        const context = new Uint8Array(0);
        raft.proposeConfChange({ form: "joint", transition: "auto", changes: [], context });
      });
    }
  }
  throw new Error(`not settled after ${CALM_TICKS} calm ticks:\n${describe(world)}`);
}

function work(world: World): void {
  for (let round = 0; round < 20; round++) {
    for (const node of world.nodes) {
      while (node.raft.hasReady()) world.takeReady(node);
      while (node.appends.length > 0) world.write(node);
      while (node.durable.length > 0) world.acknowledge(node);
      while (node.applies.length > 0) world.apply(node);
    }
    const wire = world.wire;
    world.wire = [];
    for (const message of wire) {
      const node = world.nodes[message.to - 1];
      if (node !== undefined) world.touch(node, (raft) => raft.step(message));
    }
    if (wire.length === 0) return;
  }
}

function reportLost(world: World): void {
  const leader = world.leader();
  if (leader === undefined) return;
  for (const node of world.nodes) {
    const progress = leader.raft.state.members.progress(node.id);
    if (progress?.state !== "snapshot") continue;
    world.touch(leader, (raft) => raft.reportSnapshot({ peer: node.id, outcome: "failed" }));
  }
}

function isSettled(world: World, leader: ChaosNode): boolean {
  const { configuration } = leader.raft;
  if (isJoint(configuration)) return false;
  const target = leader.raft.state.log;
  if (target.commit < world.judge.maxCommit || target.applied < target.lastIndex) return false;
  for (const id of allMembers(configuration)) {
    const member = world.nodes[nodeId(id) - 1];
    assert(member !== undefined, "isSettled: no such node");
    if (member.disk.state.index !== leader.disk.state.index) return false;
    const same = member.disk.state.history.every((label, i) =>
      label === leader.disk.state.history[i]
    );
    assert(same, "isSettled: two states at one index");
  }
  return true;
}

function describe(world: World): string {
  return world.nodes.map(({ id, raft, disk }) => {
    const { term, role, leader, commit, lastIndex, applied } = raft.status();
    return `${id} ${role} term ${term} leader ${leader} commit ${commit} last ${lastIndex} ` +
      `applied ${applied} state ${disk.state.index} ${configurationText(raft.configuration)}`;
  }).join("\n");
}
