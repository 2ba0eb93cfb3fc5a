/**
 * strace as a tool for faults: a process ends, or gets an error, at the Nth call of one kind. strace
 * counts per thread, so one N can be reached by several threads; the first one that does is hit, and
 * later ones too as long as the process lives.
 */

/** The system calls by which a node changes files. `lseek` comes just before each write to the log. */
export const FILE_CALLS = [
  "write",
  "pwrite64",
  "lseek",
  "fdatasync",
  "fsync",
  "rename",
  "unlink",
  "unlinkat",
  "ftruncate",
  "mkdir",
  "openat",
] as const;

/** One of them. */
export type FileCall = (typeof FILE_CALLS)[number];

/** Where a fault happens, and what it is. */
export interface FaultPoint {
  readonly call: FileCall;
  /** From 1, per thread. */
  readonly number: number;
  readonly fault: "SIGKILL" | "EIO";
}

const STRACE = "strace";

/** Why strace cannot be used here; undefined when it can. */
export async function reasonAgainstStrace(): Promise<string | undefined> {
  const [command = "", ...args] = [
    ...faultTracer({ call: "write", number: 1, fault: "SIGKILL" }, "/dev/null"),
    ...["echo", "killed before this"],
  ];
  try {
    const process = new Deno.Command(command, { args, stdout: "null", stderr: "piped" });
    const { signal, stderr } = await process.output();
    if (signal === "SIGKILL") return undefined;
    return `strace does not kill: ${new TextDecoder().decode(stderr).trim()}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "strace is not installed";
    throw error;
  }
}

/** A command that runs another and causes the fault; what happened at these calls goes to `output`. */
export function faultTracer(point: FaultPoint, output: string): readonly string[] {
  const isKill = point.fault === "SIGKILL";
  const what = isKill ? "signal=SIGKILL" : `error=${point.fault}`;
  return [
    // With the filter strace 6.1 loses most of the signals.
    ...(isKill ? tracer(output) : fastTracer(output)),
    ...["-e", `trace=${point.call}`],
    ...["-e", `inject=${point.call}:${what}:when=${point.number}`],
  ];
}

/** A command that runs another and writes down all calls that change files. */
export function countingTracer(output: string): readonly string[] {
  return [...fastTracer(output), "-e", `trace=${FILE_CALLS.join(",")}`];
}

/** Stops only at the calls that are traced. */
function fastTracer(output: string): readonly string[] {
  return [...tracer(output), "--seccomp-bpf"];
}

/** `-D`: strace is the one in the background, so that signals go to the node. */
function tracer(output: string): readonly string[] {
  return [STRACE, "-D", "-f", "-qq", "-o", output];
}

/** How often a traced process made each call, by the thread that made it most often. */
export async function countCalls(output: string): Promise<ReadonlyMap<FileCall, number>> {
  const byThread = new Map<string, number>();
  const most = new Map<FileCall, number>();
  for (const line of (await Deno.readTextFile(output)).split("\n")) {
    const match = /^(\d+) +(\w+)\(/.exec(line);
    const call = FILE_CALLS.find((name) => name === match?.[2]);
    if (match === null || call === undefined) continue;
    const name = `${match[1]} ${call}`;
    const count = (byThread.get(name) ?? 0) + 1;
    byThread.set(name, count);
    most.set(call, Math.max(most.get(call) ?? 0, count));
  }
  return most;
}

/** Whether the trace tells of an injected error. Signals leave no such mark. */
export async function hasInjected(output: string): Promise<boolean> {
  return (await Deno.readTextFile(output)).includes("(INJECTED)");
}
