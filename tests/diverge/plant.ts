/**
 * Tries one planted bug: copies the code, makes the edit in the copy, and lets the fuzzer loose on it in
 * a process of its own. Nothing of it stays behind, and production has no switch.
 */
import { applyEdit, type PlantedBug } from "../sim/planted/planted_bug.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** What the fuzzer needs. */
const COPIED = [
  "src",
  "tests/diverge",
  "tests/cluster.ts",
  "tests/diverging.ts",
  "tests/process.ts",
  "tests/sim/chance.ts",
  "tests/sim/sim_entropy.ts",
  "tests/sim/planted/planted_bug.ts",
  "deno.json",
];

/** What came of a trial. */
export interface TrialOutcome {
  readonly outcome: "caught" | "missed" | "broken";
  /** Statements that it took, or that were tried. */
  readonly statementCount: number;
  /** What was noticed, or why the fuzzer itself broke. */
  readonly reason: string;
}

/** Tries `bug` with so many statements, from a seed on; `more` goes to the fuzzer as it is. */
export async function trial(
  bug: PlantedBug,
  options: {
    readonly statementCount: number;
    readonly seed: number;
    readonly more?: readonly string[];
  },
): Promise<TrialOutcome> {
  const directory = Deno.makeTempDirSync({ prefix: "dust-planted-" });
  try {
    plant(bug, directory);
    const { statementCount, seed, more = [] } = options;
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--no-lock", "tests/diverge/main.ts"].concat(
        ["--statements", String(statementCount), "--seed", String(seed), "--quiet"],
        more.length > 0 ? more : ["--tries", "0"],
      ),
      cwd: directory,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
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
  // The last line; those before it tell how far it has come.
  const done = [...text.matchAll(/^\d+ seeds, (\d+) statements .* (\d+) divergences$/gm)].at(-1);
  if (done === undefined) {
    const reason = errors.trim().split("\n").slice(-3).join(" ");
    return { outcome: "broken", statementCount: 0, reason };
  }
  const isCaught = code === 1 && done[2] !== "0";
  const from = text.indexOf("Seed ");
  return {
    outcome: isCaught ? "caught" : "missed",
    statementCount: Number(done[1]),
    reason: from < 0 ? "" : text.slice(from).trim(),
  };
}

function plant(bug: PlantedBug, directory: string): void {
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
    Deno.mkdirSync(to.slice(0, to.lastIndexOf("/")), { recursive: true });
    Deno.copyFileSync(from, to);
    return;
  }
  for (const { name } of Deno.readDirSync(from)) {
    if (!name.endsWith("_test.ts")) copy(`${from}/${name}`, `${to}/${name}`);
  }
}
