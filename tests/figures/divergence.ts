/**
 * How soon a replica that differs is found and renewed, while clients write: one row of its data is changed
 * behind its node's back, at a follower or at the leader, round after round. Nothing else is done: what
 * finds it is the comparison that comes every 20 seconds.
 */
import { eventually, execute, type Member, type TestCluster } from "../cluster.ts";
import { everywhere, meddle, untilRenewed } from "../diverging.ts";
import { appliedIndex } from "./failover.ts";
import { Writers } from "./writers.ts";

const CLIENTS = 8;
const ROWS = 1000;
const WRONG = "SELECT count(*) FROM guarded WHERE v = 'wrong'";

interface Round {
  readonly at: "follower" | "leader";
  readonly foundMs: number | undefined;
  readonly renewedMs: number;
  /** Entries between the change and the end of the renewal. */
  readonly entries: number;
}

/** `words`: how many rounds at a follower, and as many at the leader; then `down` to have a second node stopped. */
export async function divergence(
  cluster: TestCluster,
  [rounds = "3", down = ""]: readonly string[],
): Promise<object> {
  const [witness] = cluster.members;
  if (witness === undefined) throw new Error("divergence: no members");
  await execute(witness, [
    "CREATE TABLE guarded(id INTEGER PRIMARY KEY, v)",
    "INSERT INTO guarded WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT " +
    `${ROWS}) SELECT i, 'right' FROM n`,
  ]);
  const absent = down === "down" ? cluster.members.at(-1) : undefined;
  await absent?.node.stop("SIGKILL");
  const present = cluster.members.filter((member) => member !== absent);
  const done: Round[] = [];
  let acknowledged = 0;
  for (let round = 0; round < 2 * Number(rounds); round++) {
    const at = round % 2 === 0 ? "follower" : "leader";
    const { outcome, count } = await oneRound({ cluster, present, at, round });
    done.push(outcome);
    acknowledged += count;
  }
  if (absent !== undefined) await cluster.restart(absent);
  await eventually(async () => {
    const counts = await everywhere(cluster, "SELECT count(*) FROM load");
    // More than that where an answer was lost.
    return counts.size === 1 && Number([...counts].join().replaceAll(/[[\]]/g, "")) >= acknowledged;
  }, `all to have ${acknowledged} rows`);
  const spread = [...await everywhere(cluster, WRONG)];
  if (spread.join() !== "[[0]]") throw new Error(`divergence: it spread: ${spread}`);
  return { members: cluster.members.length, down, acknowledged, ...summary(done) };
}

async function oneRound(
  { cluster, present, at, round }: {
    readonly cluster: TestCluster;
    readonly present: readonly Member[];
    readonly at: Round["at"];
    readonly round: number;
  },
): Promise<{ readonly outcome: Round; readonly count: number }> {
  const [asked = present[0]] = present;
  if (asked === undefined) throw new Error("divergence: no members");
  const leader = await cluster.leader(asked);
  const victim = at === "leader"
    ? leader
    : present.filter((member) => member !== leader)[round % (present.length - 1)] ?? leader;
  const writers = new Writers({
    urls: present.map(({ node }) => node.url),
    clients: CLIENTS,
  });
  const before = await appliedIndex(victim) ?? 0;
  const logged = victim.node.log().length;
  await meddle(victim, `UPDATE guarded SET v = 'wrong' WHERE id = ${1 + round % ROWS}`);
  const { foundMs, healedMs } = await untilRenewed(victim, WRONG, logged);
  const entries = (await appliedIndex(victim) ?? 0) - before;
  await writers.stop();
  const outcome = { at, foundMs, renewedMs: healedMs, entries } as const;
  return { outcome, count: writers.acknowledged };
}

function summary(rounds: readonly Round[]): object {
  const of = (at: Round["at"]): object => {
    const ms = rounds.filter((round) => round.at === at).map(({ renewedMs }) => renewedMs);
    ms.sort((left, right) => left - right);
    return { rounds: ms.length, medianMs: ms[Math.floor(ms.length / 2)], worstMs: ms.at(-1) };
  };
  const entries = Math.max(...rounds.map((round) => round.entries));
  return { follower: of("follower"), leader: of("leader"), entriesMax: entries };
}
