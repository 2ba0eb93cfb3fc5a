/**
 * `deno task sim-teeth`: runs the simulator against one planted bug after the other, each in a copy of the
 * code of its own, and prints how many seeds it took to notice. First the canary, in a run of one seed. Ends
 * with status 1 when any bug is missed. `-- --only NAME,...` runs some, `-- --seeds N` gives it N seeds.
 */
import { ALL_BUGS, CANARY } from "./planted/all_bugs.ts";
import { applyEdit, type PlantedBug } from "./planted/planted_bug.ts";

const SEEDS_MAX = 500;
const ROOT = new URL("../../", import.meta.url).pathname;

/** What the simulator needs. */
const COPIED = ["src", "tests/sim", "deno.json"];

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

function copy(from: string, to: string): void {
  if (Deno.statSync(from).isFile) {
    Deno.copyFileSync(from, to);
    return;
  }
  Deno.mkdirSync(to, { recursive: true });
  for (const { name } of Deno.readDirSync(from)) {
    if (!name.endsWith("_test.ts")) copy(`${from}/${name}`, `${to}/${name}`);
  }
}

function plant(bug: PlantedBug, directory: string): void {
  Deno.mkdirSync(`${directory}/tests`, { recursive: true });
  for (const path of COPIED) copy(`${ROOT}${path}`, `${directory}/${path}`);
  for (const edit of bug.edits) {
    const path = `${directory}/${edit.path}`;
    Deno.writeTextFileSync(path, applyEdit(Deno.readTextFileSync(path), edit));
  }
}

interface Verdict {
  readonly isCaught: boolean;
  /** How many seeds it took, or how many were tried. */
  readonly seeds: number;
  readonly reason: string;
}

async function trial(bug: PlantedBug, seeds: number): Promise<Verdict> {
  const directory = Deno.makeTempDirSync({ prefix: "dust-planted-" });
  try {
    plant(bug, directory);
    const script = `${directory}/tests/sim/main.ts`;
    const args = ["run", "-A", "--no-check", "--no-lock", script, "--seeds", String(seeds)];
    const command = new Deno.Command(Deno.execPath(), {
      args: [...args, "--lines", "1"],
      cwd: directory,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    const { code, stdout, stderr } = await command.output();
    const text = new TextDecoder().decode(stdout);
    const done = /^(\d+) seeds,.* (\d+) failed$/m.exec(text);
    const reason = /^Seed \d+ failed: (.*)$/m.exec(text)?.[1] ?? "";
    if (done === null) {
      const last = new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join(" ");
      return { isCaught: false, seeds: 0, reason: `the simulator itself broke: ${last}` };
    }
    return { isCaught: code === 1 && done[2] === "1", seeds: Number(done[1]), reason };
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function valueAfter(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args[at + 1];
}

async function main(args: readonly string[]): Promise<number> {
  const canary = await trial(CANARY, 1);
  print(`canary: ${canary.isCaught ? "dead, as it should be" : `ALIVE: ${canary.reason}`}\n`);
  if (!canary.isCaught) return 1;
  const only = valueAfter(args, "--only");
  const names = only?.split(",");
  const bugs = ALL_BUGS.filter(({ name }) => names === undefined || names.includes(name));
  const seeds = Number(valueAfter(args, "--seeds") ?? SEEDS_MAX);
  let caught = 0;
  for (const bug of bugs) {
    const verdict = await trial(bug, seeds);
    if (verdict.isCaught) caught += 1;
    const word = verdict.isCaught ? "caught" : "MISSED";
    print(
      `${word}  ${String(verdict.seeds).padStart(4)} seeds  ${bug.name.padEnd(36)} ` +
        `${verdict.reason.slice(0, 90)}\n`,
    );
  }
  print(`${caught} of ${bugs.length} planted bugs caught\n`);
  return caught === bugs.length ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
