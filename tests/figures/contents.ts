/**
 * Whether all replicas hold the same, and all that was acknowledged: every row of every table is read from each
 * of them, from its own data, some thousands at a time.
 */
import { type Member, values } from "../cluster.ts";

const ROWS_AT_ONCE = 5_000;

/** A table with a number as its key. */
export interface KeyedTable {
  readonly name: string;
  readonly key: string;
  /** All columns, the key among them. */
  readonly columns: readonly string[];
}

/** What a member holds. */
interface Content {
  readonly rowCount: number;
  /** SHA-256 over all rows. */
  readonly digest: string;
}

/**
 * Compares all members. @returns how many rows they hold. @throws {Error} when one differs from the first, or a
 * row of `numbers` is missing; these are values of column `a` of the table `load`.
 */
export async function assertSameContents(
  members: readonly Member[],
  { tables, numbers }: {
    readonly tables: readonly KeyedTable[];
    readonly numbers: ReadonlySet<number>;
  },
): Promise<number> {
  let rowCount = 0;
  for (const table of tables) {
    const missing = table.name === "load" ? new Set(numbers) : new Set<number>();
    const contents: Content[] = [];
    for (const [place, member] of members.entries()) {
      const onRow = (row: readonly unknown[]): void => {
        if (place === 0) missing.delete(Number(row[table.columns.indexOf("a")]));
      };
      contents.push(await contentOf(member, { table, onRow }));
    }
    const [first] = contents;
    const isSame = contents.every(({ digest }) => digest === first?.digest);
    if (!isSame) throw new Error(`Replicas differ in ${table.name}: ${JSON.stringify(contents)}`);
    if (missing.size > 0) {
      const some = [...missing].slice(0, 10).join();
      throw new Error(`${missing.size} acknowledged writes are lost: ${some}`);
    }
    rowCount += first?.rowCount ?? 0;
  }
  return rowCount;
}

async function contentOf(
  member: Member,
  { table: { name, key, columns }, onRow }: {
    readonly table: KeyedTable;
    readonly onRow: (row: readonly unknown[]) => void;
  },
): Promise<Content> {
  let digest = "";
  let rowCount = 0;
  let last = 0;
  for (;;) {
    const sql = `SELECT ${key}, ${columns.join()} FROM ${name} WHERE ${key} > ${last} ` +
      `ORDER BY ${key} LIMIT ${ROWS_AT_ONCE}`;
    const text = await values(member, sql, "none");
    if (!text.startsWith("[[")) {
      // An answer without rows has no values.
      if (!text.startsWith('{"results":[{"columns"')) {
        throw new Error(`Cannot read ${name}: ${text}`);
      }
      return { rowCount, digest };
    }
    const rows: readonly (readonly unknown[])[] = JSON.parse(text);
    for (const row of rows) onRow(row.slice(1));
    digest = await sha256(digest + text);
    rowCount += rows.length;
    last = Number(rows.at(-1)?.[0]);
  }
}

async function sha256(text: string): Promise<string> {
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(bytes).toHex();
}
