/**
 * The three manners in which one log is applied, as unlike each other as can be made: where the files
 * lie, how they are synced, how large batches are, who waits, what happens between batches, and in
 * what environment the process runs.
 */
import type { Synchronous } from "../../src/state_machine/writer.ts";

/** How one of the state machines lives. Probabilities are for each batch. */
export interface Manner {
  readonly name: string;
  /** Whether its files lie on a disk and are synced, for those seeds that have a disk. */
  readonly synchronous: Synchronous;
  /** Entries in a batch, on average. */
  readonly batchSize: number;
  readonly statementsCachedMax: number;
  /** Who waits for answers: `timed` ones also say how long each statement took. */
  readonly answers: "plain" | "timed" | "unwaited";
  /** Closed and opened again. */
  readonly restart: number;
  /** Left as it is, its files taken over by another: between two batches, and within one. */
  readonly kill: number;
  readonly killWithin: number;
  /** Replaced by a copy of its database, as by the install of a snapshot. */
  readonly copy: number;
  readonly checkpoint: number;
  readonly reads: number;
  /** What its monotonic clock begins at, and how far SQLite's default clock is off, in milliseconds. */
  readonly startMs: number;
  readonly clockOffsetMs: number;
  /** Of its process. */
  readonly environment: Readonly<Record<string, string>>;
}

const YEAR_MS = 365 * 86_400_000;
/** What glibc must not use, so that its mathematics takes other paths. */
const WITHOUT_FMA = "glibc.cpu.hwcaps=-FMA,-AVX2,-AVX,-FMA4,-AVX2_Usable,-FMA_Usable";

const NEVER = { restart: 0, kill: 0, killWithin: 0, copy: 0, checkpoint: 0, reads: 0 } as const;

/** A disk's syncs take a hundred times as long as all the rest, so only every so many seeds have one. */
const DISK_EVERY_SEEDS = 20;

/** Where a manner's files lie for a seed, and how they are synced. */
export function placeOf(
  manner: Manner,
  seed: number,
): { readonly parent: string; readonly synchronous: Synchronous } {
  const hasDisk = manner.synchronous !== "off" && seed % DISK_EVERY_SEEDS === 0;
  return hasDisk
    ? { parent: "/tmp", synchronous: manner.synchronous }
    : { parent: "/dev/shm", synchronous: "off" };
}

/** Long-lived and in memory, large batches; then restless on disk, then always killed and copied. */
export const MANNERS: readonly Manner[] = [
  {
    ...NEVER,
    name: "steady",
    synchronous: "off",
    batchSize: 40,
    statementsCachedMax: 256,
    answers: "plain",
    checkpoint: 0.02,
    startMs: 0,
    clockOffsetMs: 0,
    environment: { TZ: "UTC", LC_ALL: "C" },
  },
  {
    name: "restless",
    synchronous: "normal",
    batchSize: 2,
    statementsCachedMax: 2,
    answers: "unwaited",
    restart: 0.03,
    kill: 0.01,
    killWithin: 0,
    copy: 0.005,
    checkpoint: 0.1,
    reads: 0.05,
    startMs: 1e9,
    clockOffsetMs: -YEAR_MS,
    environment: { TZ: "America/St_Johns", LC_ALL: "de_DE.UTF-8", GLIBC_TUNABLES: WITHOUT_FMA },
  },
  {
    name: "mortal",
    synchronous: "full",
    batchSize: 12,
    statementsCachedMax: 16,
    answers: "timed",
    restart: 0.02,
    kill: 0.03,
    killWithin: 0.08,
    copy: 0.04,
    checkpoint: 0.2,
    reads: 0.2,
    startMs: 5e8,
    clockOffsetMs: YEAR_MS,
    environment: { TZ: "Asia/Kathmandu", LC_ALL: "tr_TR.UTF-8" },
  },
];
