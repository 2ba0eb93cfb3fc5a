/**
 * What is done to one replica behind its node's back, and what its node makes of that: a row is changed by another
 * process; a page of its file is overwritten, so that SQLite notices or does not; an entry of its log is.
 * A process that ends by itself is started again as the systemd unit does it (scripts/systemd/dust.service).
 */
import { execute, type Member, type TestCluster, values } from "../cluster.ts";
import { damageLog, type ScrubFacts, scrubFacts } from "../damaged_log.ts";
import { damagePage, meddle, QUARANTINED, RENEWED, replicaFacts } from "../diverging.ts";
import { sleep } from "../process.ts";

/** Kinds of harm that a figure may be asked for. */
export const HARM_KINDS = ["row", "page", "log"] as const;
export type HarmKind = (typeof HARM_KINDS)[number];

/** How many rows the table `guarded` has, which nobody writes to meanwhile. */
export const GUARDED_ROWS = 1000;
/** One row of one value: how many rows are there, and how many are right. */
export const GUARD = "SELECT count(*) || ' ' || sum(v LIKE '%right') FROM guarded";
export const GUARD_RIGHT = `[["${GUARDED_ROWS} ${GUARDED_ROWS}"]]`;

const LOOK_MS = 20;
const LOOK_AT_OTHERS_MS = 500;
const OVER_MS_MAX = 120_000;

/** As the unit has it: RestartSec, RestartPreventExitStatus. */
const RESTART_MS = 2_000;
const LAST_WORDS_CHARACTERS = 120;
const FINAL_STATUS = [2, 65];

/** More than a segment of the log holds. */
const SEGMENT_FILLERS = 20;
const FILLER_BYTES = 900_000;

const LOG_FOUND = "The log is damaged";
const LOG_MENDED = "The damaged part of the log is gone";

/** When it was known, and when it was over; milliseconds since it was done. */
export interface Course {
  readonly foundMs: number;
  readonly renewedMs: number;
  /** What processes said that ended by themselves, the first words of it. */
  readonly ends: readonly string[];
}

/** Fills the table that is damaged. */
export async function makeGuarded(member: Member): Promise<void> {
  await execute(member, [
    "CREATE TABLE guarded(id INTEGER PRIMARY KEY, v)",
    "CREATE TABLE marked(id INTEGER PRIMARY KEY, v)",
    "CREATE TABLE filler(v)",
    "INSERT INTO guarded WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT " +
    `${GUARDED_ROWS}) SELECT i, format('guard %05d right', i) FROM n`,
  ]);
}

/** Whether its file lies in memory. */
export function modeOf({ flags }: Member): "ram" | "disk" {
  return flags.includes("--on-disk") ? "disk" : "ram";
}

/** Changes one row, or damages the page that it is on. Nobody may write meanwhile. @returns what was done. */
export async function harmState(
  victim: Member,
  { kind, round }: { readonly kind: "row" | "page"; readonly round: number },
): Promise<string> {
  const id = 1 + (round * 7) % GUARDED_ROWS;
  if (kind === "row") {
    await meddle(victim, `UPDATE guarded SET v = replace(v, 'right', 'wrong') WHERE id = ${id}`);
    return `row, ${modeOf(victim)}`;
  }
  const text = `guard ${String(id).padStart(5, "0")} right`;
  const damage = Math.floor(round / 2) % 2 === 0
    ? { kind: "torn" } as const
    : { kind: "silent", from: "right", to: "wrong" } as const;
  await damagePage(victim, { table: "guarded", text, damage });
  return `${damage.kind} page, ${modeOf(victim)}`;
}

/**
 * Waits until the state is right again, and looks at the others' all the while.
 * `logged`: how much of what it has written to its log is older. `onFound` is called once.
 * @throws {Error} when that takes too long, when another node has what is wrong, or the process may not be started again.
 */
export async function untilStateRight(
  cluster: TestCluster,
  { victim, others, logged, onFound }: {
    readonly victim: Member;
    readonly others: readonly Member[];
    readonly logged: number;
    readonly onFound: () => Promise<void>;
  },
): Promise<Course> {
  const clock = stopwatch(victim);
  let foundMs: number | undefined;
  const ends: string[] = [];
  let othersMs = 0;
  for (;;) {
    const ms = clock();
    const said = (text: string): boolean => victim.node.log().includes(text, logged);
    await sleep(LOOK_MS);
    const status = victim.node.ended();
    if (foundMs === undefined && (status !== undefined || said(QUARANTINED))) {
      foundMs = ms;
      await onFound();
    }
    if (status !== undefined) {
      ends.push(`${status.signal ?? status.code} ${lastWords(victim)}`);
      await startAgain(cluster, victim, status.code);
    }
    // A file in memory that is built anew needs nobody else.
    const mayBeOver = ends.length > 0 || said(RENEWED);
    if (foundMs !== undefined && mayBeOver && await isRight(victim)) {
      return { foundMs, renewedMs: clock(), ends };
    }
    if (ms >= othersMs) {
      othersMs = ms + LOOK_AT_OTHERS_MS;
      await assertUntouched(others);
    }
  }
}

/** An entry of its own, which is applied, and sometimes no longer in the file that is being written to. */
export async function markLog(
  leader: Member,
  victim: Member,
  { mark, isOlder }: { readonly mark: string; readonly isOlder: boolean },
): Promise<void> {
  await execute(leader, [["INSERT INTO marked(v) VALUES(?)", mark]]);
  const count = `SELECT count(*) FROM marked WHERE v = '${mark}'`;
  const clock = stopwatch(victim);
  while (await values(victim, count, "none") !== "[[1]]") {
    clock();
    await sleep(LOOK_MS);
  }
  if (!isOlder) return;
  for (let filler = 0; filler < SEGMENT_FILLERS; filler++) {
    await execute(leader, [["INSERT INTO filler VALUES(?)", "x".repeat(FILLER_BYTES)]]);
  }
  await execute(leader, ["DELETE FROM filler"]);
}

/** Overwrites a marked entry. @returns what was done. */
export async function harmLog(victim: Member, mark: string): Promise<string> {
  const { isNewest } = await damageLog(victim, mark);
  return `${isNewest ? "the log's newest file" : "an older file of the log"}, ${modeOf(victim)}`;
}

/** Waits until the node says that its log is sound again. @throws {Error} when that takes too long. */
export async function untilLogSound(
  victim: Member,
  { logged, onFound }: { readonly logged: number; readonly onFound: () => Promise<void> },
): Promise<Course> {
  const clock = stopwatch(victim);
  const said = async (text: string, isSo: (facts: ScrubFacts) => boolean): Promise<number> => {
    while (!victim.node.log().includes(text, logged) || !isSo(await scrubFacts(victim))) {
      clock();
      await sleep(LOOK_MS);
    }
    return clock();
  };
  const foundMs = await said(LOG_FOUND, ({ damage }) => damage !== "");
  await onFound();
  return { foundMs, renewedMs: await said(LOG_MENDED, ({ damage }) => damage === ""), ends: [] };
}

/** Milliseconds since now. @throws {Error} after OVER_MS_MAX. */
function stopwatch({ name, node }: Member): () => number {
  const startedMs = performance.now();
  return () => {
    const ms = Math.round(performance.now() - startedMs);
    if (ms > OVER_MS_MAX) throw new Error(`${name} is not mended in time:\n${node.log()}`);
    return ms;
  };
}

async function startAgain(cluster: TestCluster, victim: Member, code: number): Promise<void> {
  if (FINAL_STATUS.includes(code)) {
    throw new Error(`${victim.name} ended with ${code}, and stays down:\n${victim.node.log()}`);
  }
  await sleep(RESTART_MS);
  await cluster.restart(victim);
}

async function isRight(victim: Member): Promise<boolean> {
  try {
    const { state } = await replicaFacts(victim);
    return state === "ok" && await values(victim, GUARD, "none") === GUARD_RIGHT;
  } catch (error) {
    // The question itself may meet the damage, and end the process.
    if (!(error instanceof TypeError)) throw error;
    return false;
  }
}

function lastWords({ node }: Member): string {
  return /^fatal: [^\n]*/m.exec(node.log())?.[0].slice(0, LAST_WORDS_CHARACTERS) ?? "";
}

/** What a node without a leader answers for a moment is no row. */
async function assertUntouched(others: readonly Member[]): Promise<void> {
  for (const other of others) {
    const answer = await values(other, GUARD, "none");
    if (answer.startsWith("[[") && answer !== GUARD_RIGHT) {
      throw new Error(`It has spread to ${other.name}: ${answer}`);
    }
  }
}
