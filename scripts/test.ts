/**
 * `deno task test`: everything that a commit must pass, in the order in which a failure is cheapest:
 * the pinned SQLite, format, lint, types, then all tests (unit tests beside the code, the tidy test,
 * the system tests in tests/). Ends with one line, `N passed, M failed`, and the matching exit status.
 * Arguments after `--` go to `deno test`, for example a folder.
 */

interface Step {
  readonly name: string;
  readonly args: readonly string[];
}

const SOURCES = ["main.ts", "src", "tests", "scripts"];

const STEPS: readonly Step[] = [
  { name: "pinned SQLite", args: ["run", "-A", "--no-prompt", "scripts/sqlite.ts"] },
  { name: "format", args: ["fmt", "--check", ...SOURCES] },
  { name: "lint", args: ["lint", ...SOURCES] },
  { name: "types", args: ["check", ...SOURCES] },
];

/** Runs this Deno with `args`, output passed through. Returns the exit status. */
async function runDeno(args: readonly string[]): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), { args: [...args], stdin: "null" }).spawn();
  return (await child.status).code;
}

/** Runs `deno test`, echoes its output, and reads the counts from its closing line. */
async function runTests(
  extra: readonly string[],
): Promise<{ code: number; passed: number; failed: number }> {
  const targets = extra.length > 0 ? extra : ["src", "tests", "scripts"];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-prompt", "--no-check", ...targets],
    stdin: "null",
    stdout: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  let tail = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    await Deno.stdout.write(chunk);
    tail = (tail + decoder.decode(chunk, { stream: true })).slice(-65536);
  }
  const { code } = await child.status;
  const counts = [...tail.matchAll(/(\d+) passed[^|]*\| (\d+) failed/g)].at(-1);
  return { code, passed: Number(counts?.[1] ?? 0), failed: Number(counts?.[2] ?? 0) };
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

async function main(args: readonly string[]): Promise<number> {
  for (const step of STEPS) {
    const code = await runDeno(step.args);
    if (code !== 0) {
      print(`\n${step.name}: failed with status ${code}\n0 passed, 1 failed\n`);
      return 1;
    }
  }
  const { code, passed, failed } = await runTests(args.filter((argument) => argument !== "--"));
  const broken = code !== 0 && failed === 0 ? 1 : failed;
  print(`\n${passed} passed, ${broken} failed\n`);
  return code === 0 && passed > 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
