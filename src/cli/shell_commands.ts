/**
 * The shell's dot commands (the wire contract, section 14.2): one table, name to what it does. Each
 * is a thin client of the HTTP API; a node that has not built an operation yet says so itself.
 * Names count in any letter case. Files are read and written here, and nowhere else in the shell.
 */
import {
  formatExactJson,
  isJsonObject,
  type Json,
  memberOf,
  parseExactJson,
  plainText,
} from "./exact_json.ts";
import { RESULT_MODES } from "./result_text.ts";
import { SHELL_LEVELS, ShellError, type ShellSession } from "./shell_session.ts";
import { formatTree } from "./tree_text.ts";

/** A command's arguments as they were typed, without the blanks around them; "" for none. */
type Run = (session: ShellSession, argument: string) => Promise<void> | void;

interface DotCommand {
  readonly usage: string;
  readonly help: string;
  readonly run: Run;
}

const COMMANDS: ReadonlyMap<string, DotCommand> = new Map<string, DotCommand>([
  ["backup", { usage: "FILE", help: "Write a copy of the database to FILE", run: backup }],
  ["blobarray", toggle("Show BLOBs as arrays in the schema commands", "blobArray")],
  ["boot", { usage: "FILE", help: "Boot the node from an SQLite file", run: boot }],
  ["changes", toggle("Show the last insert ID after writes", "changes")],
  ["consistency", {
    usage: "[LEVEL]",
    help: `Show or set the read level: ${SHELL_LEVELS.join(", ")}`,
    run: setLevel,
  }],
  ["dump", {
    usage: "FILE [TABLE,...]",
    help: "Write the database as SQL text to FILE",
    run: dump,
  }],
  ["exit", { usage: "", help: "Exit the shell", run: () => undefined }],
  ["expvar", { usage: "[KEY]", help: "Show the node's variables", run: tree("debug/vars") }],
  ["extensions", { usage: "", help: "Show loaded SQLite extensions", run: extensions }],
  ["forcewrites", toggle("Send every statement to /db/execute", "forceWrites")],
  ["help", { usage: "", help: "Show this list", run: (session) => session.print(helpText()) }],
  ["indexes", {
    usage: "",
    help: "Show the indexes",
    run: schemaQuery('SELECT sql FROM sqlite_master WHERE type="index"'),
  }],
  ["leader", { usage: "", help: "Show the leader", run: leader }],
  ["mode", {
    usage: "[MODE]",
    help: `Show or set the form of results: ${RESULT_MODES.join(", ")}`,
    run: setMode,
  }],
  ["nodes", {
    usage: "[all]",
    help: "Show the nodes of the cluster; all: read replicas too",
    run: nodes,
  }],
  ["output", {
    usage: "[FILE]",
    help: "Send results to FILE, or back to the terminal",
    run: setOutput,
  }],
  ["quit", { usage: "", help: "Exit the shell", run: () => undefined }],
  ["read", { usage: "FILE", help: "Run the statements in FILE, one a line", run: readFile }],
  ["ready", { usage: "", help: "Show whether the node is ready", run: ready }],
  ["reap", { usage: "", help: "Remove snapshots that are not needed", run: reap }],
  ["remove", { usage: "NODEID", help: "Remove a node from the cluster", run: remove }],
  ["restore", {
    usage: "FILE",
    help: "Load an SQLite file or SQL text into the database",
    run: restore,
  }],
  ["schema", {
    usage: "",
    help: "Show the schema",
    run: schemaQuery("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid ASC"),
  }],
  ["show", { usage: "", help: "Show the settings of this shell", run: show }],
  ["settime", {
    usage: "",
    help: "Take the database's time to that of the nodes' clocks, back too",
    run: setTime,
  }],
  ["snapshot", {
    usage: "[TRAILING]",
    help: "Take a snapshot, keeping TRAILING log entries",
    run: snapshot,
  }],
  ["status", { usage: "[KEY]", help: "Show the node's status", run: tree("status") }],
  ["stepdown", { usage: "[NODEID]", help: "Let the leader hand over", run: stepDown }],
  ["sysdump", {
    usage: "FILE",
    help: "Write the diagnostics of all nodes to FILE",
    run: systemDump,
  }],
  ["tables", {
    usage: "",
    help: "Show the tables",
    run: schemaQuery('SELECT name FROM sqlite_master WHERE type="table" ORDER BY name ASC'),
  }],
  ["timer", toggle("Show how long statements took", "timer")],
]);

/** Runs a line that starts with a dot. @returns false for `.exit` and `.quit`. */
export async function runDotCommand(session: ShellSession, line: string): Promise<boolean> {
  const [word = "", ...rest] = line.slice(1).split(/\s+/);
  const name = word.toLowerCase();
  if (name === "exit" || name === "quit") return false;
  const command = COMMANDS.get(name);
  if (command === undefined) throw new ShellError(`unknown command .${word}, see .help`);
  const argument = rest.join(" ").trim();
  if (argument === "" && command.usage !== "" && !command.usage.startsWith("[")) {
    throw new ShellError(`usage: .${name} ${command.usage}`);
  }
  await command.run(session, argument);
  return true;
}

/** Names with their dots, for completion on the tab key. */
export function dotCommandNames(): readonly string[] {
  return [...COMMANDS.keys()].map((name) => `.${name}`);
}

function helpText(): string {
  const lines = [...COMMANDS].map(([name, { usage, help }]) =>
    `${`.${name} ${usage}`.padEnd(26)} ${help}\n`
  );
  return lines.join("");
}

type Switch = "blobArray" | "changes" | "forceWrites" | "timer";

function toggle(help: string, setting: Switch): DotCommand {
  const run: Run = (session, argument) => {
    const { settings } = session;
    const word = argument.toLowerCase();
    if (word !== "" && word !== "on" && word !== "off") throw new ShellError("say on or off");
    settings[setting] = word === "" ? !settings[setting] : word === "on";
    if (word === "") session.print(`${settings[setting] ? "on" : "off"}\n`);
  };
  return { usage: "[on|off]", help, run };
}

function setLevel(session: ShellSession, argument: string): void {
  const { settings } = session;
  if (argument === "") return session.print(`${settings.level}\n`);
  const level = SHELL_LEVELS.find((each) => each === argument.toLowerCase());
  if (level === undefined) throw new ShellError(`level must be one of ${SHELL_LEVELS.join(", ")}`);
  settings.level = level;
}

function setMode(session: ShellSession, argument: string): void {
  const { settings } = session;
  if (argument === "") return session.print(`${settings.mode}\n`);
  const mode = RESULT_MODES.find((each) => each === argument.toLowerCase());
  if (mode === undefined) throw new ShellError(`mode must be one of ${RESULT_MODES.join(", ")}`);
  settings.mode = mode;
}

function setOutput({ settings }: ShellSession, argument: string): void {
  if (argument === "" || argument === "stdout") {
    settings.outputFile = undefined;
    return;
  }
  withFile(argument, () => Deno.writeTextFileSync(argument, ""));
  settings.outputFile = argument;
}

function show(session: ShellSession): void {
  const onOff = (on: boolean): string => on ? "on" : "off";
  const { settings } = session;
  session.print(
    `    node: ${session.client.address}\n` +
      `    mode: ${settings.mode}\n` +
      `   level: ${settings.level}\n` +
      `   timer: ${onOff(settings.timer)}\n` +
      ` changes: ${onOff(settings.changes)}\n` +
      `  writes: ${settings.forceWrites ? "forced" : "detected"}\n` +
      `  output: ${settings.outputFile ?? "stdout"}\n`,
  );
}

function schemaQuery(sql: string): Run {
  return async (session) => session.printTable(await session.query(sql));
}

function tree(path: string): Run {
  return async (session, key) => {
    const query = key === "" ? "" : `?key=${encodeURIComponent(key)}`;
    session.printResult(formatTree(await session.fetchJson({ method: "GET", path: path + query })));
  };
}

async function nodes(session: ShellSession, argument: string): Promise<void> {
  const path = argument.toLowerCase() === "all" ? "nodes?nonvoters" : "nodes";
  session.printResult(formatTree(await session.fetchJson({ method: "GET", path })));
}

async function leader(session: ShellSession): Promise<void> {
  const all = await session.fetchJson({ method: "GET", path: "nodes" });
  const entries = isJsonObject(all) ? Object.entries(all) : [];
  const found = entries.find(([, node]) => memberOf(node, "leader") === true);
  if (found === undefined) throw new ShellError("no leader found");
  session.printResult(formatTree({ [found[0]]: found[1] }));
}

async function extensions(session: ShellSession): Promise<void> {
  const status = await session.fetchJson({ method: "GET", path: "status?key=extensions" });
  const names = memberOf(status, "names");
  if (Array.isArray(names)) {
    for (const name of names) {
      session.printResult(`${plainText(name)}\n`);
    }
  }
}

async function ready(session: ShellSession): Promise<void> {
  const { status } = await session.client.send({ method: "GET", path: "readyz" });
  session.print(status === 200 ? "ready\n" : "not ready\n");
}

async function reap(session: ShellSession): Promise<void> {
  const answer = await session.fetchJson({ method: "POST", path: "reap" });
  const snapshots = plainText(memberOf(answer, "snapshots_reaped")) || "0";
  const wals = plainText(memberOf(answer, "wals_checkpointed")) || "0";
  session.print(`snapshots reaped: ${snapshots}, WALs checkpointed: ${wals}\n`);
}

async function remove(session: ShellSession, id: string): Promise<void> {
  await session.fetch({ method: "DELETE", path: "remove", body: JSON.stringify({ id }) });
}

async function snapshot(session: ShellSession, trailing: string): Promise<void> {
  if (!/^\d*$/.test(trailing)) throw new ShellError("TRAILING must be a number");
  await session.fetch({ method: "POST", path: `snapshot?trailing_logs=${trailing || 0}` });
}

async function setTime(session: ShellSession): Promise<void> {
  await session.fetch({ method: "POST", path: "time" });
}

async function stepDown(session: ShellSession, id: string): Promise<void> {
  const body = id === "" ? {} : { body: JSON.stringify({ id }) };
  await session.fetch({ method: "POST", path: "leader?wait=true", ...body });
}

async function backup(session: ShellSession, file: string): Promise<void> {
  const { bytes } = await session.fetch({ method: "GET", path: "db/backup" });
  withFile(file, () => Deno.writeFileSync(file, bytes));
  session.print("backup file written successfully\n");
}

async function dump(session: ShellSession, argument: string): Promise<void> {
  const [file = "", tables] = argument.split(/\s+/, 2);
  const only = tables === undefined ? "" : `&tables=${encodeURIComponent(tables)}`;
  const { bytes } = await session.fetch({ method: "GET", path: `db/backup?fmt=sql${only}` });
  withFile(file, () => Deno.writeFileSync(file, bytes));
  session.print("SQL text file written successfully\n");
}

async function boot(session: ShellSession, file: string): Promise<void> {
  const body = withFile(file, () => Deno.readFileSync(file));
  if (!isSqliteFile(body)) throw new ShellError(`${file} is not an SQLite file`);
  await requireOpen(session);
  const contentType = "application/octet-stream";
  await session.fetch({ method: "POST", path: "boot", body, contentType, unlimited: true });
  session.print("Node booted successfully.\n");
}

async function restore(session: ShellSession, file: string): Promise<void> {
  const bytes = withFile(file, () => Deno.readFileSync(file));
  const foreignKeys = await requireOpen(session);
  if (isSqliteFile(bytes)) {
    const contentType = "application/octet-stream";
    await session.fetch({
      method: "POST",
      path: "db/load",
      body: bytes,
      contentType,
      unlimited: true,
    });
    session.print("Database restored successfully.\n");
    return;
  }
  // A dump switches foreign keys off; what the node has is put back behind it.
  const pragma = `\nPRAGMA foreign_keys=${foreignKeys ? "ON" : "OFF"};`;
  const answer = await session.fetch({
    method: "POST",
    path: "db/load",
    body: new TextDecoder().decode(bytes) + pragma,
    contentType: "text/plain",
    unlimited: true,
  });
  reportLoad(session, parseExactJson(answer.text));
}

function reportLoad(session: ShellSession, answer: Json): void {
  const results = memberOf(answer, "results");
  const first = Array.isArray(results) ? results[0] : undefined;
  const error = memberOf(answer, "error") ?? memberOf(first, "error");
  if (error !== undefined) throw new ShellError(plainText(error));
  session.print(`last inserted ID: ${plainText(memberOf(first, "last_insert_id")) || "0"}\n`);
  session.print(`rows affected: ${plainText(memberOf(first, "rows_affected")) || "0"}\n`);
  session.print("Database restored successfully.\n");
}

/** @returns whether the node enforces foreign keys. */
async function requireOpen(session: ShellSession): Promise<boolean> {
  const status = await session.fetchJson({ method: "GET", path: "status" });
  const store = memberOf(status, "store");
  if (store === undefined) throw new ShellError("the node does not know its store yet");
  return memberOf(memberOf(store, "sqlite3"), "fk_constraints") === "enabled";
}

async function readFile(session: ShellSession, file: string): Promise<void> {
  const text = withFile(file, () => Deno.readTextFileSync(file));
  for (const line of text.split("\n").map((each) => each.trim())) {
    if (line !== "" && !line.startsWith("--")) await session.runStatement(line);
  }
}

async function systemDump(session: ShellSession, file: string): Promise<void> {
  const all = await session.fetchJson({ method: "GET", path: "nodes" });
  let text = "";
  for (const [id, node] of isJsonObject(all) ? Object.entries(all) : []) {
    const origin = plainText(memberOf(node, "api_addr"));
    text += `${"=".repeat(20)} node ${id} ${origin}\n${formatExactJson(node)}\n`;
    if (origin === "") continue;
    for (const path of ["status?pretty", "nodes?pretty", "readyz", "debug/vars"]) {
      const answer = await session.client.send({ method: "GET", path, origin });
      text += `${"-".repeat(20)} /${path} (${answer.status})\n${answer.text}\n`;
    }
  }
  withFile(file, () => Deno.writeTextFileSync(file, text));
}

function isSqliteFile(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, 15)) === "SQLite format 3";
}

/** Uses a file; errors of the operating system become a line for the user. @throws {ShellError} */
export function withFile<Result>(file: string, use: () => Result): Result {
  try {
    return use();
  } catch (error) {
    if (error instanceof Error) throw new ShellError(`${file}: ${error.message}`, { cause: error });
    throw error;
  }
}
