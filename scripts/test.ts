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

/** Those of tests/ that compute, and hardly ever wait. */
const COMPUTING_TESTS = [
  "tests/diverge_test.ts",
  "tests/log",
  "tests/raft_chaos_test.ts",
  "tests/raft_data_test.ts",
  "tests/sim",
  "tests/sim_test.ts",
  "tests/tidy_rules_test.ts",
  "tests/tidy_test.ts",
];
/** Those that wait for disks and for a tracer of system calls. */
const DISK_TESTS = ["tests/crash", "tests/disk_full_test.ts"];
/** Those that wait for a node to do what it does now and then. */
const WAITING_TESTS = ["tests/scrubbing_test.ts"];

/** Run beside each other. */
const GROUPS: readonly (readonly string[])[] = [
  ["tests", `--ignore=${[...COMPUTING_TESTS, ...DISK_TESTS, ...WAITING_TESTS].join()}`],
  DISK_TESTS,
  WAITING_TESTS,
  ["src", "scripts", ...COMPUTING_TESTS],
];

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

/** How one `deno test` ended. */
interface Outcome {
  readonly code: number;
  readonly passed: number;
  readonly failed: number;
}

/** Runs `deno test` on `targets`, and reads the counts from its closing line. `onOutput` may keep the bytes. */
async function runTests(
  targets: readonly string[],
  onOutput: (bytes: Uint8Array) => void,
): Promise<Outcome> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-prompt", "--no-check", ...targets],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  let tail = "";
  const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      onOutput(chunk);
      tail = (tail + decoder.decode(chunk, { stream: true })).slice(-65536);
    }
  };
  await Promise.all([read(child.stdout), read(child.stderr)]);
  const { code } = await child.status;
  const counts = [...tail.matchAll(/(\d+) passed[^|]*\| (\d+) failed/g)].at(-1);
  return { code, passed: Number(counts?.[1] ?? 0), failed: Number(counts?.[2] ?? 0) };
}

/** The system tests mostly wait, so all others run beside them; what those print comes behind. */
async function runAllTests(): Promise<readonly Outcome[]> {
  const kept: Uint8Array[][] = GROUPS.map(() => []);
  const outcomes = await Promise.all(GROUPS.map((targets, at) =>
    runTests(targets, (bytes) => {
      if (at === 0) write(bytes);
      else kept[at]?.push(bytes);
    })
  ));
  for (const bytes of kept.flat()) write(bytes);
  return outcomes;
}

function print(text: string): void {
  write(new TextEncoder().encode(text));
}

function write(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

async function main(args: readonly string[]): Promise<number> {
  for (const step of STEPS) {
    const code = await runDeno(step.args);
    if (code !== 0) {
      print(`\n${step.name}: failed with status ${code}\n0 passed, 1 failed\n`);
      return 1;
    }
  }
  const targets = args.filter((argument) => argument !== "--");
  const outcomes = targets.length === 0 ? await runAllTests() : [await runTests(targets, write)];
  let passed = 0;
  let failed = 0;
  for (const outcome of outcomes) {
    passed += outcome.passed;
    failed += outcome.code !== 0 && outcome.failed === 0 ? 1 : outcome.failed;
  }
  print(`\n${passed} passed, ${failed} failed\n`);
  return failed === 0 && outcomes.every((outcome) => outcome.passed > 0) ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
