/**
 * What must be true when all is over: every node comes back and holds the same rows, nothing that was
 * acknowledged is missing, nothing that was refused is there, nothing is there twice, and the histories of
 * registers and lists are what one database on its own could have given.
 */
import { type ChaosCluster, get } from "./chaos_cluster.ts";
import type { History, InsertedRow } from "./clients.ts";
import { checkLists } from "./list_checker.ts";
import { checkRegister } from "./register_checker.ts";

const EQUAL_MS_MAX = 60_000;
const TABLES = [
  "SELECT k, v FROM register ORDER BY k",
  "SELECT n, k, element FROM list ORDER BY n",
  "SELECT id, count(*) FROM row GROUP BY id ORDER BY id",
];

/** All tables of one node, as text for comparing, and parsed. */
interface Content {
  readonly text: string;
  readonly tables: readonly (readonly (readonly unknown[])[])[];
}

/** Heals everything, waits, and judges. @returns one sentence for each anomaly. */
export async function judge(cluster: ChaosCluster, history: History): Promise<readonly string[]> {
  cluster.heal();
  for (const node of cluster.nodes) {
    node.resume();
    if (node.pid === undefined) cluster.startNode(node);
  }
  const anomalies = [...history.anomalies];
  for (const node of cluster.nodes) {
    await cluster.untilReady(node);
    anomalies.push(...node.surprises);
  }
  const content = await untilEqual(cluster);
  if (content === undefined) return [...anomalies, "The nodes do not come to equal contents"];
  const [, list = [], row = []] = content.tables;
  return [
    ...anomalies,
    ...checkRegisters(history),
    ...checkLists(history.lists, listsOf(list)),
    ...checkRows(history.rows, row),
  ];
}

/** What all nodes hold, once it is the same. */
async function untilEqual(cluster: ChaosCluster): Promise<Content | undefined> {
  const untilMs = performance.now() + EQUAL_MS_MAX;
  while (performance.now() < untilMs) {
    const contents = await Promise.all(cluster.nodes.map(({ directUrl }) => contentOf(directUrl)));
    const [first] = contents;
    if (first !== undefined && contents.every((each) => each?.text === first.text)) return first;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return undefined;
}

async function contentOf(url: string): Promise<Content | undefined> {
  const texts = await Promise.all(
    TABLES.map((sql) => get(`${url}/db/query?level=none&q=${encodeURIComponent(sql)}`)),
  );
  const text = texts.join("\n");
  if (texts.some((each) => each === undefined) || text.includes('"error"')) return undefined;
  return {
    text,
    tables: texts.map((each) => {
      const body: { results: { values?: unknown[][] }[] } = JSON.parse(each ?? "");
      return body.results[0]?.values ?? [];
    }),
  };
}

function checkRegisters({ registers }: History): readonly string[] {
  return [...registers].flatMap(([key, operations]) => {
    const verdict = checkRegister(operations);
    return verdict === "linearizable" ? [] : [`The history of register ${key} is ${verdict}`];
  });
}

function listsOf(rows: readonly (readonly unknown[])[]): ReadonlyMap<number, readonly number[]> {
  const lists = new Map<number, number[]>();
  for (const [, list, element] of rows) {
    const elements = lists.get(Number(list)) ?? [];
    lists.set(Number(list), elements);
    elements.push(Number(element));
  }
  return lists;
}

/** Rows that were inserted, by what became of the requests. */
export function checkRows(
  inserted: readonly InsertedRow[],
  rows: readonly (readonly unknown[])[],
): readonly string[] {
  const counts = new Map(rows.map(([id, count]) => [String(id), Number(count)]));
  const anomalies = inserted.flatMap(({ id, hasKey, outcome }) => {
    const count = counts.get(id) ?? 0;
    counts.delete(id);
    const name = `Row ${id}${hasKey ? ", with a key," : ""}`;
    if (count > 1) return [`${name} is there ${count} times`];
    if (count === 0 && outcome === "done") return [`${name} was acknowledged and is not there`];
    if (count === 1 && outcome === "refused") return [`${name} was refused and is there`];
    return [];
  });
  return [...anomalies, ...[...counts.keys()].map((id) => `Row ${id} was sent by nobody`)];
}
