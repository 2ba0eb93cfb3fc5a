/**
 * Finds the one libsqlite3 of this process (rule Q10): a path that was given, a file beside the
 * program, the one inside the executable, the project's lib/ (built there on the first start), and
 * only then the system's, which lacks our patches (rule Q16).
 *
 * Runs once, on the main thread; Workers get the result and open exactly that path. A build takes
 * half a minute: a node waits for it with `prepareLibrary`, which leaves its thread free for signals.
 */
import { createHash } from "node:crypto";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "../base/assert.ts";
import { FatalError } from "../base/errors.ts";
import { Library } from "./library.ts";
import { libraryFileName, recipeHash } from "./pinned_build.ts";

/** Where the library was found. */
export type LibraryOrigin = "given" | "beside" | "embedded" | "project" | "system";

/** What a Worker needs to open the same copy. Can be posted. */
export interface LibraryLocation {
  /** A real path, no link in it. */
  readonly path: string;
  readonly origin: LibraryOrigin;
  /** `Library.vfsAddress` as the main thread has it. */
  readonly vfsAddress: bigint;
}

/** What the search goes by. */
export interface SearchOptions {
  /** The operator's choice (`DUST_SQLITE_LIB`): this file or none. */
  readonly path?: string | undefined;
  /** Where to unpack the executable's copy; the system's temporary folder when left out. */
  readonly unpackFolder?: string | undefined;
  /** Whether a library that is missing in the project is built, which blocks the thread; yes when left out. */
  readonly mayBuild?: boolean;
}

const PROJECT_FOLDER = new URL("../../", import.meta.url);
const SYSTEM_PATHS: readonly string[] = [
  `/usr/lib/${Deno.build.arch}-linux-gnu/libsqlite3.so.0`,
  "/usr/lib64/libsqlite3.so.0",
  "/usr/lib/libsqlite3.so.0",
  "/usr/local/lib/libsqlite3.so.0",
  "/opt/homebrew/opt/sqlite/lib/libsqlite3.dylib",
  "/usr/local/opt/sqlite/lib/libsqlite3.dylib",
];

/** What this thread has opened, by real path: asking a library for all its symbols takes 20 ms. */
const opened = new Map<string, Library>();

/**
 * Finds the library, builds it if need be, and opens it for the main thread.
 * @throws {FatalError} when there is none or it cannot be used; the message says what to do.
 */
export function findLibrary(
  options: SearchOptions = {},
): { readonly library: Library; readonly location: LibraryLocation } {
  const found = search(options);
  const path = Deno.realPathSync(found.path);
  const library = opened.get(path) ?? Library.open(path);
  opened.set(path, library);
  return { library, location: { path, origin: found.origin, vfsAddress: library.vfsAddress } };
}

/**
 * As `findLibrary`, but a build runs beside the caller's thread.
 * @returns undefined when `signal` aborts it; the build is ended then.
 * @throws {FatalError} as `findLibrary` does.
 */
export async function prepareLibrary(
  options: SearchOptions & { readonly signal: AbortSignal },
): Promise<ReturnType<typeof findLibrary> | undefined> {
  const { signal } = options;
  const isProject = givenPath(options) === undefined && !Deno.build.standalone;
  if (isProject && !isBuilt() && !signal.aborted) await buildBeside(signal);
  return signal.aborted ? undefined : findLibrary({ ...options, mayBuild: false });
}

/** Opens in a Worker what the main thread found. @throws {FatalError} when it is another copy. */
export function openLibrary(location: LibraryLocation): Library {
  return Library.open(location.path, { vfsAddress: location.vfsAddress });
}

interface Found {
  readonly path: string;
  readonly origin: LibraryOrigin;
}

function search(options: SearchOptions): Found {
  const given = givenPath(options);
  if (given !== undefined) {
    if (!isFile(given)) throw new FatalError(1, `Cannot open ${given} as libsqlite3: no such file`);
    return { path: given, origin: "given" };
  }
  const found = Deno.build.standalone ? searchExecutable(options) : searchProject(options);
  if (found !== undefined) return found;
  const system = SYSTEM_PATHS.find(isFile);
  if (system !== undefined) return { path: system, origin: "system" };
  throw new FatalError(
    1,
    "Cannot find libsqlite3: install a C compiler (gcc or clang) and start again, which builds it, " +
      "or install the system's package (Debian: libsqlite3-0, Fedora: sqlite-libs), " +
      "or name a file in DUST_SQLITE_LIB",
  );
}

function givenPath(options: SearchOptions): string | undefined {
  return options.path || Deno.env.get("DUST_SQLITE_LIB") || undefined;
}

function searchExecutable(options: SearchOptions): Found | undefined {
  const beside = join(dirname(Deno.execPath()), libraryFileName());
  if (isFile(beside)) return { path: beside, origin: "beside" };
  const embedded = new URL(`lib/${libraryFileName()}`, PROJECT_FOLDER);
  if (!isFile(embedded)) return undefined;
  const bytes = Deno.readFileSync(embedded);
  const parent = options.unpackFolder ?? Deno.env.get("TMPDIR") ?? "/tmp";
  return { path: unpackLibrary(bytes, parent), origin: "embedded" };
}

/** Uses or makes lib/libsqlite3 of the project; undefined when it cannot be made here. */
function searchProject({ mayBuild = true }: SearchOptions): Found | undefined {
  if (!isBuilt() && !(mayBuild && build())) return undefined;
  return { path: projectPath(), origin: "project" };
}

function projectPath(): string {
  return fileURLToPath(new URL(`lib/${libraryFileName()}`, PROJECT_FOLDER));
}

/** Whether the project's lib/ holds what this source tree makes. */
function isBuilt(): boolean {
  return isFile(projectPath()) && builtRecipe() === recipeHash();
}

function builtRecipe(): string | undefined {
  try {
    const text = Deno.readTextFileSync(new URL("lib/libsqlite3.json", PROJECT_FOLDER));
    const record: { readonly recipe?: string } = JSON.parse(text);
    return record.recipe;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Runs the build and waits for it. It says on stderr what it does, also why it failed. */
function build(): boolean {
  return buildCommand({ detached: false }).outputSync().success;
}

/** The same without holding up this thread. A group of its own, so that the compiler ends with it. */
async function buildBeside(signal: AbortSignal): Promise<void> {
  const child = buildCommand({ detached: true }).spawn();
  const end = (): void => {
    try {
      Deno.kill(-child.pid, "SIGTERM");
    } catch (error) {
      // It has just ended by itself.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  };
  signal.addEventListener("abort", end);
  await child.status;
  signal.removeEventListener("abort", end);
}

function buildCommand(options: { readonly detached: boolean }): Deno.Command {
  const script = fileURLToPath(new URL("scripts/sqlite.ts", PROJECT_FOLDER));
  const config = fileURLToPath(new URL("deno.json", PROJECT_FOLDER));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--quiet", "--config", config, script],
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
    ...options,
  });
}

/**
 * Writes the executable's copy to a file in `parent`, once for all processes of this user and version:
 * each `dlopen` of an embedded file would unpack another copy (rule Q10).
 * @returns the file's path, in a folder that only this user can write to.
 */
export function unpackLibrary(bytes: Uint8Array, parent: string): string {
  const hash = createHash("sha256").update(bytes).digest("hex");
  const own = ownFolder(join(parent, `dust-${userInfo().uid}`)) ??
    Deno.makeTempDirSync({ dir: parent, prefix: "dust-" });
  const path = join(own, `${hash.slice(0, 16)}-${libraryFileName()}`);
  if (isFile(path) && hashOf(path) === hash) return path;
  const temporary = Deno.makeTempFileSync({ dir: own });
  Deno.writeFileSync(temporary, bytes);
  Deno.renameSync(temporary, path);
  assert(hashOf(path) === hash, "unpackLibrary: the file differs from what was written");
  return path;
}

function hashOf(path: string): string {
  return createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
}

/** Makes or takes a folder that nobody else can write to; undefined when it is another's. */
function ownFolder(path: string): string | undefined {
  try {
    Deno.mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  const info = Deno.lstatSync(path);
  const isOurs = info.isDirectory && info.uid === userInfo().uid &&
    ((info.mode ?? 0) & 0o077) === 0;
  return isOurs ? path : undefined;
}

function isFile(path: string | URL): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
