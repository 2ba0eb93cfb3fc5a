/**
 * Whether nodes that run hold the same: once all of them have applied the same entries, what each one's reader
 * answers at level none of the schema and of every table, values with their types, and hashes of the live
 * files, our own tables and the bits of each value included.
 */
import { get, type Member } from "../cluster.ts";
import { liveFile } from "../diverging.ts";
import { sleep } from "../process.ts";
import { type ContentHashes, contentHashes, contentRows } from "./content_hash.ts";

const EQUAL_INDEX_MS_MAX = 60_000;
const LOOK_MS = 30;
/** An entry of a node's own may come in between. */
const ATTEMPTS_MAX = 20;
const READ_MS_MAX = 30_000;

const SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name, type, tbl_name";
const COLUMNS =
  `SELECT l.name, l.type, l.wr, x.name FROM pragma_table_list l, pragma_table_xinfo(l.name) x
  WHERE l.schema = 'main' AND l.type <> 'view' AND x.hidden <> 1
    AND l.name NOT LIKE 'sqlite_dust%' AND l.name <> 'sqlite_schema' ORDER BY l.name, x.cid`;

/** What one comparison has found. */
export interface Comparison {
  /** Behind which entry. */
  readonly index: number;
  readonly tableCount: number;
  /** In words, with the first row that differs; undefined when nothing does. */
  readonly difference: string | undefined;
}

interface Content {
  readonly member: Member;
  /** Of its live file. */
  readonly path: string;
  readonly hashes: ContentHashes;
  /** A reader's answers, by table. */
  readonly answers: ReadonlyMap<string, string>;
}

/** Compares what members hold. Nobody writes meanwhile. @throws {Error} when they do not come to one entry. */
export async function compareContents(members: readonly Member[]): Promise<Comparison> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const index = await untilEqualIndex(members);
    const contents: Content[] = [];
    for (const member of members) contents.push(await contentOf(member));
    const after = await Promise.all(members.map(appliedIndex));
    if (after.some((each) => each !== index)) continue;
    return {
      index,
      tableCount: contents[0]?.answers.size ?? 0,
      difference: differenceOf(contents),
    };
  }
  throw new Error(`Nodes do not rest: entries came in ${ATTEMPTS_MAX} attempts`);
}

/** The entry up to which a member has applied the log. */
export async function appliedIndex(member: Member): Promise<number> {
  return Number(await get(member, "/status?key=store.raft.applied_index"));
}

async function untilEqualIndex(members: readonly Member[]): Promise<number> {
  const untilMs = performance.now() + EQUAL_INDEX_MS_MAX;
  let seen: readonly number[] = [];
  while (performance.now() < untilMs) {
    const last = seen;
    seen = await Promise.all(members.map(appliedIndex));
    const [first = 0] = seen;
    if (last.length > 0 && [...seen, ...last].every((each) => each === first)) return first;
    await sleep(LOOK_MS);
  }
  throw new Error(`Nodes do not come to one entry: ${seen.join(", ")}`);
}

async function contentOf(member: Member): Promise<Content> {
  const [schema = "", columns = ""] = await read(member, [SCHEMA, COLUMNS]);
  const queries = tableQueries(columns);
  const texts = await read(member, [...queries.values()]);
  const answers = new Map([["sqlite_schema", schema], ["columns", columns]]);
  [...queries.keys()].forEach((name, at) => answers.set(name, texts[at] ?? ""));
  const path = await liveFile(member);
  return { member, path, hashes: contentHashes(path), answers };
}

/** A member's own answers, one text for each query. */
async function read({ node }: Member, queries: readonly string[]): Promise<string[]> {
  const response = await fetch(`${node.url}/db/query?level=none&blob_array`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(queries),
    signal: AbortSignal.timeout(READ_MS_MAX),
  });
  const text = await response.text();
  const results = /^\{"results":\[(\{.*\})\]\}$/s.exec(text)?.[1];
  if (results === undefined) {
    throw new Error(`${node.nodeId} does not answer: ${text.slice(0, 500)}`);
  }
  // No value holds this: quotes within texts are escaped.
  return results.slice(1, -1).split(/\},\{(?="columns":|"error":)/);
}

/** A query for each table; rows of virtual ones come as they come, since their own tables are there too. */
function tableQueries(columns: string): ReadonlyMap<string, string> {
  const values = /"values":(\[.*\])$/s.exec(columns)?.[1] ?? "[]";
  const tables = Map.groupBy(
    JSON.parse(values) as [string, string, number, string][],
    ([name]) => name,
  );
  return new Map([...tables].map(([name, rows]) => {
    const [[, type, isKeyed] = ["", "", 0]] = rows;
    const names = rows.map(([, , , column]) => quoted(column));
    // A column's type would make times of numbers, some of which cannot be told.
    const list = names.flatMap((column) => [`typeof(${column})`, `+${column}`]);
    const hasRowid = type !== "virtual" && isKeyed === 0;
    const order = type === "virtual" ? "" : ` ORDER BY ${hasRowid ? "rowid" : names.join()}`;
    const selected = [...(hasRowid ? ["rowid"] : []), ...list].join();
    return [name, `SELECT ${selected} FROM ${quoted(name)}${order}`];
  }));
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function differenceOf([first, ...others]: readonly Content[]): string | undefined {
  if (first === undefined) return undefined;
  for (const other of others) {
    const who = `${first.member.name} and ${other.member.name}`;
    for (const name of namesOf(Object.keys(first.hashes), Object.keys(other.hashes))) {
      if (first.hashes[name] === other.hashes[name]) continue;
      const rows = firstRow(contentRows(first.path, name), contentRows(other.path, name));
      return `Files of ${who} differ in ${name}: ${rows}`;
    }
    for (const name of namesOf([...first.answers.keys()], [...other.answers.keys()])) {
      const [left = "", right = ""] = [first.answers.get(name), other.answers.get(name)];
      if (left !== right) return `Answers of ${who} differ for ${name}: ${firstOf(left, right)}`;
    }
  }
  return undefined;
}

/** Tables of clients first: our own differ with them. */
function namesOf(left: readonly string[], right: readonly string[]): readonly string[] {
  const names = [...new Set([...left, ...right])];
  return [
    ...names.filter((name) => !name.startsWith("sqlite_dust")),
    ...names.filter((name) => name.startsWith("sqlite_dust")),
  ];
}

function firstRow(left: readonly string[], right: readonly string[]): string {
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [one = "no row", other = "no row"] = [left[at], right[at]];
    if (one !== other) return `row ${at + 1} is ${one.slice(0, 500)} and ${other.slice(0, 500)}`;
  }
  return `all ${left.length} rows look alike`;
}

function firstOf(left: string, right: string): string {
  let at = 0;
  while (left[at] === right[at]) at++;
  const from = Math.max(0, at - 80);
  return `…${left.slice(from, at + 120)}… and …${right.slice(from, at + 120)}…`;
}
