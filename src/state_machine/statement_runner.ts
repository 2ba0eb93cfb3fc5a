/**
 * Runs one bound statement of a log entry and sorts how it ended (rules A1, A3, A4, A4c).
 *
 * A result is returned, or thrown as SqliteError or StatementError; what must not be a result is
 * thrown as Interruption (the batch starts over) or FatalError (the node stops).
 * Not here: the answer's text (entry_runner.ts), transactions of users (savepoints.ts).
 */
import { FORMAT, type ResultFormat } from "../command/request.ts";
import { ResultCode, SqliteError } from "../sqlite/errors.ts";
import { hasDeferredForeignKeys } from "../sqlite/settings.ts";
import type { Statement } from "../sqlite/statement.ts";
import { sqliteFailed } from "./fatal_reply.ts";
import { Interruption, type KnownFailure } from "./interruption.ts";
import { ENTRY_RESULT_BYTES_MAX } from "./replicated_limits.ts";
import { errorResult, type RowSink, writeRows } from "./result_encoder.ts";
import { FOREIGN_KEY_MESSAGE } from "./savepoints.ts";
import type { Pragma } from "./sql_authorizer.ts";
import type { StatementFacts } from "./sql_session.ts";
import { StatementError, UnshowableValueError } from "./statement_error.ts";
import type { WriterContext } from "./writer_context.ts";

/** How to run a statement. */
export interface StatementOptions {
  /** Undefined when nobody here waits for the answer. */
  readonly format: ResultFormat | undefined;
  /** Counts the statements of the entry from 0. */
  readonly number: number;
  /** Not within a transaction of the client: it commits by itself. */
  readonly isLoose: boolean;
  /** Whether it answers with rows. */
  readonly isQuery: boolean;
}

/** What came of it: a result with rows, or nothing, in which case the counters are the result. */
export interface StatementOutcome {
  readonly rows: string | undefined;
  /** With `FORMAT.timings`. */
  readonly seconds: number | undefined;
}

/** See the file's header. One per writer. */
export class StatementRunner {
  readonly #context: WriterContext;

  constructor(context: WriterContext) {
    this.#context = context;
  }

  /**
   * Whether a statement answers with rows: what changes rows and returns some, always; what only
   * reads, when the request asked for rows (the wire contract, sections 5.2, 6.6, 6.7).
   */
  isQuery(
    statement: Statement,
    facts: StatementFacts,
    options: { readonly isRows: boolean },
  ): boolean {
    if (facts.isDml && statement.explain === 0) return statement.columnCount > 0;
    if (!options.isRows) return false;
    return statement.columnCount > 0 || statement.isReadonly;
  }

  /** Runs it to its end. @throws as the header says. */
  run(statement: Statement, facts: StatementFacts, options: StatementOptions): StatementOutcome {
    const context = this.#context;
    const isGuarded = this.#isGuarded(statement, options);
    const startedMs = this.#hasTimings(options) ? context.nowMs() : 0;
    if (facts.pragma !== undefined) this.#notePragma(facts.pragma);
    if (isGuarded) context.savepoints.open("statement");
    let rows: string | undefined;
    try {
      if (options.isQuery) rows = this.#rows(statement, { options, startedMs });
      else this.#drain(statement);
    } catch (error) {
      this.#fail(statement, facts, { error, options, isGuarded });
    }
    statement.reset();
    context.budget.close(statement);
    this.#remember(facts);
    if (context.budget.isExhausted) throw new Interruption({ kind: "exhausted" });
    if (isGuarded) this.#closeGuard(options);
    const seconds = this.#hasTimings(options) ? (context.nowMs() - startedMs) / 1000 : undefined;
    return { rows, seconds };
  }

  #notePragma(pragma: Pragma): void {
    if (pragma.value === undefined) return;
    this.#context.hasWritten = true;
    if (pragma.name === "defer_foreign_keys") this.#context.hasDeferredKeys = true;
  }

  /** What an earlier try has found out about a statement that ends the transaction (rule A4c). */
  repeatFailure(known: KnownFailure, facts: StatementFacts): StatementError {
    const { record, session } = this.#context;
    this.#context.hasWritten = true;
    session.connection.setLastInsertRowid(known.lastInsertRowid);
    if (known.lastInsertRowid !== 0) record.lastInsertId = known.lastInsertRowid;
    if (facts.isDml) record.rowsAffected = known.changes;
    return new StatementError(known.message);
  }

  /** The text of an error that is a result. @throws {Interruption} @throws {FatalError} for all others. */
  messageOf(error: unknown): string {
    if (error instanceof StatementError) return error.message;
    if (error instanceof SqliteError) {
      if (isResultOfStatement(error)) return error.message;
      throw notAResult(error);
    }
    throw error;
  }

  /** A savepoint is needed where a statement that ran may have to be undone. */
  #isGuarded(statement: Statement, options: StatementOptions): boolean {
    if (statement.isReadonly) return false;
    return options.isQuery || (options.isLoose && this.#context.record.foreignKeys);
  }

  #closeGuard(options: StatementOptions): void {
    const { savepoints, session } = this.#context;
    // RELEASE does not look at deferred keys, and the batch's COMMIT would take innocents with it (A1).
    if (options.isLoose && hasDeferredForeignKeys(session.connection)) {
      savepoints.rollback("statement");
      throw new StatementError(FOREIGN_KEY_MESSAGE);
    }
    savepoints.release("statement");
  }

  #drain(statement: Statement): void {
    let code = statement.stepCode();
    while (code === ResultCode.ROW) code = statement.stepCode();
    if (code !== ResultCode.DONE) throw statement.connection.lastError(code);
  }

  /** All rows as text, and into the digest, which must not depend on who waits. */
  #rows(
    statement: Statement,
    run: { readonly options: StatementOptions; readonly startedMs: number },
  ): string {
    const { json, digest, nowMs } = this.#context;
    const { format } = run.options;
    // What EXPLAIN shows depends on this connection's past: it is answered, and not compared.
    const onRow = statement.explain === 0 ? (): void => this.#countRow(statement) : (): void => {};
    json.clear();
    if (format === undefined) {
      while (statement.step()) onRow();
      digest.end();
      return "";
    }
    const sink: RowSink = this.#hasTimings(run.options)
      ? { onRow, elapsedSeconds: () => (nowMs() - run.startedMs) / 1000 }
      : { onRow };
    let text: string;
    try {
      writeRows(json, statement, { format, sink });
      text = json.text();
    } catch (error) {
      // How a value is shown is not the state's business: the statement has succeeded all the same.
      if (!(error instanceof UnshowableValueError)) throw error;
      while (statement.step()) onRow();
      text = errorResult(error.message, format, { isQuery: true });
    }
    digest.end();
    return text;
  }

  #countRow(statement: Statement): void {
    const context = this.#context;
    // Its columns are counted now: the first step may have compiled it anew for a changed schema.
    context.resultBytes += context.digest.row(statement, statement.columnCount);
    if (context.resultBytes > ENTRY_RESULT_BYTES_MAX) {
      throw new StatementError(
        `result is too large: the rows of one write may have ${ENTRY_RESULT_BYTES_MAX} bytes`,
      );
    }
  }

  #fail(
    statement: Statement,
    facts: StatementFacts,
    failure: {
      readonly error: unknown;
      readonly options: StatementOptions;
      readonly isGuarded: boolean;
    },
  ): never {
    const { budget, savepoints, session } = this.#context;
    const { error } = failure;
    statement.reset();
    budget.close(statement);
    const message = this.messageOf(error);
    if (hasSurelyRun(error)) this.#remember(facts);
    const { connection } = session;
    if (connection.isAutocommit) {
      throw new Interruption({
        kind: "rolled_back",
        failure: {
          statement: failure.options.number,
          message,
          lastInsertRowid: connection.lastInsertRowid,
          changes: connection.changes,
        },
      });
    }
    if (budget.isExhausted) throw new Interruption({ kind: "exhausted" });
    // OR FAIL keeps what it did before it failed, unless that violates a key put off until the commit.
    if (failure.isGuarded) {
      const isKept = error instanceof SqliteError && !hasDeferredForeignKeys(connection);
      if (isKept) savepoints.release("statement");
      else savepoints.rollback("statement");
    }
    throw error;
  }

  /** Keeps what answers show for statements that set neither number (section 5.2). */
  #remember(facts: StatementFacts): void {
    if (!facts.isDml) return;
    const { record, session } = this.#context;
    const { connection } = session;
    const rowid = connection.lastInsertRowid;
    if (rowid !== 0) record.lastInsertId = rowid;
    record.rowsAffected = connection.changes;
  }

  #hasTimings(options: StatementOptions): boolean {
    return ((options.format ?? 0) & FORMAT.timings) !== 0;
  }
}

/**
 * Whether an error of a client's statement within the batch's transaction is its result. That one holds
 * every lock, so BUSY and LOCKED mean that the statement is in its own way, as optimize() of FTS3 is
 * within an INSERT: tried again it would be so for ever.
 */
export function isResultOfStatement(error: SqliteError): boolean {
  return error.class === "result" || error.class === "busy";
}

/**
 * Whether an error cannot have come from compiling the statement, which a cached one meets when it runs
 * and a fresh one before: the counters must not tell the two apart.
 */
function hasSurelyRun(error: unknown): boolean {
  if (!(error instanceof SqliteError)) return false;
  const code = error.extendedCode & 0xff;
  return code !== ResultCode.ERROR && code !== ResultCode.AUTH;
}

/** An error that says something about this node rather than about the statement (rule A3). */
export function notAResult(error: SqliteError): Error {
  switch (error.class) {
    case "interrupted":
      return new Interruption({ kind: "exhausted" });
    case "busy":
      return new Interruption({ kind: "busy" });
    case "full":
      return new Interruption({ kind: "full" });
    default:
      return sqliteFailed("apply", error);
  }
}
