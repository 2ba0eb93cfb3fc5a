/**
 * Comparing and renewing states in the simulation (rules V1, V2): production's parts, composed as in
 * cli/replicas.ts, with calls to other nodes that take time, get lost, and end with the process. A state
 * diverges when its taint changes: no entry depends on that, and only a digest of the whole state shows it.
 */
import { OperatingError } from "../../src/base/errors.ts";
import type { LogIndex, NodeId } from "../../src/base/ids.ts";
import type { HealthFile } from "../../src/node/health_file.ts";
import type { Node } from "../../src/node/node.ts";
import type { LogPort } from "../../src/node/ports.ts";
import { Quarantine } from "../../src/node/quarantine.ts";
import type { ReplicaHealth } from "../../src/node/replica_health.ts";
import { ReplicaWatch } from "../../src/node/replica_watch.ts";
import { allMembers } from "../../src/raft/configuration.ts";
import type { SimPeers } from "./sim_peers.ts";
import type { SimProcess } from "./sim_process.ts";
import type { SimStateMachine } from "./state_host.ts";
import type { World } from "./world.ts";

const TIMES = { intervalMs: 2_000, waitMs: 1_000 };
const CALL_MS_MAX = 3_000;

/** What a process has of it. */
export interface SimReplicasParts {
  readonly world: World;
  readonly process: SimProcess;
  readonly node: Node;
  readonly peers: SimPeers;
  readonly log: LogPort;
  readonly stateMachine: SimStateMachine;
  readonly health: ReplicaHealth;
  readonly store: HealthFile;
  readonly onFatal: (error: unknown) => void;
}

/** See the file's header. One per process, in runs with divergence. */
export class SimReplicas {
  readonly watch: ReplicaWatch;
  readonly quarantine: Quarantine;
  readonly #parts: SimReplicasParts;

  constructor(parts: SimReplicasParts) {
    this.#parts = parts;
    const { world, process, node, stateMachine, health, onFatal } = parts;
    const { clock } = process;
    const own = process.machine.id;
    this.quarantine = new Quarantine({
      ...parts,
      clock,
      askForState: (leader, indexMin) =>
        this.#call(leader, (there) => there.#sendState(own, indexMin)),
      onChanged: ({ kind, index }) => {
        world.trace.note(`quarantine_${kind}`, own, [index]);
        world.count(kind === "entered" ? "quarantines" : "renewals");
        if (kind === "entered") this.#inspectQuarantined();
      },
    });
    this.watch = new ReplicaWatch({
      node,
      stateMachine,
      health,
      clock,
      times: TIMES,
      isAlive: (member) => world.machines.get(member)?.process !== undefined,
      report: (leader, digest) =>
        this.#call(leader, (there) => {
          if (!there.#parts.node.isLeader) throw new OperatingError("not_leader", "not leader");
          there.watch.hear(own, digest);
        }),
      onAlarm: (alarm) => {
        world.trace.note(`alarm_${alarm.kind}`, own, [alarm.index]);
        world.count("alarms");
        if (!world.hasDiverged) world.judge.fail(`node ${own}: a false alarm (${alarm.kind})`);
      },
      onDiverged: (found) => this.quarantine.begin(found),
      onUndecided: () => world.count("undecided"),
      onFatal,
    });
    node.observe(this.watch);
    node.observe(this.quarantine);
  }

  /** Rule V2: never a majority, of the voters that this node knows of. */
  #inspectQuarantined(): void {
    const { world, node } = this.#parts;
    const { voters, votersOutgoing } = node.loop.configuration;
    for (const set of [voters, votersOutgoing]) {
      const out = set.filter((id) => world.machines.get(id)?.isQuarantined === true);
      if (set.length === 0 || out.length * 2 < set.length) continue;
      world.judge.fail(`nodes ${out} of ${set} are in quarantine`);
    }
  }

  #sendState(to: NodeId, indexMin: LogIndex): void {
    const { node, peers, world } = this.#parts;
    if (!node.isLeader) throw new OperatingError("not_leader", "not leader");
    // Whoever does not know its members yet may be asked by one that is none any more.
    if (!allMembers(node.loop.configuration).includes(to)) return;
    if (node.appliedIndex < indexMin) {
      void node.barrier().catch(() => undefined);
      throw new OperatingError("not_ready", "nothing to send yet");
    }
    const { term } = node.loop.raft;
    if (peers.maybeSendState({ from: node.id, to, term, indexMin })) world.count("statesSent");
    else throw new OperatingError("not_ready", "in preparation");
  }

  /** There and back, if both lines hold and both processes live. */
  #call(to: NodeId, run: (there: SimReplicas) => void): Promise<void> {
    const { world, process } = this.#parts;
    const { network, options } = world;
    const from = process.machine.id;
    const [min, max] = options.networkMs;
    return new Promise((resolve, reject) => {
      const lost = (): void => reject(new OperatingError("outcome_unknown", "no answer"));
      process.plan(CALL_MS_MAX, lost);
      process.plan(max - min + 1, () => {
        const there = world.machines.get(to)?.process;
        if (there === undefined || !network.isOpen(from, to)) return;
        there.enter(() => {
          if (there.replicas === undefined) return;
          let answer: () => void = resolve;
          try {
            run(there.replicas);
          } catch (error) {
            if (!(error instanceof OperatingError)) throw error;
            answer = () => reject(error);
          }
          process.plan(max - min + 1, () => {
            if (network.isOpen(to, from)) answer();
          });
        });
      });
    });
  }
}
