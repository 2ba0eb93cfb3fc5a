/**
 * The three bounded structures behind LogContents, each against a naive twin: random additions,
 * truncations and droppings, and after each all questions.
 */
import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { logIndex, term } from "../base/ids.ts";
import { ChainWindow } from "./chain_window.ts";
import { EntryPositions } from "./entry_positions.ts";
import { POSITION_SPACING_BYTES } from "./limits.ts";
import { TermRuns } from "./term_runs.ts";

const ACTIONS = fc.array(
  fc.record({ kind: fc.constantFrom("add", "add", "add", "truncate", "drop"), by: fc.nat(40) }),
  { maxLength: 60 },
);

Deno.test("TermRuns knows the same terms as a plain list", () => {
  fc.assert(fc.property(ACTIONS, (actions) => {
    const runs = new TermRuns();
    runs.reset(logIndex(10), term(2));
    let first = 10;
    let terms = [2];
    for (const { kind, by } of actions) {
      if (kind === "add") {
        const last = terms.at(-1) ?? 0;
        for (let at = 0; at < by; at++) {
          terms.push(last + (by % 3 === 0 ? 1 : 0));
          runs.add(logIndex(first + terms.length - 1), term(terms.at(-1) ?? 0));
        }
      } else if (kind === "truncate") {
        terms = terms.slice(0, 1 + by % terms.length);
        runs.truncateBehind(logIndex(first + terms.length - 1));
      } else {
        const count = by % terms.length;
        terms = terms.slice(count);
        first += count;
        runs.dropBelow(logIndex(first));
      }
      for (const [at, each] of terms.entries()) {
        strictEqual(runs.find(logIndex(first + at)), each);
      }
      strictEqual(runs.find(logIndex(first - 1)), undefined);
    }
  }));
});

Deno.test("TermRuns refuses terms and indexes that go back", () => {
  const runs = new TermRuns();
  runs.reset(logIndex(4), term(2));
  throws(() => runs.add(logIndex(4), term(2)), { name: "AssertionError" });
  throws(() => runs.add(logIndex(5), term(1)), { name: "AssertionError" });
});

Deno.test("ChainWindow holds the same chains as a plain list, also when its ring grows and turns", () => {
  fc.assert(fc.property(ACTIONS, (actions) => {
    const window = new ChainWindow();
    const chainOf = (index: number, round: number): { high: number; low: number } => ({
      high: (index * 7919) >>> 0,
      low: round,
    });
    window.reset(5, chainOf(5, 0));
    let first = 5;
    let chains = [chainOf(5, 0)];
    for (const [round, { kind, by }] of actions.entries()) {
      if (kind === "add") {
        for (let at = 0; at < by * 30; at++) {
          const index = first + chains.length;
          chains.push(chainOf(index, round));
          window.add(index, chainOf(index, round));
        }
      } else if (kind === "truncate") {
        chains = chains.slice(0, 1 + (by * 17) % chains.length);
        window.truncateBehind(first + chains.length - 1);
      } else {
        const count = (by * 19) % chains.length;
        chains = chains.slice(count);
        first += count;
        window.dropBelow(first);
      }
    }
    strictEqual(window.from, first);
    for (const [at, each] of chains.entries()) deepStrictEqual(window.find(first + at), each);
    strictEqual(window.find(first - 1), undefined);
    strictEqual(window.find(first + chains.length), undefined);
  }));
});

Deno.test("EntryPositions keeps few positions, and any index is found at most one spacing ahead", () => {
  const positions = new EntryPositions();
  let offset = 4 * 1024 ** 3;
  const offsets: number[] = [];
  for (let index = 1; index <= 3000; index++) {
    positions.add({ index, sequence: 9, offset });
    offsets.push(offset);
    offset += 1000;
  }
  const seen = new Set<number>();
  for (let index = 1; index <= 3000; index++) {
    const found = positions.find(index);
    ok(found !== undefined && found.at.index <= index);
    ok((offsets[index - 1] ?? 0) - found.at.offset < POSITION_SPACING_BYTES);
    ok(found.next === undefined || found.next.index > index);
    seen.add(found.at.index);
  }
  ok(seen.size <= 3000 * 1000 / POSITION_SPACING_BYTES + 2, `${seen.size} positions`);
  strictEqual(positions.find(0), undefined);
});

Deno.test("EntryPositions: replaced entries and new segments get positions of their own", () => {
  const positions = new EntryPositions();
  for (let index = 1; index <= 10; index++) {
    positions.add({ index, sequence: 1, offset: index * 8 });
  }
  positions.truncateBehind(logIndex(6));
  positions.add({ index: 7, sequence: 1, offset: 200 });
  positions.add({ index: 8, sequence: 2, offset: 8 });
  deepStrictEqual(positions.find(6), {
    at: { index: 1, sequence: 1, offset: 8 },
    next: { index: 7, sequence: 1, offset: 200 },
  });
  deepStrictEqual(positions.find(7)?.at.offset, 200);
  deepStrictEqual(positions.find(9)?.at, { index: 8, sequence: 2, offset: 8 });
  positions.dropBefore(2);
  strictEqual(positions.find(7), undefined);
  positions.clear();
  strictEqual(positions.find(8), undefined);
});
