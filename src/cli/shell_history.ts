/**
 * The shell's history file, `~/.dust_history`: one line each, oldest first, readable by its owner
 * only, since statements hold data. A file that cannot be used costs the history, not the session.
 */

/** Name in the home directory. */
const FILE_NAME = ".dust_history";

/** Where the history is; undefined when there is no home directory. */
export function historyPath(environment: Readonly<Record<string, string>>): string | undefined {
  const home = environment["HOME"] || environment["USERPROFILE"];
  return home ? `${home}/${FILE_NAME}` : undefined;
}

/** The newest `linesMax` lines, oldest first; none when there is no file. */
export function readHistory(path: string | undefined, linesMax: number): string[] {
  if (path === undefined || linesMax === 0) return [];
  try {
    return Deno.readTextFileSync(path).split("\n").filter((line) => line !== "").slice(-linesMax);
  } catch (error) {
    if (isUnusable(error)) return [];
    throw error;
  }
}

/** Writes the newest `linesMax` lines. */
export function writeHistory(
  path: string | undefined,
  history: { readonly lines: readonly string[]; readonly linesMax: number },
): void {
  const { lines, linesMax } = history;
  if (path === undefined || linesMax === 0) return;
  const kept = lines.filter((line, at) => line !== lines[at - 1]).slice(-linesMax);
  try {
    Deno.writeTextFileSync(path, kept.map((line) => `${line}\n`).join(""), { mode: 0o600 });
  } catch (error) {
    if (!isUnusable(error)) throw error;
  }
}

function isUnusable(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.IsADirectory || error instanceof Deno.errors.NotCapable ||
    (error instanceof Error && "code" in error && error.code === "EROFS");
}
