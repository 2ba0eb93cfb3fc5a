/**
 * The authorizer: SQLite asks it, while it prepares a statement, about each thing that the statement
 * would do. It does not see functions in a DEFAULT (rule Q3), so it is the second line, not the first.
 *
 * An exception of the handler denies, is kept by the connection, and thrown by `prepareNext` (rule Q8).
 * Not here: what is allowed (state_machine/).
 */
import type { Connection } from "./connection.ts";
import { readCString } from "./library.ts";

/** What SQLite asks about. What `first` and `second` are then: sqlite.org/c3ref/c_alter_table.html. */
export const Action = {
  CREATE_INDEX: 1,
  CREATE_TABLE: 2,
  CREATE_TEMP_INDEX: 3,
  CREATE_TEMP_TABLE: 4,
  CREATE_TEMP_TRIGGER: 5,
  CREATE_TEMP_VIEW: 6,
  CREATE_TRIGGER: 7,
  CREATE_VIEW: 8,
  DELETE: 9,
  DROP_INDEX: 10,
  DROP_TABLE: 11,
  DROP_TEMP_INDEX: 12,
  DROP_TEMP_TABLE: 13,
  DROP_TEMP_TRIGGER: 14,
  DROP_TEMP_VIEW: 15,
  DROP_TRIGGER: 16,
  DROP_VIEW: 17,
  INSERT: 18,
  PRAGMA: 19,
  READ: 20,
  SELECT: 21,
  TRANSACTION: 22,
  UPDATE: 23,
  ATTACH: 24,
  DETACH: 25,
  ALTER_TABLE: 26,
  REINDEX: 27,
  ANALYZE: 28,
  CREATE_VTABLE: 29,
  DROP_VTABLE: 30,
  FUNCTION: 31,
  SAVEPOINT: 32,
  RECURSIVE: 33,
} as const;

/** `deny` fails the statement with "not authorized"; `ignore` reads NULL or does nothing instead. */
export type Authorization = "allow" | "deny" | "ignore";

/** One question. Valid during the handler's call only; each string is read when it is asked for. */
export interface AuthorizationRequest {
  /** One of `Action`, or a newer one of SQLite's. */
  readonly action: number;
  readonly first: string | undefined;
  readonly second: string | undefined;
  /** `main`, `temp` or an attached name, where there is one. */
  readonly database: string | undefined;
  /** Innermost trigger or view that the access comes from; undefined for the client's own SQL. */
  readonly accessor: string | undefined;
}

/** Decides on one question. @see AuthorizationRequest */
export type Authorizer = (request: AuthorizationRequest) => Authorization;

const ANSWERS = { allow: 0, deny: 1, ignore: 2 } as const;

const CALLBACK = {
  parameters: ["pointer", "i32", "pointer", "pointer", "pointer", "pointer"],
  result: "i32",
} as const;

/** Reused for every question; strings cost 70 ns each and most are not asked for. */
class PendingRequest implements AuthorizationRequest {
  action = 0;
  pointers: readonly Deno.PointerValue[] = [];

  get first(): string | undefined {
    return readCString(this.pointers[0] ?? null);
  }
  get second(): string | undefined {
    return readCString(this.pointers[1] ?? null);
  }
  get database(): string | undefined {
    return readCString(this.pointers[2] ?? null);
  }
  get accessor(): string | undefined {
    return readCString(this.pointers[3] ?? null);
  }
}

/**
 * Has `authorizer` decide about every statement prepared from now on, in place of an earlier one.
 * Statements prepared before are prepared anew, and asked about, at their next step.
 */
export function setAuthorizer(connection: Connection, authorizer: Authorizer): void {
  const request = new PendingRequest();
  const callback = new Deno.UnsafeCallback(
    CALLBACK,
    (_context, action, first, second, database, accessor) => {
      try {
        request.action = action;
        request.pointers = [first, second, database, accessor];
        return ANSWERS[authorizer(request)];
      } catch (error) {
        connection.reportCallbackFailure(error);
        return ANSWERS.deny;
      } finally {
        request.pointers = [];
      }
    },
  );
  connection.onClose(() => callback.close());
  const { symbols } = connection.library;
  connection.check(symbols.sqlite3_set_authorizer(connection.pointer, callback.pointer, null));
}

/** Allows everything again. */
export function removeAuthorizer(connection: Connection): void {
  const { symbols } = connection.library;
  connection.check(symbols.sqlite3_set_authorizer(connection.pointer, null, null));
}
