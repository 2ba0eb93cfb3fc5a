/**
 * A read-only connection and how it is set up: the same functions, limits and allow-list as the
 * writer's, but with the real clock, and with facts about this node allowed.
 */
import { Connection } from "../sqlite/connection.ts";
import type { Library } from "../sqlite/library.ts";
import { setLimits, setSwitches } from "../sqlite/settings.ts";
import { freezeArithmetic } from "./frozen_functions.ts";
import { BUSY_TIMEOUT_MS, READER_CACHE_KIB } from "./limits.ts";
import { SQL_LIMITS } from "./replicated_limits.ts";
import { SqlSession } from "./sql_session.ts";

/** Opens a session for reads. Close its connection in the end. @throws {SqliteError} */
export function openReader(
  library: Library,
  options: { readonly path: string; readonly foreignKeys: boolean },
): SqlSession {
  const connection = Connection.open(library, {
    path: options.path,
    mode: "readonly",
    noFollow: true,
  });
  connection.setBusyTimeoutMs(BUSY_TIMEOUT_MS);
  connection.exec(`PRAGMA cache_size=-${READER_CACHE_KIB}; PRAGMA temp_store=MEMORY`);
  connection.exec("PRAGMA query_only=ON");
  setLimits(connection, { ...SQL_LIMITS, attachedCount: 0 });
  setSwitches(connection, {
    foreignKeys: options.foreignKeys,
    defensive: true,
    trustedSchema: false,
    noCheckpointOnClose: true,
    doubleQuotedStringsInDml: true,
    doubleQuotedStringsInDdl: true,
    loadExtension: false,
    fts3Tokenizer: false,
  });
  freezeArithmetic(connection);
  return new SqlSession(connection, { isWriter: false });
}
