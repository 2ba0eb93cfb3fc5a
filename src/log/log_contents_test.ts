/**
 * What recovery refuses although the checksums are right: records that our own code never writes in
 * this order. Each case is one that the log could have written if a rule were broken.
 */
import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { nextEntryChain, startEntryChain } from "../base/entry_chain.ts";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { CHAINS_KEPT_COUNT } from "./limits.ts";
import { LogContents } from "./log_contents.ts";
import type { EntryRecord, LogPoint, LogRecord, MarkerRecord } from "./record.ts";

const PLACE = { sequence: 1, offset: 0 };
const START: LogPoint = {
  index: logIndex(0),
  term: term(0),
  chain: startEntryChain(new Uint8Array(16)),
};

function entryAfter(previous: LogPoint, atTerm: number, payload = new Uint8Array(3)): EntryRecord {
  const index = logIndex(previous.index + 1);
  const chain = nextEntryChain(previous.chain, { index, term: atTerm, payload });
  return {
    kind: "entry",
    point: { index, term: term(atTerm), chain },
    entryKind: "normal",
    payload,
  };
}

function hardState(at: number, vote: number, commit: number): LogRecord {
  const state = { term: term(at), vote: nodeId(vote), commit: logIndex(commit) };
  return { kind: "hard_state", hardState: state };
}

function marker(point: LogPoint): MarkerRecord {
  return { kind: "marker", isReset: false, point, generation: 1, configuration: new Uint8Array(0) };
}

function reset(point: LogPoint): MarkerRecord {
  return { ...marker(point), isReset: true };
}

/** Five entries, the last two of term 2; committed up to 3; voted for 2 in term 2. */
function contents(): { contents: LogContents; points: readonly LogPoint[] } {
  const made = new LogContents({
    base: START,
    hardState: { term: term(0), vote: nodeId(0), commit: logIndex(0) },
    marker: marker(START),
  });
  const points = [START];
  for (const at of [1, 1, 1, 2, 2]) {
    const record = entryAfter(points.at(-1) ?? START, at);
    strictEqual(made.problemWith(record), undefined);
    made.apply(record, PLACE);
    points.push(record.point);
  }
  made.apply(hardState(2, 2, 3), PLACE);
  return { contents: made, points };
}

Deno.test("problemWith() refuses entries with a gap, an older term, a broken entry chain", () => {
  const { contents: made, points } = contents();
  const last = points.at(-1) ?? START;
  const good = entryAfter(last, 2);
  strictEqual(made.problemWith(good), undefined);
  strictEqual(made.problemWith(entryAfter(good.point, 2)), "entry 7 follows entry 5");
  strictEqual(made.problemWith(entryAfter(points[3] ?? START, 2)), "entry 4 follows entry 5");
  strictEqual(made.problemWith(entryAfter(last, 1)), "the term of entry 6 goes back");
  strictEqual(
    made.problemWith({ ...good, payload: Uint8Array.of(1) }),
    "the entry chain breaks at entry 6",
  );
  throws(() => made.apply(entryAfter(good.point, 2), PLACE), { name: "AssertionError" });
});

Deno.test("problemWith() refuses a hard state that forgets a term, a vote or a commit", () => {
  const { contents: made } = contents();
  const cases: readonly (readonly [LogRecord, string | undefined])[] = [
    [hardState(2, 2, 3), undefined],
    [hardState(3, 0, 5), undefined],
    [hardState(1, 2, 3), "the term goes back from 2 to 1"],
    [hardState(2, 1, 3), "the vote in term 2 changes"],
    [hardState(2, 0, 3), "the vote in term 2 changes"],
    [hardState(2, 2, 2), "the commit index goes back from 3 to 2"],
    [hardState(2, 2, 6), "commit index 6 is past entry 5"],
  ];
  for (const [record, problem] of cases) strictEqual(made.problemWith(record), problem);
});

Deno.test("problemWith() refuses truncations of committed, unknown or other entries", () => {
  const { contents: made, points } = contents();
  const [, , two = START, three = START, four = START] = points;
  strictEqual(made.problemWith({ kind: "truncate", point: three }), undefined);
  strictEqual(
    made.problemWith({ kind: "truncate", point: two }),
    "committed entries behind 2 are discarded",
  );
  strictEqual(
    made.problemWith({ kind: "truncate", point: { ...four, term: term(1) } }),
    "entry 4 is another one",
  );
  strictEqual(
    made.problemWith({ kind: "truncate", point: { ...four, chain: three.chain } }),
    "entry 4 is another one",
  );
  const far = { ...four, index: logIndex(9) };
  strictEqual(made.problemWith({ kind: "truncate", point: far }), "entries behind 9 do not exist");
  strictEqual(made.problemWith({ kind: "sealed" }), "a sealed record inside a segment");
});

Deno.test("problemWith() refuses markers that the log does not hold, or that discard commits", () => {
  const { contents: made, points } = contents();
  const [, , two = START, three = START] = points;
  strictEqual(made.problemWith(marker(three)), undefined);
  strictEqual(
    made.problemWith(marker({ ...three, index: logIndex(6) })),
    "the marker at 6 is past the last entry",
  );
  strictEqual(
    made.problemWith(marker({ ...three, term: term(2) })),
    "the marker at 3 has another term",
  );
  strictEqual(made.problemWith(reset({ ...three, index: logIndex(6) })), undefined);
  strictEqual(
    made.problemWith(reset(two)),
    "the marker at 2 discards committed entries",
  );
});

Deno.test("chains are kept from the commit index on, whatever their number", () => {
  const { contents: made, points } = contents();
  let last = points.at(-1) ?? START;
  const count = 3 * CHAINS_KEPT_COUNT;
  for (let at = 0; at < count; at++) {
    const record = entryAfter(last, 2);
    made.apply(record, PLACE);
    last = record.point;
  }
  deepStrictEqual(made.pointAt(logIndex(3)), points[3]);
  made.apply(hardState(2, 2, count), PLACE);
  strictEqual(made.chain(logIndex(3)), undefined);
  strictEqual(made.pointAt(logIndex(count)).index, count);
  deepStrictEqual(made.chain(last.index), last.chain);
});
