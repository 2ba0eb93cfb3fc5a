/**
 * One connection with everything a client's SQL passes through on it: the authorizer, the cache of
 * statements, and what is known of each statement without running it.
 *
 * A string of SQL is a `SqlScript`: its statements are compiled one after the other, each after the
 * one before has run, because that may have made the table that this one needs.
 * Not here: what happens around a statement (entry_runner.ts in writes, query_runner.ts in reads).
 */
import { assert } from "../base/assert.ts";
import { OperatingError } from "../base/errors.ts";
import type { Connection } from "../sqlite/connection.ts";
import { SqliteError } from "../sqlite/errors.ts";
import { SqlText } from "../sqlite/sql_text.ts";
import type { Statement } from "../sqlite/statement.ts";
import type { BindValue, ReadValue } from "../sqlite/values.ts";
import { StatementCache } from "../sqlite/statement_cache.ts";
import { STATEMENTS_CACHED_MAX } from "./limits.ts";
import { type Control, OWN_PREFIX, type Pragma, SqlAuthorizer } from "./sql_authorizer.ts";
import { DML_KEYWORDS, firstKeyword } from "./sql_keyword.ts";
import { StatementError } from "./statement_error.ts";

/** What a statement is, known once it is compiled. */
export interface StatementFacts {
  /** First word, in upper case. */
  readonly keyword: string;
  /** INSERT, UPDATE, DELETE, REPLACE, also behind WITH: what sets `changes()`. */
  readonly isDml: boolean;
  /** May change the schema, or statistics that the planner uses (rule Q5). */
  readonly touchesSchema: boolean;
  readonly control: Control | undefined;
  readonly pragma: Pragma | undefined;
  /** Nothing but blanks and semicolons follows in the string. */
  readonly isWhole: boolean;
  /** Numbers of the parameters that a name stands for, its prefix left out; made when names are first bound. */
  parameters: ReadonlyMap<string, readonly number[]> | undefined;
}

const HARMLESS = new Set([
  ...DML_KEYWORDS,
  "SELECT",
  "VALUES",
  "EXPLAIN",
  "BEGIN",
  "COMMIT",
  "END",
  "ROLLBACK",
  "SAVEPOINT",
  "RELEASE",
  "PRAGMA",
  "",
]);
const NOTHING_MORE = /^[\s;]*$/;

/** The facts about each statement that is alive. */
const factsOf = new WeakMap<Statement, StatementFacts>();

/**
 * A statement of ours that is run again and again. SQLite asks the authorizer each time it compiles one
 * anew, which may be at any run.
 */
export class OwnStatement {
  readonly #statement: Statement;
  readonly #authorizer: SqlAuthorizer;

  constructor(statement: Statement, authorizer: SqlAuthorizer) {
    this.#statement = statement;
    this.#authorizer = authorizer;
  }

  /** Binds, runs to the end, resets. @throws {SqliteError} */
  run(...values: readonly BindValue[]): void {
    this.#authorizer.isTrusted = true;
    try {
      if (values.length > 0) this.#statement.bindAll(values);
      this.#statement.run();
    } finally {
      this.#authorizer.isTrusted = false;
    }
  }

  /** The number that the only row holds. @throws {SqliteError} */
  number(): number {
    this.#authorizer.isTrusted = true;
    try {
      assert(this.#statement.step(), "OwnStatement: no row");
      return this.#statement.columnReal(0);
    } finally {
      this.#statement.reset();
      this.#authorizer.isTrusted = false;
    }
  }

  /** Binds, reads all rows, resets. @throws {SqliteError} */
  rows(...values: readonly BindValue[]): ReadValue[][] {
    this.#authorizer.isTrusted = true;
    try {
      return this.#statement.all(...values);
    } finally {
      this.#authorizer.isTrusted = false;
    }
  }
}

/** See the file's header. */
export class SqlSession {
  readonly connection: Connection;
  readonly authorizer: SqlAuthorizer;
  readonly cache: StatementCache;
  /** Set when a statement that may change the schema was compiled, even in vain; cleared by its reader. */
  schemaTouched = false;

  constructor(
    connection: Connection,
    options: {
      readonly isWriter: boolean;
      /** STATEMENTS_CACHED_MAX unless told. */
      readonly statementsCachedMax?: number | undefined;
    },
  ) {
    this.connection = connection;
    const { statementsCachedMax = STATEMENTS_CACHED_MAX } = options;
    this.cache = new StatementCache(connection, statementsCachedMax);
    this.authorizer = new SqlAuthorizer(connection, options);
  }

  /** Prepares a statement of our own, to be kept. */
  own(sql: string): OwnStatement {
    return new OwnStatement(this.trusted(() => this.connection.prepare(sql)), this.authorizer);
  }

  /** Runs `work` with statements of our own, which the authorizer lets pass. */
  trusted<T>(work: () => T): T {
    this.authorizer.isTrusted = true;
    try {
      return work();
    } finally {
      this.authorizer.isTrusted = false;
    }
  }

  /**
   * Rule Q5. A rolled-back CREATE is what makes SQLite forget the schema and its statistics; the name
   * is one that no client has, found by trying.
   */
  reloadSchema(): void {
    this.trusted(() => {
      this.connection.exec("SAVEPOINT dust_reset");
      for (let attempt = 0;; attempt++) {
        try {
          this.connection.exec(`CREATE TABLE dust_reset_${attempt}(x)`);
          break;
        } catch (error) {
          if (!(error instanceof SqliteError) || error.class !== "result") throw error;
        }
      }
      this.connection.exec("ROLLBACK TO dust_reset; RELEASE dust_reset");
    });
  }

  /** The facts about a statement that a script gave. */
  facts(statement: Statement): StatementFacts {
    const facts = factsOf.get(statement);
    if (facts === undefined) throw new TypeError("SqlSession.facts: not one of its statements");
    return facts;
  }

  /** Compiles the first statement of a string. @throws {SqliteError} @throws {StatementError} */
  compile(
    sql: string,
  ): {
    readonly statement: Statement | undefined;
    readonly tail: number;
    readonly isKept: boolean;
  } {
    const prepared = this.#guarded(() => sql, () => this.cache.prepare(sql));
    const { statement, tail } = prepared;
    if (statement === undefined) return prepared;
    const facts = factsOf.get(statement) ??
      this.#learn(statement, isRestEmpty(sql, tail));
    if (facts.touchesSchema) this.schemaTouched = true;
    else if (statement.explain === 0) return prepared;
    if (!prepared.isKept) return prepared;
    // Whether DROP ... IF EXISTS writes is known when it is compiled, and stale when it is run again:
    // then the answer would depend on what is kept. EXPLAIN does not notice either that the schema is
    // another one by now, and shows the names of tables from memory that SQLite has freed.
    this.cache.release(sql);
    return { statement, tail, isKept: false };
  }

  /** Whether the first statement of a string compiles now, whatever is kept of it. @throws as `compile` */
  checkCompiles(sql: string): void {
    this.#guarded(() => sql, () => this.connection.prepareNext(new SqlText(sql), 0))
      .statement?.finalize();
  }

  /** Compiles the statement at byte `from`. @throws {SqliteError} @throws {StatementError} */
  compileNext(
    text: SqlText,
    from: number,
  ): { readonly statement: Statement | undefined; readonly tail: number } {
    const prepared = this.#guarded(
      () => new TextDecoder().decode(text.bytes.subarray(from, text.sizeBytes)),
      () => this.connection.prepareNext(text, from),
    );
    if (prepared.statement === undefined) return prepared;
    const facts = this.#learn(prepared.statement, prepared.tail >= text.sizeBytes);
    if (facts.touchesSchema) this.schemaTouched = true;
    return prepared;
  }

  #guarded<T>(sql: () => string, compile: () => T): T {
    const { authorizer } = this;
    authorizer.control = undefined;
    authorizer.pragma = undefined;
    authorizer.sql = sql;
    authorizer.isCompiling = true;
    try {
      return compile();
    } catch (error) {
      if (!HARMLESS.has(firstKeyword(sql()))) this.schemaTouched = true;
      // SQL that holds NUL: a result like any other error of it.
      const isRefused = error instanceof OperatingError && error.code === "bad_request";
      throw isRefused ? new StatementError(error.message, { cause: error }) : error;
    } finally {
      authorizer.isCompiling = false;
    }
  }

  #learn(statement: Statement, isWhole: boolean): StatementFacts {
    const { sql } = statement;
    const keyword = firstKeyword(sql);
    const { control, pragma } = this.authorizer;
    const touchesSchema = !HARMLESS.has(keyword);
    const facts: StatementFacts = {
      keyword,
      isDml: DML_KEYWORDS.has(keyword) && !statement.isReadonly,
      touchesSchema,
      control,
      pragma: keyword === "PRAGMA" ? pragma : undefined,
      isWhole,
      parameters: undefined,
    };
    // Rule Q7: what is stored in the schema must not so much as name a table of ours.
    if (touchesSchema && sql.toLowerCase().includes(OWN_PREFIX)) {
      throw new StatementError("not authorized");
    }
    factsOf.set(statement, facts);
    return facts;
  }
}

function isRestEmpty(sql: string, tail: number): boolean {
  // The tail counts bytes; for ASCII they are characters, and what follows a statement mostly is.
  const size = new TextEncoder().encode(sql).length;
  if (tail >= size) return true;
  return NOTHING_MORE.test(sql.substring(sql.length - (size - tail)));
}
