/**
 * `deno task sim-teeth`: runs the simulator against one planted bug after the other, each in a copy of the
 * code of its own, and prints how many seeds it took to notice. First the canary, in a run of one seed. Ends
 * with status 1 when any bug is missed. `-- --only NAME,...` runs some, `-- --seeds N` gives each N seeds;
 * `-- --explore` lets the explorer search instead, for the engine's bugs, and wants ten of them.
 */
import { ALL_BUGS, CANARY } from "./planted/all_bugs.ts";
import type { PlantedBug } from "./planted/planted_bug.ts";
import { type Search, trial } from "./planted/trial.ts";

const SEEDS_MAX = 3000;
const STATES_MAX = 300_000;

/** The explorer sees the engine alone, in a small world. */
const EXPLORED_MIN = 10;

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

function valueAfter(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args[at + 1];
}

/** @returns how many were caught. */
async function tryAll(bugs: readonly PlantedBug[], search: Search): Promise<number> {
  let caught = 0;
  for (const bug of bugs) {
    const { outcome, amount, reason } = await trial(bug, search);
    if (outcome === "caught") caught += 1;
    const word = outcome === "caught" ? "caught" : outcome.toUpperCase();
    const unit = search.harness === "sim" ? "seeds" : "states";
    const text = `${word}  ${String(amount).padStart(6)} ${unit}  ${bug.name.padEnd(36)}`;
    print(`${text} ${reason.slice(0, 90)}\n`);
  }
  print(`${caught} of ${bugs.length} planted bugs caught\n`);
  return caught;
}

async function main(args: readonly string[]): Promise<number> {
  const canary = await trial(CANARY, { harness: "sim", seeds: 1 });
  const isDead = canary.outcome === "caught";
  print(`canary: ${isDead ? "dead, as it should be" : `ALIVE: ${canary.reason}`}\n`);
  if (!isDead) return 1;
  const names = valueAfter(args, "--only")?.split(",");
  const bugs = ALL_BUGS.filter(({ name }) => names === undefined || names.includes(name));
  if (args.includes("--explore")) {
    const states = Number(valueAfter(args, "--states") ?? STATES_MAX);
    const inEngine = bugs.filter(({ edits }) => edits.every(({ path }) => path.includes("raft/")));
    const caught = await tryAll(inEngine, { harness: "explore", states, options: [] });
    return caught >= Math.min(EXPLORED_MIN, inEngine.length) ? 0 : 1;
  }
  const seeds = Number(valueAfter(args, "--seeds") ?? SEEDS_MAX);
  const caught = await tryAll(bugs, { harness: "sim", seeds });
  return caught === bugs.length ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
