/**
 * Builds the pinned libsqlite3 into lib/: `deno task sqlite`.
 *
 * A second run finds that nothing changed and ends at once. The library appears under its name only
 * when it is complete (temporary folder, then rename), and two builds at once are one build: the
 * second waits for the first's lock. Progress goes to stderr.
 * What is built is said in src/sqlite/pinned_build.ts.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { FatalError } from "../src/base/errors.ts";
import {
  COMPILER_OPTIONS,
  libraryFileName,
  PATCHES,
  patchSource,
  recipeHash,
  SOURCE,
  SQLITE_OPTIONS,
} from "../src/sqlite/pinned_build.ts";

const FOLDER = fileURLToPath(new URL("../lib/", import.meta.url));
const WORK_PREFIX = ".build-";
const EXCLUSIVE = true;
const COMPILER_HINT = "install one (Debian and Ubuntu: apt-get install gcc libc6-dev; " +
  "Fedora: dnf install gcc; Alpine: apk add gcc musl-dev; macOS: xcode-select --install)";

/** What lib/libsqlite3.json says about the library beside it. */
interface BuildRecord {
  readonly recipe: string;
  readonly sqliteVersion: string;
  readonly sourceSha256: string;
  readonly target: string;
  readonly compilerOptions: readonly string[];
  readonly sqliteOptions: readonly string[];
  readonly patches: readonly string[];
  readonly sizeBytes: number;
}

function report(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** Whether lib/ already holds what this recipe makes. */
function isBuilt(): boolean {
  try {
    const record: Partial<BuildRecord> = JSON.parse(
      Deno.readTextFileSync(`${FOLDER}libsqlite3.json`),
    );
    return record.recipe === recipeHash() && record.target === Deno.build.target &&
      record.sizeBytes === Deno.statSync(FOLDER + libraryFileName()).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return false;
    throw error;
  }
}

/** Downloads the package through Deno's own npm cache, unless it is there, and reads the amalgamation. */
async function readSource(): Promise<string> {
  const manifest = `${SOURCE.package}/package.json`;
  try {
    // Importing a file of the package is what makes Deno fetch it and resolve its path.
    await import(manifest, { with: { type: "json" } });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : String(cause);
    throw new FatalError(
      1,
      `Cannot fetch npm:${SOURCE.package}, which carries SQLite's source: ${reason}`,
      { cause },
    );
  }
  const folder = new URL(".", import.meta.resolve(manifest));
  const bytes = await Deno.readFile(new URL(SOURCE.file, folder));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  if (sha256 !== SOURCE.sha256) {
    throw new FatalError(1, `Cannot build SQLite: ${SOURCE.file} has SHA-256 ${sha256}`);
  }
  return new TextDecoder().decode(bytes);
}

function compilerArguments(
  options: { readonly source: string; readonly output: string },
): string[] {
  const shared = Deno.build.os === "darwin" ? ["-dynamiclib"] : ["-shared"];
  const libraries = Deno.build.os === "darwin" ? [] : ["-lm", "-ldl", "-lpthread"];
  return [
    ...COMPILER_OPTIONS,
    "-fPIC",
    ...shared,
    ...SQLITE_OPTIONS.map((option) => `-D${option}`),
    "-o",
    options.output,
    options.source,
    ...libraries,
  ];
}

/** Runs the C compiler. @throws {FatalError} when there is none; otherwise returns what it did. */
async function runCompiler(args: readonly string[]): Promise<Deno.CommandOutput> {
  const compiler = Deno.env.get("CC") || "cc";
  try {
    return await new Deno.Command(compiler, {
      args: [...args],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new FatalError(1, `Cannot build SQLite: no C compiler "${compiler}"; ${COMPILER_HINT}`, {
      cause,
    });
  }
}

async function compile(
  options: { readonly source: string; readonly output: string },
): Promise<void> {
  const result = await runCompiler(compilerArguments(options));
  if (result.success) return;
  const text = new TextDecoder().decode(result.stderr).trim();
  throw new FatalError(1, `Cannot build SQLite: the compiler ended with ${result.code}: ${text}`);
}

async function buildInto(work: string): Promise<void> {
  const name = libraryFileName();
  const started = performance.now();
  // Before the download, so that a missing compiler is the first thing to be said.
  await runCompiler(["--version"]);
  report(`SQLite ${SOURCE.sqliteVersion}: getting the source from npm:${SOURCE.package}`);
  const text = patchSource(await readSource());
  await Deno.writeTextFile(`${work}/sqlite3.c`, text);
  report(
    `SQLite ${SOURCE.sqliteVersion}: compiling with ${PATCHES.length} patches, about a minute`,
  );
  await compile({ source: `${work}/sqlite3.c`, output: `${work}/${name}` });
  const record: BuildRecord = {
    recipe: recipeHash(),
    sqliteVersion: SOURCE.sqliteVersion,
    sourceSha256: SOURCE.sha256,
    target: Deno.build.target,
    compilerOptions: COMPILER_OPTIONS,
    sqliteOptions: SQLITE_OPTIONS,
    patches: PATCHES.map((patch) => patch.name),
    sizeBytes: (await Deno.stat(`${work}/${name}`)).size,
  };
  await Deno.writeTextFile(`${work}/record.json`, JSON.stringify(record, null, 2) + "\n");
  // The library first: a crash between the two leaves a record that does not fit, and a new build.
  await Deno.rename(`${work}/${name}`, FOLDER + name);
  await Deno.rename(`${work}/record.json`, `${FOLDER}libsqlite3.json`);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  report(`SQLite ${SOURCE.sqliteVersion}: built lib/${name} in ${seconds} s`);
}

/** Deletes what builds left that were killed; whoever holds the lock is the only one who builds. */
async function removeLeftovers(): Promise<void> {
  for await (const { name } of Deno.readDir(FOLDER)) {
    if (name.startsWith(WORK_PREFIX)) await Deno.remove(FOLDER + name, { recursive: true });
  }
}

/**
 * Builds lib/libsqlite3 unless it is there and up to date.
 * @returns whether it was built now.
 * @throws {FatalError} without network, compiler, or when a patch does not fit.
 */
export async function buildSqlite(): Promise<boolean> {
  if (isBuilt()) return false;
  await Deno.mkdir(FOLDER, { recursive: true });
  using lock = await Deno.open(`${FOLDER}.lock`, { create: true, write: true });
  await lock.lock(EXCLUSIVE);
  if (isBuilt()) return false;
  await removeLeftovers();
  const work = await Deno.makeTempDir({ dir: FOLDER, prefix: WORK_PREFIX });
  try {
    await buildInto(work);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return true;
}

if (import.meta.main) {
  try {
    if (!await buildSqlite()) report(`lib/${libraryFileName()} is up to date`);
  } catch (error) {
    if (!(error instanceof FatalError)) throw error;
    report(error.message);
    Deno.exit(error.exitStatus);
  }
}
