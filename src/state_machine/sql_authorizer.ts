/**
 * The allow-list of actions, asked by SQLite while it compiles a statement (faults S7, S22 to S24,
 * S26 to S28; rules A6, Q7). Tables of ours cannot be touched at all, temporary objects, attached
 * files and settings that would change the meaning of other people's statements do not exist.
 *
 * Besides, it reports what a statement is where the text alone would not tell: transaction control,
 * which never reaches SQLite (rule A2), and pragmas.
 */
import {
  Action,
  type Authorization,
  type AuthorizationRequest,
  setAuthorizer,
} from "../sqlite/authorizer.ts";
import type { Connection } from "../sqlite/connection.ts";
import { DML_KEYWORDS, firstKeyword } from "./sql_keyword.ts";
import {
  actionRule,
  ALLOWED_MODULES,
  functionRule,
  LOCAL_MODULES,
  type PragmaRule,
  pragmaRules,
} from "./sql_policy.ts";

/** What the tables of ours are called, in lower case. */
export const OWN_PREFIX = "sqlite_dust";

const STATISTICS_PREFIX = "sqlite_stat";
/** Tables that show what a pragma says. */
const PRAGMA_PREFIX = "pragma_";

/** BEGIN, COMMIT and the like, as SQLite understood them. */
export interface Control {
  readonly verb: "begin" | "commit" | "rollback" | "savepoint" | "release" | "rollback_to";
  /** Of a savepoint; empty for the others. */
  readonly name: string;
}

/** A pragma; `value` is undefined when none was given. */
export interface Pragma {
  readonly name: string;
  readonly value: string | undefined;
}

const SCHEMA_TABLES: ReadonlySet<string> = new Set(["sqlite_master", "sqlite_schema"]);
/** What could store what it reads; ALTER and the like read the schema for their own ends. */
const STORING_KEYWORDS: ReadonlySet<string> = new Set([...DML_KEYWORDS, "CREATE"]);

/** One per connection. */
export class SqlAuthorizer {
  /** Statements of our own are not asked about while this is set. */
  isTrusted = false;
  /** The SQL that is being compiled, or run, when SQLite may compile it anew. */
  sql: () => string = () => "";
  /** Set while a client's statement is compiled; otherwise virtual tables compile their own SQL. */
  isCompiling = false;
  /** Set while a VACUUM runs, which attaches a nameless database. */
  isVacuum = false;
  /** What the statement compiled last is, if it is one of these. Cleared by the caller. */
  control: Control | undefined;
  pragma: Pragma | undefined;
  readonly #isWriter: boolean;

  /** Decides about `connection` from now on. */
  constructor(connection: Connection, options: { readonly isWriter: boolean }) {
    this.#isWriter = options.isWriter;
    setAuthorizer(connection, (request) => this.isTrusted ? "allow" : this.#decide(request));
  }

  #decide(request: AuthorizationRequest): Authorization {
    const { action } = request;
    // What VACUUM does inside is its own business, as long as the file that it attaches is nameless.
    if (this.isVacuum) {
      return action === Action.ATTACH && request.first !== "" ? "deny" : "allow";
    }
    const isLook = action === Action.READ || action === Action.SELECT || action === Action.FUNCTION;
    if (!isLook && request.database === "temp") return this.#temporary(request);
    switch (action) {
      case Action.READ:
        return this.#read(request.first ?? "", request.second ?? "");
      case Action.INSERT:
      case Action.UPDATE:
      case Action.DELETE:
        return this.#change(request.first ?? "");
      case Action.FUNCTION:
        return this.#function(request.second ?? "");
      case Action.PRAGMA:
        return this.#pragma(request);
      case Action.TRANSACTION:
      case Action.SAVEPOINT:
        return this.#control(request);
      case Action.CREATE_VTABLE:
        return ALLOWED_MODULES.has((request.second ?? "").toLowerCase()) ? "allow" : "deny";
      default:
        if (actionRule(action) !== "allow") return "deny";
        return isOwn(request.first ?? "") || isOwn(request.second ?? "") ? "deny" : "allow";
    }
  }

  #read(table: string, column: string): Authorization {
    const name = table.toLowerCase();
    if (name.startsWith(OWN_PREFIX)) return "deny";
    if (this.#isWriter && column.toLowerCase() === "rootpage" && SCHEMA_TABLES.has(name)) {
      return STORING_KEYWORDS.has(firstKeyword(this.sql())) ? "deny" : "allow";
    }
    if (name.startsWith(PRAGMA_PREFIX)) {
      return this.#pragmaRule(name.substring(PRAGMA_PREFIX.length)) === "refuse" ? "deny" : "allow";
    }
    return this.#isWriter && LOCAL_MODULES.has(name) ? "deny" : "allow";
  }

  /** Nothing temporary exists, but ALTER TABLE renames there too. */
  #temporary({ action, first }: AuthorizationRequest): Authorization {
    const isRename = action === Action.UPDATE && first === "sqlite_temp_master" &&
      firstKeyword(this.sql()) === "ALTER";
    return isRename ? "allow" : "deny";
  }

  #change(table: string): Authorization {
    const name = table.toLowerCase();
    if (name.startsWith(OWN_PREFIX)) return "deny";
    // ANALYZE and DROP write statistics too; a client's own INSERT, UPDATE or DELETE may not (rule A6).
    if (!name.startsWith(STATISTICS_PREFIX)) return "allow";
    return DML_KEYWORDS.has(firstKeyword(this.sql())) ? "deny" : "allow";
  }

  #function(name: string): Authorization {
    const rule = functionRule(name);
    // Refused ones are overridden by functions that say so; load_extension() says it by itself.
    if (rule === "local") return this.#isWriter ? "deny" : "allow";
    return rule === "refuse" && name !== "load_extension" ? "deny" : "allow";
  }

  #pragma(request: AuthorizationRequest): Authorization {
    const name = (request.first ?? "").toLowerCase();
    const value = request.second;
    // Not a client's: FTS5 asks whether another connection has changed the file.
    if (!this.isCompiling && name === "data_version") return "allow";
    this.pragma = { name, value };
    switch (this.#pragmaRule(name)) {
      case "any":
        return "allow";
      case "get":
        return value === undefined ? "allow" : "deny";
      case "ignore":
        return value === undefined ? "allow" : "ignore";
      case "skip":
        return "ignore";
      case "refuse":
        return "deny";
    }
  }

  #pragmaRule(name: string): PragmaRule {
    const rules = pragmaRules(name);
    return this.#isWriter ? rules.write : rules.read;
  }

  #control(request: AuthorizationRequest): Authorization {
    const verb = request.first;
    if (request.action === Action.TRANSACTION) {
      const verbs = { BEGIN: "begin", COMMIT: "commit", ROLLBACK: "rollback" } as const;
      this.control = { verb: verbs[verb as keyof typeof verbs], name: "" };
    } else {
      const verbs = { BEGIN: "savepoint", RELEASE: "release", ROLLBACK: "rollback_to" } as const;
      this.control = { verb: verbs[verb as keyof typeof verbs], name: request.second ?? "" };
    }
    return "allow";
  }
}

function isOwn(name: string): boolean {
  return name.toLowerCase().startsWith(OWN_PREFIX);
}
