/**
 * Savepoints of ours, and those that stand in for a client's transactions (rule A2).
 *
 * `UserTransaction` follows a client's BEGIN, COMMIT, ROLLBACK, SAVEPOINT and RELEASE within one entry
 * as SQLite would outside of any transaction, with its error texts; each level is a savepoint inside
 * the batch's transaction. Deferred foreign keys are checked where SQLite would: when the outermost
 * level is committed (rule A1).
 */
import { unreachable } from "../base/assert.ts";
import type { Connection } from "../sqlite/connection.ts";
import { hasDeferredForeignKeys } from "../sqlite/settings.ts";
import type { Control } from "./sql_authorizer.ts";
import type { OwnStatement, SqlSession } from "./sql_session.ts";
import { StatementError } from "./statement_error.ts";

/** What SQLite says of a violated foreign key (787). */
export const FOREIGN_KEY_MESSAGE = "FOREIGN KEY constraint failed";

/** Statements around the client's own; prepared on first use. */
export class Savepoints {
  readonly #session: SqlSession;
  readonly #statements = new Map<string, OwnStatement>();

  constructor(session: SqlSession) {
    this.#session = session;
  }

  /** Opens one. Names may be open more than once: the innermost counts. */
  open(name: string): void {
    this.#run(`SAVEPOINT dust_${name}`);
  }

  /** Keeps what happened since, and closes it. */
  release(name: string): void {
    this.#run(`RELEASE dust_${name}`);
  }

  /**
   * Undoes what happened since; it stays open. What SQLite has in memory of the schema it forgets only
   * if the transaction has changed that, also in another entry of the batch: hence always (rule Q5).
   */
  undo(name: string): void {
    this.#run(`ROLLBACK TO dust_${name}`);
    if (this.#session.schemaTouched) this.#session.reloadSchema();
  }

  /** Undoes what happened since, and closes it. */
  rollback(name: string): void {
    this.undo(name);
    this.release(name);
  }

  #run(sql: string): void {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#session.own(sql);
      this.#statements.set(sql, statement);
    }
    statement.run();
  }
}

/** See the file's header. One per writer; `reset` it for each entry. */
export class UserTransaction {
  readonly #connection: Connection;
  readonly #savepoints: Savepoints;
  /** The request itself is a transaction: a client cannot begin or end another one. */
  #isEnclosed = false;
  /** Names of open savepoints, outermost first; `undefined` stands for a BEGIN, which is always first. */
  readonly #levels: (string | undefined)[] = [];

  constructor(connection: Connection, savepoints: Savepoints) {
    this.#connection = connection;
    this.#savepoints = savepoints;
  }

  /** Begins an entry; what an interrupted one left open is gone with its transaction. */
  reset(options: { readonly isEnclosed: boolean }): void {
    this.#isEnclosed = options.isEnclosed;
    this.#levels.length = 0;
  }

  /** Whether the client has a transaction open. */
  get isOpen(): boolean {
    return this.#levels.length > 0;
  }

  /** Carries out one statement. @throws {StatementError} where SQLite would fail it. */
  run(control: Control): void {
    switch (control.verb) {
      case "begin":
        if (this.isOpen || this.#isEnclosed) {
          throw new StatementError("cannot start a transaction within a transaction");
        }
        return this.#push(undefined);
      case "savepoint":
        return this.#push(control.name);
      case "commit":
        if (!this.isOpen) {
          throw new StatementError("cannot commit - no transaction is active");
        }
        return this.#release(0);
      case "rollback":
        if (!this.isOpen) {
          throw new StatementError("cannot rollback - no transaction is active");
        }
        return this.rollback();
      case "release":
        return this.#release(this.#find(control.name));
      case "rollback_to":
        return this.#rollbackTo(this.#find(control.name));
      default:
        return unreachable(control.verb);
    }
  }

  /** Undoes all that is open. */
  rollback(): void {
    if (!this.isOpen) return;
    this.#savepoints.rollback("user0");
    this.#levels.length = 0;
  }

  #push(name: string | undefined): void {
    this.#savepoints.open(`user${this.#levels.length}`);
    this.#levels.push(name);
  }

  #release(level: number): void {
    // Released as the outermost one it is a commit, which is when deferred keys are checked.
    if (level === 0 && !this.#isEnclosed && hasDeferredForeignKeys(this.#connection)) {
      throw new StatementError(FOREIGN_KEY_MESSAGE);
    }
    this.#savepoints.release(`user${level}`);
    this.#levels.length = level;
  }

  #rollbackTo(level: number): void {
    this.#savepoints.undo(`user${level}`);
    this.#levels.length = level + 1;
  }

  #find(name: string): number {
    const level = this.#levels.findLastIndex((open) => open?.toLowerCase() === name.toLowerCase());
    if (level < 0) throw new StatementError(`no such savepoint: ${name}`);
    return level;
  }
}
