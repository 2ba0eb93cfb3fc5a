/**
 * What a set of writers asked of a database, what they were told, and whether the database holds just
 * that. Each writer sends one operation after the other, numbered from 0, so after a crash at most one
 * operation per writer is open; the first look at the database decides it, and it must stay decided.
 *
 *   event(writer, seq, part, body)   one row per part, no key: a row applied twice shows
 *   counter(writer, value, seq)      one more per `count`: an update applied twice shows
 *   large(writer, seq, body)         the newest large value, so that the log grows and the data does not
 */

/** What an operation is. All parts of one are there, or none. */
export type OperationKind =
  | "row"
  | "entry"
  | "transaction"
  | "failing"
  | "count"
  | "large"
  | "huge";

/** What its sender knows: told that it is done, told that it is not, or told nothing. */
export type Fate = "acknowledged" | "refused" | "unknown";

/** One operation of a writer. */
export interface Operation {
  readonly kind: OperationKind;
  fate: Fate;
}

/** What a request needs: the path behind the address, and the statements. */
export interface OperationRequest {
  readonly path: string;
  readonly body: string;
  /** How many results an answer has, all without error; undefined where an error is expected. */
  readonly results: number | undefined;
}

/** Statements that make the tables, for a ledger of so many writers. */
export function schema(writers: number): string {
  const counters = Array.from(
    { length: writers },
    (_, writer) => `INSERT OR IGNORE INTO counter VALUES(${writer}, 0, -1)`,
  );
  return JSON.stringify([
    "CREATE TABLE IF NOT EXISTS event(writer INTEGER, seq INTEGER, part INTEGER, body TEXT)",
    "CREATE TABLE IF NOT EXISTS counter(writer INTEGER PRIMARY KEY, value INTEGER, seq INTEGER)",
    "CREATE TABLE IF NOT EXISTS large(writer INTEGER PRIMARY KEY, seq INTEGER, body TEXT)",
    ...counters,
  ]);
}

const EXECUTE = "/db/execute";
const LARGE_CHARACTERS = 60_000;
const HUGE_CHARACTERS = 6_000_000;

/** The request for an operation. The same arguments give the same text. */
export function encodeOperation(
  kind: OperationKind,
  id: { readonly writer: number; readonly seq: number },
): OperationRequest {
  const { writer, seq } = id;
  const insert = (part: number): unknown[] => [
    "INSERT INTO event VALUES(?, ?, ?, ?)",
    ...[writer, seq, part, eventBody({ writer, seq, part })],
  ];
  const count = ["UPDATE counter SET value = value + 1, seq = ? WHERE writer = ?", seq, writer];
  const transaction = `${EXECUTE}?transaction`;
  const request = (path: string, statements: unknown[], results?: number): OperationRequest => ({
    path,
    body: JSON.stringify(statements),
    results,
  });
  switch (kind) {
    case "row":
      return request(EXECUTE, [insert(0)], 1);
    case "entry":
      return request(EXECUTE, [insert(0), insert(1)], 2);
    case "transaction":
      return request(transaction, [insert(0), insert(1), insert(2)], 3);
    case "failing":
      return request(transaction, [insert(0), ["INSERT INTO missing VALUES(1)"]]);
    case "count":
      return request(EXECUTE, [count], 1);
    case "large":
    case "huge": {
      const replace = ["INSERT OR REPLACE INTO large VALUES(?, ?, ?)", writer, seq];
      return request(EXECUTE, [[...replace, largeBody(kind, id)]], 1);
    }
  }
}

/** Rows of `event` that each kind makes. */
const PARTS: { readonly [kind in OperationKind]: number } = {
  row: 1,
  entry: 2,
  transaction: 3,
  failing: 0,
  count: 0,
  large: 0,
  huge: 0,
};

/** The text of a row; its length varies, its content tells whose it is. */
function eventBody(row: { writer: number; seq: number; part: number }): string {
  const { writer, seq, part } = row;
  return `row ${writer}.${seq}.${part} `.padEnd(20 + (writer * 31 + seq * 17 + part) % 160, "x");
}

function largeBody(
  kind: "large" | "huge",
  { writer, seq }: { readonly writer: number; readonly seq: number },
): string {
  return `large ${writer}.${seq} `.padEnd(
    kind === "large" ? LARGE_CHARACTERS : HUGE_CHARACTERS,
    "y",
  );
}

/** The content of the three tables, as a query answered it. */
export interface TableContent {
  readonly event: readonly (readonly [number, number, number, string])[];
  readonly counter: readonly (readonly [number, number, number])[];
  readonly large: readonly (readonly [number, number, string])[];
}

/** What a comparison found out. */
export interface Comparison {
  /** In words; empty when the database is right. */
  readonly violations: readonly string[];
  /** Rows and updates of which nobody had been told, and which are there. */
  readonly unacknowledgedFound: number;
}

/** See the file's header. */
export class Ledger {
  readonly #operations: Operation[][];
  /** Of each writer: operations before it were forgotten together with their rows. */
  readonly #forgotten: number[];
  /** Of each writer: the count that the forgotten operations made. */
  readonly #counted: number[];
  /** Of each writer: the large value that the last comparison met, and the one that a `forget` left. */
  readonly #newest = new Map<number, number>();
  readonly #kept = new Map<number, number>();
  #acknowledgedRows = 0;
  #violations: string[] = [];
  #found = 0;

  constructor(writers: number) {
    this.#operations = Array.from({ length: writers }, () => []);
    this.#forgotten = new Array(writers).fill(0);
    this.#counted = new Array(writers).fill(0);
  }

  get writers(): number {
    return this.#operations.length;
  }

  /** Rows and updates that were acknowledged, since the beginning. */
  get acknowledgedRows(): number {
    return this.#acknowledgedRows;
  }

  /** Notes an operation before it is sent. @returns its number. */
  begin(writer: number, kind: OperationKind): number {
    const operations = this.#of(writer);
    operations.push({ kind, fate: "unknown" });
    return this.#forgottenOf(writer) + operations.length - 1;
  }

  /** Notes what the sender of the writer's newest operation was told. */
  settle(writer: number, fate: Exclude<Fate, "unknown">): void {
    const operation = this.#of(writer).at(-1);
    if (operation === undefined) throw new Error("Cannot settle: the writer has sent nothing");
    operation.fate = fate;
    if (fate === "acknowledged") this.#acknowledgedRows += effectsOf(operation.kind);
  }

  /** Compares, and decides the operations that were open. Nobody must be writing. */
  compare(content: TableContent): Comparison {
    this.#violations = [];
    this.#found = 0;
    const parts = this.#partsOf(content);
    for (let writer = 0; writer < this.writers; writer++) {
      this.#compareLarge(writer, content.large.find((row) => row[0] === writer));
      this.#compareCount(writer, content.counter.find((row) => row[0] === writer));
      this.#compareRows(writer, parts);
    }
    return { violations: this.#violations, unacknowledgedFound: this.#found };
  }

  /** Forgets all operations; their rows of `event` must have been deleted. Numbers go on. */
  forget(): void {
    for (let writer = 0; writer < this.writers; writer++) {
      const operations = this.#of(writer);
      this.#counted[writer] = this.#countOf(writer);
      this.#forgotten[writer] = this.#forgottenOf(writer) + operations.length;
      // A large value stays where it is: the next comparison must still know it.
      if (operations.some(isLargeAndDone)) this.#kept.set(writer, this.#newest.get(writer) ?? -1);
      operations.length = 0;
    }
  }

  /** Rows by `writer.seq`, each checked for its text, and that it comes once. */
  #partsOf(content: TableContent): Map<string, Set<number>> {
    const parts = new Map<string, Set<number>>();
    for (const [writer, seq, part, body] of content.event) {
      const name = `${writer}.${seq}`;
      const known = parts.get(name) ?? new Set();
      if (known.has(part)) this.#violations.push(`row ${name}.${part} is there twice`);
      if (body !== eventBody({ writer, seq, part })) {
        this.#violations.push(`row ${name}.${part} is torn: ${String(body).slice(0, 40)}`);
      }
      known.add(part);
      parts.set(name, known);
    }
    return parts;
  }

  #compareRows(writer: number, parts: Map<string, Set<number>>): void {
    const forgotten = this.#forgottenOf(writer);
    for (const [at, operation] of this.#of(writer).entries()) {
      const name = `${writer}.${forgotten + at}`;
      const count = parts.get(name)?.size ?? 0;
      parts.delete(name);
      const expected = PARTS[operation.kind];
      if (operation.fate === "acknowledged" && count !== expected) {
        const text = `${count} of ${expected} rows of acknowledged ${operation.kind} ${name}`;
        this.#violations.push(`${text} are there`);
      } else if (operation.fate === "refused" && count !== 0) {
        this.#violations.push(`${count} rows of refused ${operation.kind} ${name} are there`);
      } else if (operation.fate === "unknown") {
        if (count !== 0 && count !== expected) {
          this.#violations.push(`${operation.kind} ${name} is torn: ${count} of ${expected} rows`);
        }
        this.#decide(operation, { isThere: count > 0 });
      }
    }
    for (const name of parts.keys()) {
      if (name.startsWith(`${writer}.`)) {
        this.#violations.push(`row ${name} was never sent, or deleted`);
      }
    }
  }

  /** An update that is open may have happened: one more than known, and then it is decided. */
  #compareCount(writer: number, row: readonly [number, number, number] | undefined): void {
    const known = this.#countOf(writer);
    const value = row?.[1] ?? 0;
    const last = this.#of(writer).at(-1);
    const isOpen = last?.kind === "count" && last.fate === "unknown";
    if (value !== known && !(isOpen && value === known + 1)) {
      const more = isOpen ? ` or ${known + 1}` : "";
      this.#violations.push(`counter ${writer} is ${value} and not ${known}${more}`);
    }
    if (isOpen) this.#decide(last, { isThere: value === known + 1 });
  }

  #compareLarge(writer: number, row: readonly [number, number, string] | undefined): void {
    const operations = this.#of(writer);
    const forgotten = this.#forgottenOf(writer);
    const done = operations.findLastIndex(isLargeAndDone);
    const newest = done < 0 ? this.#kept.get(writer) ?? -1 : forgotten + done;
    const last = operations.at(-1);
    const isOpen = last?.fate === "unknown" && isLarge(last);
    const seq = row?.[1] ?? -1;
    const openSeq = forgotten + operations.length - 1;
    if (seq !== newest && !(isOpen && seq === openSeq)) {
      const more = isOpen ? ` or ${openSeq}` : "";
      this.#violations.push(`large value ${writer} is of ${seq} and not of ${newest}${more}`);
    }
    this.#newest.set(writer, seq);
    const bodies = [largeBody("large", { writer, seq }), largeBody("huge", { writer, seq })];
    if (row !== undefined && !bodies.includes(row[2])) {
      this.#violations.push(`large value ${writer}.${seq} is torn: ${row[2].length} characters`);
    }
    if (isOpen) this.#decide(last, { isThere: seq === openSeq });
  }

  #decide(operation: Operation, { isThere }: { readonly isThere: boolean }): void {
    operation.fate = isThere ? "acknowledged" : "refused";
    if (isThere) this.#found += effectsOf(operation.kind);
  }

  #countOf(writer: number): number {
    const done = this.#of(writer).filter(({ kind, fate }) =>
      kind === "count" && fate === "acknowledged"
    );
    return (this.#counted[writer] ?? 0) + done.length;
  }

  #of(writer: number): Operation[] {
    const operations = this.#operations[writer];
    if (operations === undefined) throw new Error(`There is no writer ${writer}`);
    return operations;
  }

  #forgottenOf(writer: number): number {
    return this.#forgotten[writer] ?? 0;
  }
}

/** Rows and updates that an operation makes. */
function effectsOf(kind: OperationKind): number {
  return kind === "failing" ? 0 : Math.max(1, PARTS[kind]);
}

function isLarge({ kind }: Operation): boolean {
  return kind === "large" || kind === "huge";
}

function isLargeAndDone(operation: Operation): boolean {
  return isLarge(operation) && operation.fate === "acknowledged";
}
