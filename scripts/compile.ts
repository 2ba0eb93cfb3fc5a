/**
 * `deno task compile [--output FILE]`: builds the executable. It holds the program, the Worker entry
 * points (every src/**\/*_worker.ts, which nothing imports) and the pinned libsqlite3, which this
 * builds first where it is missing. It has all permissions: Deno gives access to /dev, where memory
 * files live (/dev/shm), only together with all others (fault X21 cannot be had that way). V8 is set
 * as `deno task start` sets it: an executable cannot be told later.
 * Deno takes a base runtime (`denort`) from its own host; DENORT_BIN names a local copy instead.
 */
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const OUTPUT_DEFAULT = "dust";

/** The files that nothing imports, relative to the project: Workers and the library. */
export function includedFiles(project: string): string[] {
  const workers = [...listFiles(project, "src")].filter((path) => path.endsWith("_worker.ts"));
  const libraries = [...listFiles(project, "lib")].filter((path) =>
    /\/libsqlite3\.(so|dylib|dll)$/.test(path)
  );
  return [...workers.sort(), ...libraries];
}

/**
 * The option for V8 that `deno task start` has, so that there is one place to change it.
 * @throws {Error} when the task has none.
 */
export function v8Option(project: string): string {
  const config: { readonly tasks: { readonly start: { readonly command: string } } } = JSON.parse(
    Deno.readTextFileSync(`${project}/deno.json`),
  );
  const option = /--v8-flags=\S+/.exec(config.tasks.start.command)?.[0];
  if (option === undefined) {
    throw new Error("Cannot build: task start in deno.json sets no V8 flags");
  }
  return option;
}

/** What went wrong in one sentence, from what `deno compile` wrote to stderr, without colours. */
export function explainFailure(stderr: string, denort: string | undefined): string {
  const url = /https:\/\/\S*denort\S*\.zip/.exec(stderr)?.[0];
  if (stderr.includes("base binary") || url !== undefined) {
    return denort === undefined
      ? `Cannot build the executable: its base runtime cannot be downloaded from ${
        url ?? "Deno's host"
      }; run this where that host can be reached, or name a local copy in DENORT_BIN`
      : `Cannot build the executable: DENORT_BIN names ${denort}, which is no usable base runtime`;
  }
  const reason = stderr.split("\n").findLast((line) => line.startsWith("error:")) ?? "see above";
  return `Cannot build the executable: ${reason.replace(/^error: /, "")}`;
}

async function main(args: readonly string[]): Promise<number> {
  const words = args.filter((word) => word !== "--");
  const isNamed = words[0] === "--output" && words.length === 2;
  if (words.length > 0 && !isNamed) return fail("Usage: deno task compile [--output FILE]", 2);
  const output = words[1] ?? OUTPUT_DEFAULT;
  const denort = Deno.env.get("DENORT_BIN");
  if (denort !== undefined && !isFile(denort)) {
    return fail(`Cannot build the executable: DENORT_BIN names ${denort}, which is no file`, 1);
  }
  const library = await runDeno(["run", "-A", "--no-prompt", "scripts/sqlite.ts"]);
  if (library.code !== 0) return fail(library.stderr.trim(), 1);
  const includes = includedFiles(PROJECT).flatMap((path) => ["--include", path]);
  const compiled = await runDeno([
    "compile",
    "--quiet",
    "--no-check",
    "--no-prompt",
    "--allow-all",
    v8Option(PROJECT),
    ...includes,
    "--output",
    output,
    "main.ts",
  ]);
  if (compiled.code !== 0) return fail(explainFailure(compiled.stderr, denort), 1);
  const { size } = await Deno.stat(output.startsWith("/") ? output : `${PROJECT}/${output}`);
  write(Deno.stdout, `Built ${output}, ${(size / 1e6).toFixed(0)} MB\n`);
  return 0;
}

async function runDeno(args: readonly string[]): Promise<{ code: number; stderr: string }> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: PROJECT,
    stdin: "null",
    stdout: "inherit",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function* listFiles(project: string, folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(`${project}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* listFiles(project, path);
    else yield path;
  }
}

function fail(message: string, status: number): number {
  write(Deno.stderr, `${message}\n`);
  return status;
}

function write(stream: typeof Deno.stdout, text: string): void {
  stream.writeSync(new TextEncoder().encode(text));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
