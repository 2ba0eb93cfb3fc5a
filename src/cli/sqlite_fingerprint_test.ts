import { match, ok } from "node:assert/strict";
import { testLibrary } from "../sqlite/testing.ts";
import { meaningDigest } from "../state_machine/meaning.ts";
import { sqliteFingerprint } from "./sqlite_fingerprint.ts";

Deno.test("sqliteFingerprint() says the library, the runtime, and our own limits and policy (Q16)", () => {
  const line = sqliteFingerprint(testLibrary());
  match(line, /^SQLite \d+ \((?:pinned [0-9a-f]{12}|system), options [0-9a-f]{8}\), V8 /);
  ok(line.includes(`V8 ${Deno.version.v8}`));
  ok(line.endsWith(`; rules ${meaningDigest()}`), line);
});
