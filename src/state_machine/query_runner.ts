/**
 * Runs the statements of one read request on a read-only connection and writes the array of their
 * results (the wire contract, section 6). On `/db/request` it first finds out whether they only read.
 *
 * Nothing here can change the database: the connection is read-only, statements that would write are
 * not even started, and their error is the wire's.
 * Not here: messages, streams and their credits (reader_worker.ts).
 */
import { OperatingError } from "../base/errors.ts";
import type { Statement as RequestStatement } from "../command/command.ts";
import { FORMAT, type ResultFormat } from "../command/request.ts";
import { ResultCode, SqliteError } from "../sqlite/errors.ts";
import { SqlText } from "../sqlite/sql_text.ts";
import type { Statement } from "../sqlite/statement.ts";
import { sqliteFailed } from "./fatal_reply.ts";
import type { JsonWriter } from "./json_writer.ts";
import { bindValues, type ValueList } from "./parameters.ts";
import {
  emptyResult,
  endWithError,
  errorResult,
  type RowSink,
  writeRows,
} from "./result_encoder.ts";
import { DML_KEYWORDS } from "./sql_keyword.ts";
import type { OwnStatement, SqlSession, StatementFacts } from "./sql_session.ts";
import { StatementError } from "./statement_error.ts";

/** What a write on the query path gets. */
export const WRITE_REFUSED = "attempt to change database via query operation";

const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const READ_KEYWORDS = new Set(["SELECT", "VALUES", "WITH", "EXPLAIN", "PRAGMA", ""]);
const NO_VALUES: ValueList = { positional: [], named: [], taken: 0 };

/** What the thread around the runner decides. */
export interface QueryHost {
  /** The document has grown; may send it off and clear the writer. @throws {QueryStopped} */
  onChunk(): void;
  /** Whether anything of the request's document has been sent off already. */
  readonly hasSent: boolean;
  /**
   * Why the request is to end, if it is: the text of the running statement's error.
   * @throws {QueryStopped} when nobody wants the answer any more.
   */
  stopMessage(): string | undefined;
  readonly nowMs: () => number;
}

/** The request is not wanted any more. */
export class QueryStopped extends Error {
  override readonly name = "QueryStopped";
}

/** See the file's header. One per reader. */
export class QueryRunner {
  readonly #session: SqlSession;
  readonly #json: JsonWriter;
  readonly #host: QueryHost;
  readonly #begin: OwnStatement;
  readonly #commit: OwnStatement;
  readonly #applied: OwnStatement;
  #stateIndex = 0;

  constructor(session: SqlSession, json: JsonWriter, host: QueryHost) {
    this.#session = session;
    this.#json = json;
    this.#host = host;
    this.#begin = session.own("BEGIN");
    this.#commit = session.own("COMMIT");
    this.#applied = session.own("SELECT applied_index FROM sqlite_dust_state WHERE id=1");
  }

  /** The last entry whose effects the request at hand shows; 0 when that could not be read. */
  get stateIndex(): number {
    return this.#stateIndex;
  }

  /** Whether all statements only read. What does not compile counts as a write (section 6.6). */
  isRead(statements: readonly RequestStatement[]): boolean {
    return statements.every(({ sql }) => {
      try {
        return this.#everyStatement(sql, (statement, facts) => isReading(statement, facts));
      } catch (error) {
        if (error instanceof StatementError) return false;
        if (error instanceof SqliteError && error.class !== "fatal") return false;
        throw error;
      }
    });
  }

  /** Writes the array of results. @throws {QueryStopped} @throws {FatalError} */
  run(
    statements: readonly RequestStatement[],
    options: { readonly format: ResultFormat },
  ): void {
    const json = this.#json;
    json.byte(OPEN_BRACKET);
    // One snapshot for all of it, and for the index that it is of.
    uninterrupted(() => this.#begin.run());
    try {
      this.#stateIndex = this.#readStateIndex();
      let isFirst = true;
      for (const statement of statements) {
        // The empty string has no result; blanks and comments have one (section 5.5).
        if (statement.sql === "") continue;
        if (!isFirst) json.byte(COMMA);
        isFirst = false;
        this.#string(statement, options.format);
      }
    } finally {
      uninterrupted(() => {
        if (!this.#session.connection.isAutocommit) this.#commit.run();
      });
    }
    json.byte(CLOSE_BRACKET);
  }

  #readStateIndex(): number {
    try {
      return uninterrupted(() => this.#applied.number());
    } catch (error) {
      // What hinders this hinders the statements too, and is their answer.
      if (error instanceof SqliteError && error.class !== "fatal") return 0;
      throw error;
    }
  }

  /** One string, one result. */
  #string(request: RequestStatement, format: ResultFormat): void {
    const json = this.#json;
    for (;;) {
      const start = json.size;
      const hadSent = this.#host.hasSent;
      try {
        return this.#result(request, format);
      } catch (error) {
        const message = this.#messageOf(error, request.sql);
        if (message === undefined) {
          // An interrupt that was meant for the query before (rule Q12): again, if still unseen.
          if (this.#host.hasSent !== hadSent) throw interruptedMidway();
          json.truncate(start);
          continue;
        }
        if (this.#host.hasSent !== hadSent) return endWithError(json, message);
        json.truncate(start);
        return json.raw(errorResult(message, format, { isQuery: true }));
      }
    }
  }

  #result(request: RequestStatement, format: ResultFormat): void {
    const { sql, positional, named } = request;
    const { statement, tail, isKept } = this.#session.compile(sql);
    if (statement === undefined) return this.#json.raw(emptyResult(format));
    try {
      const facts = this.#session.facts(statement);
      const values = positional.length === 0 && named.length === 0
        ? NO_VALUES
        : { positional, named, taken: 0 };
      if (facts.isWhole) this.#one(statement, facts, { values, format });
      else this.#last(sql, { statement, tail, values, format });
    } finally {
      if (isKept) statement.reset();
      else statement.finalize();
    }
  }

  /** A string of several statements: all are compiled, only the last is run (section 6.2). */
  #last(
    sql: string,
    first: {
      readonly statement: Statement;
      readonly tail: number;
      readonly values: ValueList;
      readonly format: ResultFormat;
    },
  ): void {
    const { values, format } = first;
    let last = first.statement;
    const script = new SqlText(sql);
    try {
      for (let from = first.tail; from < script.sizeBytes;) {
        const { statement, tail } = this.#session.compileNext(script, from);
        from = tail;
        if (statement === undefined) break;
        assertReading(last, this.#session.facts(last));
        // Each takes its own values, whether it is run or not.
        bindValues(last, this.#session.facts(last), values);
        if (last !== first.statement) last.finalize();
        last = statement;
      }
      this.#one(last, this.#session.facts(last), { values, format });
    } finally {
      if (last !== first.statement) last.finalize();
    }
  }

  #one(
    statement: Statement,
    facts: StatementFacts,
    run: { readonly values: ValueList; readonly format: ResultFormat },
  ): void {
    assertReading(statement, facts);
    bindValues(statement, facts, run.values);
    // Transaction control means nothing between reads of a pool (section 6.5).
    if (facts.control !== undefined) return this.#json.raw(emptyResult(run.format));
    const { nowMs } = this.#host;
    const startedMs = (run.format & FORMAT.timings) === 0 ? 0 : nowMs();
    const onChunk = (): void => this.#host.onChunk();
    const sink: RowSink = (run.format & FORMAT.timings) === 0
      ? { onChunk }
      : { onChunk, elapsedSeconds: () => (nowMs() - startedMs) / 1000 };
    writeRows(this.#json, statement, { format: run.format, sink });
  }

  #everyStatement(
    sql: string,
    holds: (statement: Statement, facts: StatementFacts) => boolean,
  ): boolean {
    if (sql === "") return true;
    const { statement, tail, isKept } = this.#session.compile(sql);
    if (statement === undefined) return true;
    try {
      const facts = this.#session.facts(statement);
      if (!holds(statement, facts)) return false;
      if (facts.isWhole) return true;
    } finally {
      if (!isKept) statement.finalize();
    }
    const script = new SqlText(sql);
    for (let from = tail; from < script.sizeBytes;) {
      const next = this.#session.compileNext(script, from);
      from = next.tail;
      if (next.statement === undefined) break;
      using compiled = next.statement;
      if (!holds(compiled, this.#session.facts(compiled))) return false;
    }
    return true;
  }

  /** @returns the statement's error, or undefined when it was interrupted for no reason of its own. */
  #messageOf(error: unknown, sql: string): string | undefined {
    if (error instanceof StatementError) return error.message;
    if (!(error instanceof SqliteError)) throw error;
    switch (error.class) {
      case "result":
        return isRefusedWrite(error, sql) ? WRITE_REFUSED : error.message;
      case "readonly":
        return WRITE_REFUSED;
      case "interrupted":
        return this.#host.stopMessage();
      case "busy":
        return error.message;
      default:
        // A query may ask for more memory than there is; that is no fault of the file.
        if (error.extendedCode === ResultCode.NOMEM) return error.message;
        throw sqliteFailed("read", error);
    }
  }
}

/**
 * Runs a statement of ours until no interrupt hits it: those are meant for a client's (rule Q12), and
 * each ends what runs at that moment only.
 */
function uninterrupted<T>(work: () => T): T {
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof SqliteError) || error.class !== "interrupted") throw error;
    }
  }
}

/** EXPLAIN of a write reads; so do pragmas without a value, whatever SQLite thinks of them. */
function isReading(statement: Statement, facts: StatementFacts): boolean {
  if (statement.explain !== 0) return true;
  const { pragma } = facts;
  if (pragma === undefined) return statement.isReadonly;
  if (pragma.value === undefined) return true;
  // A replicated setting is set through the log.
  return statement.isReadonly && pragma.name !== "foreign_keys";
}

/** Pragmas are left to SQLite: it refuses those that write. @throws {StatementError} */
function assertReading(statement: Statement, facts: StatementFacts): void {
  if (statement.isReadonly || statement.explain !== 0 || facts.pragma !== undefined) return;
  throw new StatementError(WRITE_REFUSED);
}

/** What the authorizer refuses is answered like any other write, if it is one. */
function isRefusedWrite(error: SqliteError, sql: string): boolean {
  if ((error.extendedCode & 0xff) !== ResultCode.AUTH) return false;
  const keyword = /^[\s;]*([a-z]+)/i.exec(sql)?.[1]?.toUpperCase() ?? "";
  return DML_KEYWORDS.has(keyword) ? keyword !== "WITH" : !READ_KEYWORDS.has(keyword);
}

function interruptedMidway(): OperatingError {
  return new OperatingError("internal", "Cannot finish the answer: the query was interrupted");
}
