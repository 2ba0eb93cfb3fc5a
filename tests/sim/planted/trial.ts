/**
 * Tries one planted bug: copies the code, makes the edits in the copy, and lets the simulator or the
 * explorer loose on it in a process of its own. Nothing of it stays behind.
 */
import { applyEdit, type PlantedBug } from "./planted_bug.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;

/** A bug may make a run go round in circles, where no simulated time passes. */
const TRIAL_MS_MAX = 40 * 60_000;

/** What simulator and explorer need. */
const COPIED = ["src", "tests/sim", "tests/explore", "deno.json"];

/** Which harness, and how long it may search: seeds of the simulator, states of the explorer. */
export type Search =
  | { readonly harness: "sim"; readonly seeds: number }
  | { readonly harness: "explore"; readonly states: number; readonly options: readonly string[] };

/** What came of a trial. */
export interface TrialOutcome {
  readonly outcome: "caught" | "missed" | "broken";
  /** Seeds or states that it took, or that were tried. */
  readonly amount: number;
  /** What was noticed, or why the harness itself broke. */
  readonly reason: string;
}

/** Tries `bug`. */
export async function trial(bug: PlantedBug, search: Search): Promise<TrialOutcome> {
  const directory = Deno.makeTempDirSync({ prefix: "dust-planted-" });
  try {
    plant(bug, directory);
    const args = search.harness === "sim"
      ? ["tests/sim/main.ts", "--seeds", String(search.seeds), "--lines", "1"]
      : ["tests/explore/main.ts", "--states", String(search.states), ...search.options];
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--no-lock", ...args],
      cwd: directory,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(TRIAL_MS_MAX),
    });
    const { code, stdout, stderr } = await command.output();
    const decoder = new TextDecoder();
    return judge({ code, text: decoder.decode(stdout), errors: decoder.decode(stderr) });
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function judge(
  output: { readonly code: number; readonly text: string; readonly errors: string },
): TrialOutcome {
  const { code, text, errors } = output;
  const done = /^(\d+) (?:seeds|distinct states),.* (\d+) (?:failed|violations)$/m.exec(text);
  if (done === null) {
    const reason = errors.trim().split("\n").slice(-3).join(" ");
    return { outcome: "broken", amount: 0, reason };
  }
  const reason = /^(?:Seed \d+ failed|Violation): (.*)$/m.exec(text)?.[1] ?? "";
  const isCaught = code === 1 && done[2] === "1";
  return { outcome: isCaught ? "caught" : "missed", amount: Number(done[1]), reason };
}

function plant(bug: PlantedBug, directory: string): void {
  Deno.mkdirSync(`${directory}/tests`, { recursive: true });
  for (const path of COPIED) copy(`${ROOT}${path}`, `${directory}/${path}`);
  // The pinned SQLite is what was built here.
  Deno.symlinkSync(`${ROOT}lib`, `${directory}/lib`);
  for (const edit of bug.edits) {
    const path = `${directory}/${edit.path}`;
    Deno.writeTextFileSync(path, applyEdit(Deno.readTextFileSync(path), edit));
  }
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
