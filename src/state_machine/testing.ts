/**
 * For tests of this room: commands as entries, and a writer on a fresh state file. Product code does
 * not import this file.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { logIndex, term } from "../base/ids.ts";
import { CommandEncoder } from "../command/command_encoder.ts";
import { NO_MEMBERS } from "../command/member_table.ts";
import type { Statement } from "../command/command.ts";
import type { RetryName } from "../command/retry.ts";
import type { NamedValue, Value } from "../command/value.ts";
import type { ApplyEntry } from "../node/ports.ts";
import { Connection } from "../sqlite/connection.ts";
import { DenoClock } from "../os/deno_clock.ts";
import { setSwitches } from "../sqlite/settings.ts";
import { testLibrary, testLibraryLocation } from "../sqlite/testing.ts";
import type { ReadValue } from "../sqlite/values.ts";
import { Logger } from "../telemetry/logger.ts";
import { createInitialState } from "./initial_state.ts";
import { openStateMachine } from "./open_state.ts";
import { SOFT_LIMIT_STEPS_DEFAULT } from "./replicated_limits.ts";
import { ApplyBatch, packBatch } from "./apply_batch.ts";
import type { BatchOutcome } from "./batch_runner.ts";
import { createStateFile } from "./state_file.ts";
import type { LiveState, StateMachine } from "./state_machine.ts";
import { Writer } from "./writer.ts";

/** A statement in short: SQL, or SQL with positional values. */
export type ShortStatement =
  | string
  | readonly [string, ...Value[]]
  | { readonly sql: string; readonly named: readonly NamedValue[] };

/** How an entry runs and answers; what is left out is off. */
export interface EntrySettings {
  readonly transaction?: boolean;
  readonly rows?: boolean;
  readonly timeoutMs?: number;
  /** Undefined: nobody waits. */
  readonly format?: number | undefined;
  readonly nowMs?: number;
  readonly elapsedMs?: number;
  readonly seed?: bigint;
  readonly lastWriteIndexMax?: number;
  readonly retry?: RetryName;
}

export const CLUSTER_ID: Uint8Array<ArrayBuffer> = Uint8Array.from(
  { length: 16 },
  (_, at) => at + 1,
);
export const CONFIGURATION: Uint8Array<ArrayBuffer> = Uint8Array.of(1, 2, 3);
/** The wall time of entry 0; each entry is a second later. */
export const EPOCH_MS = Date.UTC(2024, 0, 1);
const TERM = 1;

const encoder = new CommandEncoder();

/** An entry that executes statements. */
export function entry(
  index: number,
  statements: readonly ShortStatement[],
  settings: EntrySettings = {},
): ApplyEntry {
  const { transaction = false, rows = false, timeoutMs = 0, lastWriteIndexMax } = settings;
  const payload = encoder.encode({
    kind: "execute",
    options: {
      transaction,
      rows,
      timeoutMs,
      ...(lastWriteIndexMax === undefined ? {} : { lastWriteIndexMax }),
    },
    nowMs: settings.nowMs ?? EPOCH_MS + index * 1000,
    elapsedMs: settings.elapsedMs ?? 0,
    seed: settings.seed ?? BigInt(index) * 0x9e37_79b9_7f4a_7c15n & 0xffff_ffff_ffff_ffffn,
    statements: statements.map(fullStatement),
    ...(settings.retry === undefined ? {} : { retry: settings.retry }),
  });
  return {
    index: logIndex(index),
    term: term(TERM),
    kind: "normal",
    payload,
    format: "format" in settings ? settings.format : 0,
    configuration: undefined,
  };
}

function fullStatement(statement: ShortStatement): Statement {
  if (typeof statement === "string") return { sql: statement, positional: [], named: [] };
  if ("sql" in statement) return { sql: statement.sql, positional: [], named: statement.named };
  const [sql, ...positional] = statement;
  return { sql, positional, named: [] };
}

/** Makes a fresh state file. */
export function createTestState(
  path: string,
  options: { readonly foreignKeys?: boolean } = {},
): void {
  createStateFile(testLibrary(), {
    path,
    identity: { clusterId: CLUSTER_ID, configuration: CONFIGURATION },
    foreignKeys: options.foreignKeys ?? false,
  });
}

/** Opens the writer of a state file. */
export function openTestWriter(path: string): Writer {
  return new Writer({
    library: testLibrary(),
    path,
    synchronous: "off",
    nowMs: () => performance.now(),
    sleepMs: () => {},
  });
}

/** Applies entries as one batch. */
export function applyAll(writer: Writer, entries: readonly ApplyEntry[]): BatchOutcome {
  return writer.apply(new ApplyBatch(packBatch(entries)));
}

/** A writer that numbers what it is given. Close it with `using`. */
export class TestWriter implements Disposable {
  readonly writer: Writer;

  constructor(
    path: string,
    options: { readonly foreignKeys?: boolean; readonly isOld?: boolean } = {},
  ) {
    if (options.isOld !== true) createTestState(path, options);
    this.writer = openTestWriter(path);
  }

  /** A writer on the state that another one has left. */
  static reopen(path: string): TestWriter {
    return new TestWriter(path, { isOld: true });
  }

  /** Applies entries as one batch. */
  apply(entries: readonly ApplyEntry[]): BatchOutcome {
    return applyAll(this.writer, entries);
  }

  /** The index that the next entry gets. */
  get nextIndex(): number {
    return this.writer.record.appliedIndex + 1;
  }

  /** Tries one entry as if it were parked. */
  try(item: ApplyEntry): { readonly isEnded: boolean } {
    return this.writer.try(new ApplyBatch(packBatch([item])), 0);
  }

  /**
   * Applies one entry. @returns its answer as text, an error of the whole entry with `!` before it, an
   * answer given before with `=` and its index.
   */
  run(statements: readonly ShortStatement[], settings: EntrySettings = {}): string {
    const { answers } = applyAll(this.writer, [entry(this.nextIndex, statements, settings)]);
    const [answer] = answers;
    if (answer === undefined) return "";
    if (typeof answer === "string") return answer;
    return "error" in answer ? `!${answer.error}` : `=${answer.index} ${answer.results}`;
  }

  /** Runs one query as a write would, and gives its rows as text. */
  rows(sql: string): string {
    const text = this.run([sql], { rows: true });
    return /"values":(\[.*\])\}\]$/s.exec(text)?.[1] ?? text;
  }

  [Symbol.dispose](): void {
    this.writer[Symbol.dispose]();
  }
}

/**
 * All of a database's content that SQL can see, rowids included, and the state row: equal texts mean
 * equal states. Tables of virtual tables are in it as what they are.
 */
export function contentOf(path: string): string {
  using connection = Connection.open(testLibrary(), { path, mode: "readwrite" });
  setSwitches(connection, { noCheckpointOnClose: true });
  const tables = connection.query(
    "SELECT name, type, tbl_name, sql, rootpage FROM sqlite_schema ORDER BY name",
  );
  const lines = tables.map((row) => JSON.stringify(row));
  for (const [name, type, , sql] of tables) {
    if (type !== "table" || /^CREATE VIRTUAL/i.test(String(sql))) continue;
    const quoted = `"${String(name).replaceAll('"', '""')}"`;
    const isKeyed = /WITHOUT ROWID/i.test(String(sql));
    const columns = isKeyed ? "*" : "rowid, *";
    const rows = connection.query(`SELECT ${columns} FROM ${quoted} ORDER BY 1, 2`);
    for (const row of rows) lines.push(`${name}: ${row.map(valueText).join("|")}`);
  }
  return lines.join("\n");
}

function valueText(value: ReadValue): string {
  if (value instanceof Uint8Array) return `x${value.toHex()}`;
  return typeof value === "number" && Object.is(value, -0) ? "-0" : `${typeof value} ${value}`;
}

/** The live file of a fresh state (`createTestState`), for a state machine to run. */
export function testLiveState(
  { path, dataDirectory, mode = "ram" }: {
    readonly path: string;
    readonly dataDirectory: string;
    readonly mode?: "ram" | "disk";
  },
): LiveState {
  return {
    library: testLibrary(),
    location: testLibraryLocation(),
    path,
    mode,
    isRam: false,
    dataDirectory,
    generation: 1,
    durableIndex: 1,
    foreignKeys: false,
  };
}

/** Makes the first state of a data directory, as a first start does. @returns what its log names. */
export function makeInitialState(dataDirectory: string): ReturnType<typeof createInitialState> {
  return createInitialState({
    dataDirectory,
    sqliteLibrary: undefined,
    identity: { clusterId: CLUSTER_ID },
    index: logIndex(1),
    term: term(1),
    genesis: {
      configuration: CONFIGURATION,
      members: NO_MEMBERS,
      foreignKeys: false,
      softLimitSteps: SOFT_LIMIT_STEPS_DEFAULT,
    },
  });
}

const IS_OWN = true;

/** The state of a data directory beneath `folder`, which is made unless it is there. */
export async function openNode(
  folder: string,
  mode: "ram" | "disk",
  generation = 1,
): Promise<StateMachine> {
  const dataDirectory = join(folder, "data");
  const ramDirectory = join(folder, "ram");
  if (!existsSync(dataDirectory)) {
    Deno.mkdirSync(dataDirectory, { recursive: true });
    Deno.mkdirSync(ramDirectory, { mode: 0o700 });
    await makeInitialState(dataDirectory);
  }
  return await openStateMachine({
    dataDirectory,
    mode,
    ramDirectory,
    readers: 1,
    foreignKeys: false,
    sqliteLibrary: undefined,
    clock: new DenoClock(),
    logger: new Logger({
      level: "ERROR",
      format: "text",
      component: "state",
      sink: () => {},
      wallClockMs: () => 0,
    }),
    identity: { clusterId: CLUSTER_ID, incarnation: CLUSTER_ID },
    generation,
    verifyHistory: () => Promise.resolve(IS_OWN),
    onDamagedCopy: ({ damage }) => Promise.reject(new Error(damage)),
    onFatal: (error) => {
      throw error;
    },
  });
}

/** Overwrites a file where `from` stands first, as a disk might. @throws {Error} when it does not, or `to` is longer. */
export async function changeBytes(path: string, from: string, to: string): Promise<void> {
  const at = new TextDecoder("latin1").decode(await Deno.readFile(path)).indexOf(from);
  if (at < 0 || to.length > from.length) throw new Error(`changeBytes: no ${from} in ${path}`);
  using file = await Deno.open(path, { write: true });
  file.seekSync(at, Deno.SeekMode.Start);
  file.writeSync(new TextEncoder().encode(to));
}
