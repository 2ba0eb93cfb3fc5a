/**
 * One run: a seed, from the first start of the first machine to the last member in the calm. The same seed
 * gives the same trace, event by event.
 */
import { testLibrary } from "../../src/sqlite/testing.ts";
import { Clients } from "./clients.ts";
import { addCounters, type Counters, noCounters } from "./counters.ts";
import { heal } from "./healing.ts";
import { Nemesis } from "./nemesis.ts";
import { Operator } from "./operator.ts";
import { type SwarmOptions, swarmOptions, withDivergence } from "./swarm_options.ts";
import { onEmptyStack, withTraps } from "./traps.ts";
import { World } from "./world.ts";

/** How to run a seed. */
export interface RunSettings {
  /** Keeps the trace as text. */
  readonly hasText: boolean;
  /** Only the first storm, and the calm behind it: for tests that have little time. */
  readonly isShort: boolean;
  /** States diverge (rule V1). */
  readonly diverges?: boolean;
}

/** What came of a run. */
export interface RunOutcome {
  readonly seed: number;
  readonly options: SwarmOptions;
  /** Undefined when nothing is wrong. */
  readonly violation: string | undefined;
  readonly hash: string;
  readonly events: number;
  /** Simulated time. */
  readonly simulatedMs: number;
  readonly counters: Counters;
  /** With `hasText`. */
  readonly lines: readonly string[];
}

/** Runs `seed`. @returns what came of it; only bugs of the simulator itself throw. */
export function runSeed(
  seed: number,
  settings: RunSettings,
): Promise<RunOutcome> {
  const usual = swarmOptions(seed);
  const options = settings.diverges === true ? withDivergence(usual) : usual;
  if (options.isSqlite) testLibrary();
  return onEmptyStack(() => withTraps(() => run(options, settings)));
}

function run(options: SwarmOptions, settings: RunSettings): RunOutcome {
  using world = new World(options, settings);
  const { judge, timeline } = world;
  const advance = (untilMs: number): boolean => {
    while (judge.violation === undefined && timeline.step(untilMs * 1000));
    return judge.violation === undefined;
  };
  const nemesis = new Nemesis(world);
  const operator = new Operator(world);
  const clients = new Clients(world);
  world.begin();
  nemesis.begin();
  operator.begin();
  clients.begin();
  if (advance(settings.isShort ? options.stormMs : options.durationMs)) {
    nemesis.end();
    operator.end();
    clients.end();
    heal(world, clients, advance);
  }
  const counters = noCounters();
  addCounters(counters, world.counters);
  counters.elections = judge.elections;
  counters.jointElections = judge.jointElections;
  counters.outdatedElections = judge.outdatedElections;
  counters.messages = world.network.delivered;
  counters.messagesLost = world.network.lost;
  counters.messagesDoubled = world.network.doubled;
  counters.committed = judge.history.commitMax;
  return {
    seed: options.seed,
    options,
    violation: judge.violation,
    hash: world.trace.hash,
    events: world.trace.count,
    simulatedMs: timeline.nowMs,
    counters,
    lines: world.trace.lines ?? [],
  };
}
