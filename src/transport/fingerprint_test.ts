import { match, ok, strictEqual } from "node:assert/strict";
import { fingerprintRemedy, isFittingFingerprint, makeFingerprint } from "./fingerprint.ts";

const OURS = makeFingerprint({ engine: "SQLite 3 (pinned a), V8 15", rules: "0a1b" });
const OTHER_ENGINE = makeFingerprint({ engine: "SQLite 3 (system), V8 15", rules: "0a1b" });
const OTHER_RULES = makeFingerprint({ engine: "SQLite 3 (pinned a), V8 15", rules: "ffff" });

Deno.test("isFittingFingerprint() lets the engine differ when told, other limits never (Q16, S30)", () => {
  for (const allowsOtherSqlite of [false, true]) {
    const options = { ours: OURS, allowsOtherSqlite };
    ok(isFittingFingerprint(OURS, options));
    strictEqual(isFittingFingerprint(OTHER_ENGINE, options), allowsOtherSqlite);
    ok(!isFittingFingerprint(OTHER_RULES, options));
    // Of a build that does not say.
    ok(!isFittingFingerprint("SQLite 3 (pinned a), V8 15", options));
  }
});

Deno.test("fingerprintRemedy() names the flag only where it helps", () => {
  match(fingerprintRemedy(OTHER_ENGINE, OURS), /--allow-unpinned-sqlite$/);
  strictEqual(fingerprintRemedy(OTHER_RULES, OURS), "run the same build of Dust on all nodes");
});
