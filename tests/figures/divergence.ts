/**
 * How soon a replica that is damaged is found and mended, while clients write: a row, a page of the file or an
 * entry of the log, at a follower and at the leader, round after round (harm.ts). Nothing else is done: what finds
 * it is what nodes do now and then, a comparison every 20 seconds, a pass over the log with 20 seconds of rest
 * behind it. Fails when what is wrong gets to another node, or an acknowledged write is missing at the end.
 */
import { eventually, type Member, type TestCluster, values } from "../cluster.ts";
import { everywhere } from "../diverging.ts";
import { assertSameContents } from "./contents.ts";
import { appliedIndex } from "./failover.ts";
import {
  type Course,
  GUARD,
  GUARD_RIGHT,
  HARM_KINDS,
  type HarmKind,
  harmLog,
  harmState,
  makeGuarded,
  markLog,
  untilLogSound,
  untilStateRight,
} from "./harm.ts";
import { Writers, WrittenNumbers } from "./writers.ts";

/** They write less than a hundred rows a second: what is found must not be found by how busy nodes are. */
const CLIENTS = 4;
const CLIENT_REST_MS = 50;

/** More than half of all voters must be there and agree. */
const MEMBERS_MIN_WITH_DOWN = 5;

const LOAD_ROWS = "SELECT count(*) FROM load";
const TABLES = [
  { name: "load", key: "id", columns: ["id", "a", "b"] },
  { name: "guarded", key: "id", columns: ["id", "v"] },
  { name: "marked", key: "id", columns: ["id", "v"] },
  { name: "filler", key: "rowid", columns: ["v"] },
];

type Place = "follower" | "leader";

interface Round extends Course {
  readonly at: Place;
  /** What was done, to a file of which mode. */
  readonly harm: string;
  /** Entries that were applied elsewhere until it was found. */
  readonly entries: number;
}

interface Scene {
  readonly cluster: TestCluster;
  /** All but the one that is stopped. */
  readonly present: readonly Member[];
  readonly numbers: WrittenNumbers;
}

/**
 * `words`: how many rounds at a follower, and as many at the leader; `row`, `page` or `log`; then `down` to have
 * a second node stopped.
 */
export async function divergence(
  cluster: TestCluster,
  [rounds = "3", ...words]: readonly string[],
): Promise<object> {
  const kind = HARM_KINDS.find((each) => words.includes(each)) ?? "row";
  const [witness] = cluster.members;
  if (witness === undefined) throw new Error("divergence: no members");
  await makeGuarded(witness);
  const absent = words.includes("down") ? cluster.members.at(-1) : undefined;
  if (absent !== undefined && kind !== "log" && cluster.members.length < MEMBERS_MIN_WITH_DOWN) {
    throw new Error("divergence: of three with one down nobody knows whose state is right (V1)");
  }
  const present = cluster.members.filter((member) => member !== absent);
  await untilAllRight(cluster.members);
  await absent?.node.stop("SIGKILL");
  const scene = { cluster, present, numbers: new WrittenNumbers() };
  const done: Round[] = [];
  for (let round = 0; round < Number(rounds); round++) {
    const outcomes = await oneRound(scene, { kind, round });
    await untilAllRight(present);
    done.push(...outcomes);
    for (const outcome of outcomes) tell({ round, ...outcome });
  }
  if (absent !== undefined) await cluster.restart(absent);
  await eventually(
    async () => (await everywhere(cluster, LOAD_ROWS)).size === 1,
    "all to have the same number of rows",
  );
  const { acknowledged } = scene.numbers;
  const rows = await assertSameContents(cluster.members, {
    tables: TABLES,
    numbers: acknowledged,
  });
  const facts = { members: cluster.members.length, kind, isSecondDown: absent !== undefined };
  return {
    ...facts,
    acknowledged: acknowledged.size,
    ...{ lost: 0, spread: 0, rowsEqualEverywhere: rows },
    ...summary(done),
  };
}

/** One at a follower, one at the leader. */
async function oneRound(
  scene: Scene,
  { kind, round }: { readonly kind: HarmKind; readonly round: number },
): Promise<readonly Round[]> {
  if (kind === "log") return await logRound(scene, round);
  const rounds: Round[] = [];
  for (const at of ["follower", "leader"] as const) {
    const { victim } = await choose(scene, { at, round });
    const others = scene.present.filter((member) => member !== victim);
    const logged = victim.node.log().length;
    const count = await entryCounter(others);
    const harm = await harmState(victim, { kind, round });
    const writers = write(scene);
    let entries = 0;
    const course = await untilStateRight(scene.cluster, {
      ...{ victim, others, logged },
      onFound: async () => void (entries = await count()),
    });
    await writers.stop();
    rounds.push({ at, harm, entries, ...course });
  }
  return rounds;
}

/** Logs are each node's own affair: two at once. Then each node is killed, and must have all of it. */
async function logRound(scene: Scene, round: number): Promise<readonly Round[]> {
  const victims = [];
  for (const at of ["follower", "leader"] as const) {
    const { victim, leader } = await choose(scene, { at, round });
    victims.push({ at, victim, leader, mark: `mark ${round} of the ${at} `.padEnd(100, ".") });
  }
  for (const { victim, leader, mark } of victims) {
    await markLog(leader, victim, { mark, isOlder: round % 2 === 1 });
  }
  const writers = write(scene);
  const rounds = await Promise.all(victims.map(async ({ at, victim, mark }): Promise<Round> => {
    const logged = victim.node.log().length;
    const count = await entryCounter([victim]);
    const harm = await harmLog(victim, mark);
    let entries = 0;
    const onFound = async (): Promise<void> => void (entries = await count());
    const course = await untilLogSound(victim, { logged, onFound });
    return { at, harm, entries, ...course };
  }));
  await writers.stop();
  for (const { victim } of victims) {
    await victim.node.stop("SIGKILL");
    await scene.cluster.restart(victim);
    await eventually(async () => {
      const marks = await values(victim, "SELECT count(*) FROM marked", "none");
      return marks === `[[${2 * (round + 1)}]]`;
    }, `${victim.name} to have all marks`);
  }
  return rounds;
}

async function choose(
  { cluster, present }: Scene,
  { at, round }: { readonly at: Place; readonly round: number },
): Promise<{ readonly victim: Member; readonly leader: Member }> {
  const [asked] = present;
  const leader = await cluster.leader(asked);
  const followers = present.filter((member) => member !== leader);
  const victim = at === "leader" ? leader : followers[round % followers.length];
  if (victim === undefined) throw new Error("divergence: no follower");
  return { victim, leader };
}

function write({ present, numbers }: Scene): Writers {
  const urls = present.map(({ node }) => node.url);
  return new Writers({ urls, clients: CLIENTS, numbers, restMs: CLIENT_REST_MS });
}

/** Counts what is applied from now on. */
async function entryCounter(members: readonly Member[]): Promise<() => Promise<number>> {
  const highest = async (): Promise<number> => {
    const indexes = await Promise.all(members.map((member) => appliedIndex(member)));
    return Math.max(...indexes.map((index) => index ?? 0));
  };
  const before = await highest();
  return async () => await highest() - before;
}

async function untilAllRight(members: readonly Member[]): Promise<void> {
  await eventually(async () => {
    const counts = members.map((member) => values(member, LOAD_ROWS, "none"));
    if (new Set(await Promise.all(counts)).size > 1) return false;
    const guards = members.map((member) => values(member, GUARD, "none"));
    return (await Promise.all(guards)).every((guard) => guard === GUARD_RIGHT);
  }, "all to be right and to have the same rows");
}

/** It takes a while: what is known already goes to standard error. */
function tell(outcome: object): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${JSON.stringify(outcome)}\n`));
}

function summary(rounds: readonly Round[]): object {
  const of = (at: Place): object => {
    const here = rounds.filter((round) => round.at === at);
    return {
      rounds: here.length,
      foundMs: spread(here.map(({ foundMs }) => foundMs)),
      renewedMs: spread(here.map(({ renewedMs }) => renewedMs)),
      entriesMax: Math.max(...here.map(({ entries }) => entries)),
    };
  };
  const harms: Record<string, number> = {};
  for (const { harm } of rounds) harms[harm] = (harms[harm] ?? 0) + 1;
  const ends: Record<string, number> = {};
  for (const end of rounds.flatMap((round) => round.ends)) ends[end] = (ends[end] ?? 0) + 1;
  return { follower: of("follower"), leader: of("leader"), harms, ends };
}

function spread(figures: number[]): { readonly median: number; readonly worst: number } {
  figures.sort((left, right) => left - right);
  const at = (place: number): number => figures[place] ?? NaN;
  return { median: at(Math.floor(figures.length / 2)), worst: at(figures.length - 1) };
}
