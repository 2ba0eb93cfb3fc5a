import { ok } from "node:assert/strict";
import { findDisallowedPragma } from "./pragma_filter.ts";

Deno.test("findDisallowedPragma() finds assignments, in any case and spacing", () => {
  for (
    const sql of [
      "PRAGMA JOURNAL_MODE=DELETE",
      "PRAGMA wal_autocheckpoint = 1000",
      "  PRAGMA synchronous = NORMAL",
      "PRAGMA      synchronous = NORMAL",
      "pragma main.journal_mode=off",
      "PRAGMA main . synchronous\t=\n1",
      "PRAGMA query_only=0",
      "PRAGMA wal_checkpoint",
      "PRAGMA main.wal_checkpoint(TRUNCATE)",
      "PRAGMA journal_mode(delete)",
      "-- note\nPRAGMA journal_mode=delete",
      "/* a */ /* b */ PRAGMA journal_mode=delete",
    ]
  ) ok(findDisallowedPragma(sql), sql);
});

Deno.test("findDisallowedPragma() lets everything else pass", () => {
  for (
    const sql of [
      "",
      "   ",
      "-- PRAGMA journal_mode=delete",
      "/* PRAGMA journal_mode=delete",
      "PRAGMA journal_mode",
      "PRAGMA synchronous",
      "PRAGMA foreign_keys=ON",
      "PRAGMA table_info(journal_mode)",
      "SELECT 'PRAGMA journal_mode=delete'",
      "PRAGMA wal_checkpoints",
      "PRAGMATIC",
    ]
  ) ok(!findDisallowedPragma(sql), sql);
});

Deno.test("findDisallowedPragma() is linear in comments that lead nowhere", () => {
  const started = performance.now();
  ok(!findDisallowedPragma(`${"/* x */ ".repeat(100_000)}SELECT`));
  ok(!findDisallowedPragma(`PRAGMA ${"x".repeat(1_000_000)}`));
  ok(performance.now() - started < 1000);
});
