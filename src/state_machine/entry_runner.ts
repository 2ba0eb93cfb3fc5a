/**
 * Runs one log entry inside the batch's open transaction and words its answer (rules A1 to A4c, Q6).
 *
 * Whatever ends the transaction, or must not be decided here, is an `Interruption`: the batch starts
 * over from its last commit, and knows more then. Everything else is a result, the same everywhere.
 * Not here: transactions and their recovery (batch_runner.ts), one statement (statement_runner.ts).
 */
import { FLAG } from "../command/command_format.ts";
import type { CommandReader } from "../command/command_reader.ts";
import type { ResultFormat } from "../command/request.ts";
import { hasDeferredForeignKeys } from "../sqlite/settings.ts";
import { SqlText } from "../sqlite/sql_text.ts";
import type { Statement } from "../sqlite/statement.ts";
import { Interruption, type KnownFailure } from "./interruption.ts";
import { bindFromCommand, bindValues, readValues } from "./parameters.ts";
import { emptyResult, errorResult, executeResult } from "./result_encoder.ts";
import { FOREIGN_KEY_MESSAGE, UserTransaction } from "./savepoints.ts";
import type { StatementFacts } from "./sql_session.ts";
import type { EntryResult } from "../node/ports.ts";
import type { StatementRunner } from "./statement_runner.ts";
import { StatementError } from "./statement_error.ts";
import type { WriterContext } from "./writer_context.ts";

/** How to run an entry. */
export interface EntryOptions {
  /** Undefined when nobody here waits for the answer. */
  readonly format: ResultFormat | undefined;
  readonly failures: readonly KnownFailure[];
}

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** See the file's header. One per writer. */
export class EntryRunner {
  readonly #context: WriterContext;
  readonly #runner: StatementRunner;
  #results: string[] = [];
  /** Where the result of the open BEGIN or outermost SAVEPOINT stands. */
  #begunAt = 0;
  #statementCount = 0;
  readonly #user: UserTransaction;
  #options: EntryOptions = { format: 0, failures: [] };
  #isTransaction = false;
  #isRows = false;
  #command = { statementCount: 0 };

  constructor(context: WriterContext, runner: StatementRunner) {
    this.#context = context;
    this.#runner = runner;
    this.#user = new UserTransaction(context.session.connection, context.savepoints);
  }

  /**
   * Runs the execute command at which `reader` was opened.
   * @throws {Interruption} when the transaction is gone or must be given up.
   */
  run(command: CommandReader, bytes: Uint8Array, options: EntryOptions): EntryResult {
    this.#options = options;
    this.#command = command;
    this.#results = [];
    this.#statementCount = 0;
    this.#isTransaction = (command.flags & FLAG.transaction) !== 0;
    this.#isRows = (command.flags & FLAG.rows) !== 0;
    this.#user.reset({ isEnclosed: this.#isTransaction });
    const refusal = this.#checkPrecondition(command);
    if (refusal !== undefined) return refusal;
    return this.#isTransaction
      ? this.#transaction(command, bytes)
      : this.#statements(command, bytes);
  }

  /** For wording; when nobody waits it does not matter. */
  get #format(): ResultFormat {
    return this.#options.format ?? 0;
  }

  /** The answer of a VACUUM that was run outside; `failure` is its error's text. */
  answerVacuum(failure: string | undefined, format: ResultFormat | undefined): EntryResult {
    this.#options = { format, failures: [] };
    if (failure === undefined) return `[${this.#counters(undefined)}]`;
    this.#context.digest.error(failure);
    return `[${errorResult(failure, this.#format, { isQuery: false })}]`;
  }

  #checkPrecondition(command: CommandReader): EntryResult | undefined {
    const limit = command.lastWriteIndexMax;
    if (limit === undefined || this.#context.record.lastWriteIndex <= limit) return undefined;
    return { error: "precondition failed: the database has changed since" };
  }

  #statements(command: CommandReader, bytes: Uint8Array): EntryResult {
    while (command.nextStatement()) this.#string(command, bytes);
    if (this.#user.isOpen) this.#rollbackOpen();
    return this.#text();
  }

  /** The first error rolls back and stops; what was listed before it stays listed (section 6.4). */
  #transaction(command: CommandReader, bytes: Uint8Array): EntryResult {
    const { savepoints, session } = this.#context;
    savepoints.open("entry");
    let isFailed = false;
    while (!isFailed && command.nextStatement()) isFailed = !this.#string(command, bytes);
    const isViolated = !isFailed && hasDeferredForeignKeys(session.connection);
    if (!isFailed && !isViolated) {
      savepoints.release("entry");
      return this.#text();
    }
    savepoints.rollback("entry");
    return isViolated ? { error: FOREIGN_KEY_MESSAGE } : this.#text();
  }

  #text(): string {
    return this.#results.length === 1 ? `[${this.#results[0]}]` : `[${this.#results.join(",")}]`;
  }

  /** One string of SQL, one result. @returns false when it failed. */
  #string(command: CommandReader, bytes: Uint8Array): boolean {
    if (command.sqlTo === command.sqlFrom) return true;
    const at = this.#results.length;
    const wasOpen = this.#user.isOpen;
    const result = this.#stringResult(command, bytes);
    if (!wasOpen && this.#user.isOpen) this.#begunAt = at;
    this.#results.push(result.text);
    return result.isOk;
  }

  #stringResult(
    command: CommandReader,
    bytes: Uint8Array,
  ): { readonly text: string; readonly isOk: boolean } {
    const { session } = this.#context;
    // Counted before it is compiled: whether an error comes then or when it runs is the cache's affair.
    const number = this.#statementCount++;
    const sql = UTF8.decode(bytes.subarray(command.sqlFrom, command.sqlTo));
    let isQuery = false;
    try {
      const { statement, tail, isKept } = session.compile(sql);
      if (statement === undefined) return { text: this.#empty(), isOk: true };
      try {
        const facts = session.facts(statement);
        isQuery = this.#runner.isQuery(statement, facts, { isRows: this.#isRows });
        const kept = isKept ? sql : undefined;
        if (!facts.isWhole) {
          const text = this.#several(sql, { command, bytes, statement, tail, number, kept });
          return { text, isOk: true };
        }
        this.#ready(statement, facts, {
          kept,
          bind: () => bindFromCommand(statement, facts, { reader: command, bytes }),
        });
        return { text: this.#one(statement, facts, number), isOk: true };
      } finally {
        if (!isKept) statement.finalize();
      }
    } catch (error) {
      const message = this.#runner.messageOf(error);
      const { digest, isNamed } = this.#context;
      digest.error(message);
      // Whether what cannot be compiled was a query is known only of statements that the cache holds.
      const text = errorResult(message, this.#format, { isQuery: isQuery && !isNamed });
      return { text, isOk: false };
    }
  }

  /** A string of several statements: all run, the last one's result counts (section 6.2). */
  #several(
    sql: string,
    first: {
      readonly command: CommandReader;
      readonly bytes: Uint8Array;
      readonly statement: Statement;
      readonly tail: number;
      readonly number: number;
      readonly kept: string | undefined;
    },
  ): string {
    const { session } = this.#context;
    const values = readValues(first.command, first.bytes);
    const facts = session.facts(first.statement);
    const bind = (): void => bindValues(first.statement, facts, values);
    this.#ready(first.statement, facts, { kept: first.kept, bind });
    let text = this.#one(first.statement, facts, first.number);
    const script = new SqlText(sql);
    for (let from = first.tail; from < script.sizeBytes;) {
      const number = this.#statementCount++;
      const { statement, tail } = session.compileNext(script, from);
      from = tail;
      if (statement === undefined) break;
      using running = statement;
      const runningFacts = session.facts(running);
      const bind = (): void => bindValues(running, runningFacts, values);
      this.#ready(running, runningFacts, { kept: undefined, bind });
      text = this.#one(running, runningFacts, number);
    }
    return text;
  }

  /**
   * Binds, and refuses what may not run in this entry. A statement that was `kept`, under its SQL, may no
   * longer compile; a fresh one would have failed by that, so that error comes first here, too.
   */
  #ready(
    statement: Statement,
    facts: StatementFacts,
    options: { readonly kept: string | undefined; readonly bind: () => void },
  ): void {
    try {
      options.bind();
      const isQuery = this.#runner.isQuery(statement, facts, { isRows: this.#isRows });
      if (this.#context.isNamed && isQuery && statement.explain !== 0) {
        throw new StatementError("cannot EXPLAIN in a write that is answered once and for all");
      }
    } catch (error) {
      if (options.kept !== undefined) this.#context.session.checkCompiles(options.kept);
      throw error;
    }
  }

  /** Runs one statement that is bound, and words its result. @throws what makes it fail. */
  #one(statement: Statement, facts: StatementFacts, number: number): string {
    const known = this.#options.failures.find((failure) => failure.statement === number);
    if (known !== undefined) {
      // What such a failure undoes is the client's own transaction, if there is one.
      this.#user.rollback();
      throw this.#runner.repeatFailure(known, facts);
    }
    const isLoose = !this.#isTransaction && !this.#user.isOpen;
    if (facts.control !== undefined) {
      this.#user.run(facts.control);
      return this.#isRows ? this.#empty() : this.#counters(undefined);
    }
    if (facts.pragma?.name === "foreign_keys" && facts.pragma.value !== undefined) {
      // As in SQLite it does nothing within a transaction.
      if (isLoose) this.#context.setForeignKeys({ isOn: isTrue(facts.pragma.value) });
      return this.#isRows ? this.#empty() : this.#counters(undefined);
    }
    if (facts.keyword === "VACUUM") {
      // Nothing behind it, and nothing before it: not in its string, nor in another one.
      this.#refuseVacuum({ isLoose, isOnly: facts.isWhole && number === 0 });
    }
    const outcome = this.#runner.run(statement, facts, {
      format: this.#options.format,
      number,
      isLoose,
      isQuery: this.#runner.isQuery(statement, facts, { isRows: this.#isRows }),
    });
    return outcome.rows ?? this.#counters(outcome.seconds);
  }

  #counters(seconds: number | undefined): string {
    const { record, digest } = this.#context;
    digest.counters(record.lastInsertId, record.rowsAffected);
    return executeResult(record, this.#format, seconds);
  }

  #empty(): string {
    this.#context.digest.end();
    return this.#isRows ? emptyResult(this.#format) : "{}";
  }

  /** @throws {Interruption} when it is alone in its entry, as it must be. */
  #refuseVacuum(options: { readonly isLoose: boolean; readonly isOnly: boolean }): never {
    const isAlone = options.isLoose && options.isOnly && this.#command.statementCount === 1;
    if (isAlone) throw new Interruption({ kind: "outside" });
    throw new StatementError("cannot VACUUM from within a transaction");
  }

  #rollbackOpen(): void {
    this.#user.rollback();
    const message = "transaction was rolled back: it was still open at the end of the request";
    this.#context.digest.error(message);
    this.#results[this.#begunAt] = errorResult(message, this.#format, { isQuery: false });
  }
}

/** SQLite's reading of a pragma's boolean. */
function isTrue(value: string): boolean {
  return /^(?:on|yes|true|extra|full|[1-9]\d*)$/i.test(value);
}
