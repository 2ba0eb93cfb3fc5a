/**
 * What the kernel says about a process, from /proc: memory, processor time, open files. Limits are
 * judged by these figures and never by what the process says of itself.
 */
import { sleep } from "../process.ts";

/** One look at a process. */
export interface ProcessFigures {
  /** Resident now, everything that is mapped included. */
  readonly residentBytes: number;
  /** Resident at most since the start, or since `resetPeak`. */
  readonly peakBytes: number;
  /** Processor time of all threads since the start, in seconds. */
  readonly cpuSeconds: number;
  readonly openFiles: number;
}

/** Ticks per second in /proc/PID/stat: fixed in the kernel's interface. */
const CLOCK_TICKS = 100;

/** A mebibyte, for thresholds and for printing. */
export const MIB = 1024 * 1024;

/** Looks at a process. @throws {Deno.errors.NotFound} when it has ended. */
export function readFigures(pid: number): ProcessFigures {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return {
    residentBytes: kibibytes(status, "VmRSS") * 1024,
    peakBytes: kibibytes(status, "VmHWM") * 1024,
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS,
    openFiles: [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
  };
}

/** From now on `peakBytes` counts anew. */
export function resetPeak(pid: number): void {
  Deno.writeTextFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** The share of one processor that a process uses over `durationMs`, from now. */
export async function measureCpuShare(pid: number, durationMs: number): Promise<number> {
  const before = readFigures(pid).cpuSeconds;
  const startedMs = performance.now();
  await sleep(durationMs);
  return (readFigures(pid).cpuSeconds - before) / ((performance.now() - startedMs) / 1000);
}

/** How many files a process may open, the soft limit. */
export function openFilesMax(pid: number | "self"): number {
  const match = /^Max open files\s+(\d+)/m.exec(Deno.readTextFileSync(`/proc/${pid}/limits`));
  return Number(match?.[1] ?? 0);
}

/**
 * Whether the server's end of a loopback connection is open: established, so neither closed nor only
 * waiting until what it has sent is taken.
 */
export function isEstablished(
  pid: number,
  ports: { readonly server: number; readonly client: number },
): boolean {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, "0");
  const entry = new RegExp(`:${hex(ports.server)} [0-9A-F]+:${hex(ports.client)} 01 `);
  return entry.test(Deno.readTextFileSync(`/proc/${pid}/net/tcp`));
}

/** Waits until `isTrue`, looking every 20 ms. @throws {Error} naming `what` when it takes too long. */
export async function waitUntil(
  isTrue: () => boolean | Promise<boolean>,
  limit: { readonly what: string | (() => string); readonly withinMs: number },
): Promise<void> {
  const deadlineMs = performance.now() + limit.withinMs;
  while (!(await isTrue())) {
    if (performance.now() > deadlineMs) {
      const what = typeof limit.what === "string" ? limit.what : limit.what();
      throw new Error(`Not within ${limit.withinMs} ms: ${what}`);
    }
    await sleep(20);
  }
}

function kibibytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
}
