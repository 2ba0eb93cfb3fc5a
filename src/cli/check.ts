/**
 * `dust check DATA_DIR`: looks at the data of a node that does not run, and changes nothing. The report goes to
 * stdout, progress to stderr. Exit status: 0 nothing is damaged, 1 something is, and of sysexits.h 64 for what cannot
 * be read on the command line, 66 no data directory, 74 the disk refuses, 75 the node runs,
 * 77 the files are another user's.
 */
import { FatalError } from "../base/errors.ts";
import { switchFlag, textFlag } from "../config/flag.ts";
import { formatFlags } from "../config/flag_help.ts";
import { parseFlags } from "../config/flag_parser.ts";
import { prepareLibrary } from "../sqlite/loader.ts";
import { inspect, InspectionRefusal } from "./inspection.ts";
import { type NodeReport, reportText } from "./inspection_report.ts";

const CHECK = "Check";

/** Flags of every command that looks at data directories. */
export const LOOK_FLAGS = {
  "json": switchFlag({ group: CHECK, meaning: "One line of JSON for each directory" }),
  "ram-dir": textFlag({
    group: CHECK,
    placeholder: "DIR",
    initial: "/dev/shm",
    meaning: "Where the node kept its file in memory",
  }),
  "sqlite-lib": textFlag({
    group: CHECK,
    placeholder: "FILE",
    meaning: "Another libsqlite3",
    defaultText: "the pinned one",
  }),
} as const;

const EXIT_USAGE = 64;
const EXIT_FORBIDDEN = 77;

/** Between two lines of progress; the first one comes so late, too. */
const PROGRESS_MS = 2_000;

const USAGE = "Usage: dust check [flags] DATA_DIR";

/** Checks a directory. @returns the exit status. */
export async function check(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(LOOK_FLAGS, { argv, environment: {}, environmentPrefix: undefined });
  if (parsed.kind === "help") return print(Deno.stdout, help(), 0);
  if (parsed.kind === "wrong") return refuseUsage(parsed.message, USAGE);
  const [directory, excess] = parsed.operands;
  if (directory === undefined) return refuseUsage("No data directory given", USAGE);
  if (excess !== undefined) return refuseUsage(`Unexpected argument: ${excess}`, USAGE);
  return await orRefused(async () => {
    const report = await look(directory, parsed.values);
    const text = parsed.values.json ? `${JSON.stringify(report)}\n` : reportText(report);
    return print(Deno.stdout, text, report.verdict === "whole" ? 0 : 1);
  });
}

/** Looks at one directory. @throws {InspectionRefusal} @throws {FatalError} */
export async function look(
  directory: string,
  values: { readonly "ram-dir": string; readonly "sqlite-lib": string },
): Promise<NodeReport> {
  const { signal } = new AbortController();
  const sqlite = await prepareLibrary({ path: values["sqlite-lib"], signal });
  if (sqlite === undefined) throw new FatalError(1, "Cannot check: stopped");
  let shownMs = performance.now();
  const onLong = (text: string): void => {
    shownMs = performance.now();
    print(Deno.stderr, `${directory}: ${text}\n`, 0);
  };
  const onProgress = (text: string): void => {
    if (performance.now() - shownMs >= PROGRESS_MS) onLong(text);
  };
  const ramDirectory = values["ram-dir"];
  return await inspect({ directory, library: sqlite.library, ramDirectory, onProgress, onLong });
}

/** Runs a command, and words what stands in its way. @returns its exit status. */
export async function orRefused(command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (error) {
    if (isForbidden(error)) {
      const text = `fatal: Cannot read: ${error.message}; run as the node's user\n`;
      return print(Deno.stderr, text, EXIT_FORBIDDEN);
    }
    if (!(error instanceof InspectionRefusal || error instanceof FatalError)) throw error;
    return print(Deno.stderr, `fatal: ${error.message}\n`, error.exitStatus);
  }
}

function isForbidden(error: unknown): error is Error {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return error instanceof Deno.errors.PermissionDenied || code === "EACCES" || code === "EPERM";
}

/** What cannot be read on a command line. @returns the exit status. */
export function refuseUsage(message: string, usage: string): number {
  return print(Deno.stderr, `${message}\n${usage}\n`, EXIT_USAGE);
}

/** Prints. @returns `status`. */
export function print(stream: typeof Deno.stdout, text: string, status: number): number {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
  return status;
}

function help(): string {
  return `${USAGE}

Looks at the data of a node that does not run, and changes nothing: every frame of the log, the state
that it names (pages, schema, records), whether both belong together, and what else lies about.
With frames in the state's -wal it reads a copy, made in TMPDIR. SQLite's pages have no checksums: a
byte that changed inside a value is not seen.

Exit status: 0 nothing is damaged, 1 something is, 64 usage, 66 no data, 74 I/O error, 75 the node runs,
77 the files are another user's.

${formatFlags(LOOK_FLAGS)}`;
}
