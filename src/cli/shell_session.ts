/**
 * One session of the shell: its settings, and what a line means. A line is a dot command
 * (shell_commands.ts), `quit` or `exit`, or one SQL statement for POST /db/request.
 * What a line leads to is printed; a failure is printed too and ends only that line.
 */
import { elementsOf, type Json, memberOf, parseExactJson, plainText } from "./exact_json.ts";
import { formatTable, type ResultMode, type ResultTable, tableOf } from "./result_text.ts";
import { type ShellAnswer, type ShellRequest, ShellRequestError } from "./shell_client.ts";

/** The read levels that the shell offers. */
export const SHELL_LEVELS = ["none", "weak", "linearizable", "strong"] as const;

/** What `.show` shows. */
export interface ShellSettings {
  mode: ResultMode;
  level: typeof SHELL_LEVELS[number];
  timer: boolean;
  changes: boolean;
  forceWrites: boolean;
  blobArray: boolean;
  /** File that results go to; undefined: the terminal. */
  outputFile: string | undefined;
}

/** Where text goes: `print` to people and pipes, `appendFile` for `.output`. */
export interface ShellOutput {
  readonly print: (text: string) => void;
  readonly appendFile: (path: string, text: string) => void;
}

/** The node, as the session uses it; `ShellClient` is one. */
export interface ShellConnection {
  readonly address: string;
  send(request: ShellRequest): Promise<ShellAnswer>;
}

/** A failure of a line, for the user. */
export class ShellError extends Error {
  override readonly name = "ShellError";
}

/** Runs a dot command; @returns false when the shell shall end. */
export type DotCommandRunner = (session: ShellSession, line: string) => Promise<boolean>;

/** State and printing of one shell. */
export class ShellSession {
  readonly client: ShellConnection;
  readonly settings: ShellSettings = {
    mode: "column",
    level: "weak",
    timer: false,
    changes: false,
    forceWrites: false,
    blobArray: false,
    outputFile: undefined,
  };
  readonly #output: ShellOutput;
  readonly #runDotCommand: DotCommandRunner;

  constructor(options: {
    readonly client: ShellConnection;
    readonly output: ShellOutput;
    readonly runDotCommand: DotCommandRunner;
  }) {
    this.client = options.client;
    this.#output = options.output;
    this.#runDotCommand = options.runDotCommand;
  }

  /** Runs one line of input. @returns false when it ends the shell. */
  async runLine(input: string): Promise<boolean> {
    const line = input.trim();
    if (line === "") return true;
    if (/^(quit|exit)$/i.test(line)) return false;
    try {
      if (line.startsWith(".")) return await this.#runDotCommand(this, line);
      await this.runStatement(line);
    } catch (error) {
      if (!(error instanceof ShellRequestError || error instanceof ShellError)) throw error;
      this.print(`ERR! ${error.message}\n`);
    }
    return true;
  }

  /** Runs one statement and prints its result. */
  async runStatement(sql: string): Promise<void> {
    const { forceWrites, timer, level } = this.settings;
    const parameters = [...(forceWrites ? [] : [`level=${level}`]), ...(timer ? ["timings"] : [])];
    const path = `db/${forceWrites ? "execute" : "request"}`;
    const query = parameters.length === 0 ? "" : `?${parameters.join("&")}`;
    const answer = await this.fetch({
      method: "POST",
      path: path + query,
      body: JSON.stringify([sql]),
    });
    this.#printResult(singleResult(answer));
  }

  /** Runs a query of the shell's own at the session's level. */
  async query(sql: string): Promise<ResultTable> {
    const { level, blobArray } = this.settings;
    const answer = await this.fetch({
      method: "POST",
      path: `db/query?level=${level}${blobArray ? "&blob_array" : ""}`,
      body: JSON.stringify([sql]),
    });
    const result = singleResult(answer);
    const error = memberOf(result, "error");
    if (error !== undefined) throw new ShellError(plainText(error));
    return tableOf(result) ?? { columns: [], rows: [] };
  }

  /** Sends a request and wants a 2xx answer. @throws {ShellError} with the node's text otherwise. */
  async fetch(request: ShellRequest): Promise<ShellAnswer> {
    const answer = await this.client.send(request);
    if (answer.status >= 200 && answer.status < 300) return answer;
    const text = answer.text.trim();
    throw new ShellError(`status ${answer.status}${text === "" ? "" : `: ${text}`}`);
  }

  /** As `fetch`, the body parsed. @throws {ShellError} when it is not JSON. */
  async fetchJson(request: ShellRequest): Promise<Json> {
    return parseAnswer((await this.fetch(request)).text);
  }

  /** To the terminal, or whoever reads the shell's output. */
  print(text: string): void {
    this.#output.print(text);
  }

  /** Results go where `.output` says. */
  printResult(text: string): void {
    const { outputFile } = this.settings;
    if (outputFile === undefined) this.print(text);
    else this.#output.appendFile(outputFile, text);
  }

  /** Prints a table in the session's mode. */
  printTable(table: ResultTable): void {
    this.printResult(formatTable(table, this.settings.mode));
  }

  #printResult(result: Json): void {
    const error = memberOf(result, "error");
    if (error !== undefined) {
      this.print(`Error: ${plainText(error)}\n`);
      return;
    }
    const seconds = this.settings.timer
      ? Number(plainText(memberOf(result, "time"))) || 0
      : undefined;
    const table = tableOf(result);
    if (table !== undefined) {
      this.printTable(table);
      if (seconds !== undefined) this.printResult(`Run Time: ${seconds.toFixed(6)} seconds\n`);
      return;
    }
    const rows = plainText(memberOf(result, "rows_affected")) || "0";
    const took = seconds === undefined ? "" : ` (${seconds.toFixed(6)} sec)`;
    this.printResult(`${rows} row${Number(rows) > 1 ? "s" : ""} affected${took}\n`);
    if (this.settings.changes) {
      this.printResult(`last insert ID: ${plainText(memberOf(result, "last_insert_id")) || "0"}\n`);
    }
  }
}

/** The only result of an answer. */
function singleResult(answer: ShellAnswer): Json {
  const body = parseAnswer(answer.text);
  const error = memberOf(body, "error");
  if (error !== undefined) throw new ShellError(plainText(error));
  const results = elementsOf(memberOf(body, "results"));
  const [result] = results;
  if (result === undefined || results.length !== 1) {
    throw new ShellError(`expected one result, got ${results.length}`);
  }
  return result;
}

function parseAnswer(text: string): Json {
  try {
    return parseExactJson(text);
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new ShellError(`answer is not JSON: ${text.slice(0, 200)}`, { cause: error });
    }
    throw error;
  }
}
