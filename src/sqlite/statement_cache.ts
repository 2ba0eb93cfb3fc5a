/**
 * Prepared statements by their SQL, so that a repeated request is not parsed again.
 *
 * Two generations instead of an exact order of use: what was used since the last change of generations
 * survives the next one, which costs a hit nothing but a look-up. A statement stays the cache's: the
 * caller runs it, resets it, and lets go of it before it asks for the next.
 */
import type { Connection, Prepared } from "./connection.ts";
import { CACHED_SQL_LENGTH_MAX } from "./limits.ts";
import { SqlText } from "./sql_text.ts";

/** @see the header */
export class StatementCache {
  readonly #connection: Connection;
  readonly #generationCountMax: number;
  #young = new Map<string, Prepared>();
  #old = new Map<string, Prepared>();

  /** @param statementCountMax Statements kept at most; at least 2. */
  constructor(connection: Connection, statementCountMax: number) {
    this.#connection = connection;
    this.#generationCountMax = Math.max(1, Math.floor(statementCountMax / 2));
  }

  /**
   * The first statement of `sql`, reset and without bindings, and where the next one begins, which
   * `Connection.prepareNext` is for. A statement that the cache does not keep (too long, or already
   * running) is new, and the caller's to finalize: `isKept` tells.
   * @throws as `Connection.prepareNext` and `SqlText`.
   */
  prepare(sql: string): Prepared & { readonly isKept: boolean } {
    const kept = this.#young.get(sql) ?? this.#promote(sql);
    if (kept !== undefined && kept.statement?.isBusy !== true) {
      kept.statement?.clearBindings();
      return { statement: kept.statement, tail: kept.tail, isKept: true };
    }
    const isKept = kept === undefined && sql.length <= CACHED_SQL_LENGTH_MAX;
    const prepared = this.#connection.prepareNext(new SqlText(sql), 0, { persistent: isKept });
    if (isKept) this.#keep(sql, prepared);
    return { statement: prepared.statement, tail: prepared.tail, isKept };
  }

  /** Gives a kept statement to the caller, whose it is to finalize from now on. */
  release(sql: string): void {
    if (!this.#young.delete(sql)) this.#old.delete(sql);
  }

  /** Statements kept. */
  get count(): number {
    return this.#young.size + this.#old.size;
  }

  /** Finalizes all. */
  clear(): void {
    finalizeAll(this.#young);
    finalizeAll(this.#old);
  }

  #promote(sql: string): Prepared | undefined {
    const prepared = this.#old.get(sql);
    if (prepared === undefined) return undefined;
    this.#old.delete(sql);
    this.#keep(sql, prepared);
    return prepared;
  }

  #keep(sql: string, prepared: Prepared): void {
    if (this.#young.size >= this.#generationCountMax) {
      finalizeAll(this.#old);
      [this.#old, this.#young] = [this.#young, this.#old];
    }
    this.#young.set(sql, prepared);
  }
}

function finalizeAll(statements: Map<string, Prepared>): void {
  for (const { statement } of statements.values()) statement?.finalize();
  statements.clear();
}
