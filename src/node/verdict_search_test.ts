import { deepStrictEqual } from "node:assert/strict";
import { logIndex } from "../base/ids.ts";
import { memoryEntry, MemoryLog, settle, verdictPayload } from "./testing.ts";
import { VerdictSearch } from "./verdict_search.ts";

/** A search for the verdict on entry 2, in a log that goes on with `payloads`. */
function setUp(payloads: readonly (Uint8Array | undefined)[]): {
  readonly log: MemoryLog;
  readonly search: VerdictSearch;
  readonly said: string[];
} {
  const log = new MemoryLog();
  log.entries = [undefined, ...payloads].map((payload, place) =>
    memoryEntry(2 + place, payload === undefined ? {} : { payload })
  );
  const said: string[] = [];
  const search = new VerdictSearch({
    parked: { index: logIndex(2), timeoutMs: 0 },
    log,
    onFound: ({ index, verdict }) => said.push(`${verdict} ${index}`),
    onMissing: () => said.push("missing"),
    onFatal: (error) => said.push(`fatal ${error}`),
  });
  return { log, search, said };
}

Deno.test("VerdictSearch takes the first verdict in the log, whatever stands behind it (A4)", async () => {
  const { search, said } = setUp([
    undefined,
    verdictPayload(2, "void"),
    verdictPayload(2, "run"),
  ]);
  search.advance(logIndex(5));
  await settle();
  deepStrictEqual(said, ["void 2"]);
});

Deno.test("VerdictSearch passes over verdicts on other entries, empty entries and changes", async () => {
  const { log, search, said } = setUp([
    verdictPayload(9, "void"),
    new Uint8Array(0),
    verdictPayload(2, "void"),
    verdictPayload(2, "run"),
  ]);
  log.entries = log.entries.map((entry) =>
    entry.index === 5 ? { ...entry, kind: "conf_change" } : entry
  );
  search.advance(logIndex(6));
  await settle();
  deepStrictEqual(said, ["run 2"]);
});

Deno.test("VerdictSearch looks no further than what is committed, and says each time that none is there", async () => {
  const { search, said } = setUp([undefined, verdictPayload(2, "run")]);
  search.advance(logIndex(3));
  await settle();
  search.advance(logIndex(3));
  await settle();
  deepStrictEqual(said, ["missing", "missing"]);
  search.advance(logIndex(4));
  await settle();
  deepStrictEqual(said.slice(2), ["run 2"]);
});

Deno.test("VerdictSearch reads each entry once, and nothing any more once it has found", async () => {
  const { log, search, said } = setUp([undefined, undefined, verdictPayload(2, "run")]);
  const ranges: string[] = [];
  const { read } = log;
  log.read = (options) => {
    ranges.push(`${options.from}-${options.to}`);
    return read.call(log, options);
  };
  search.advance(logIndex(3));
  search.advance(logIndex(4));
  await settle();
  search.advance(logIndex(5));
  await settle();
  search.advance(logIndex(5));
  await settle();
  deepStrictEqual([ranges, said], [["3-4", "4-5", "5-6"], ["missing", "run 2"]]);
});

Deno.test("VerdictSearch hands on the failure of a disk", async () => {
  const { log, search, said } = setUp([undefined]);
  log.read = () => Promise.reject(new Error("gone"));
  search.advance(logIndex(3));
  await settle();
  deepStrictEqual(said, ["fatal Error: gone"]);
});

Deno.test("VerdictSearch ends where the log begins anew behind a snapshot: it has nothing to read", async () => {
  const { log, search, said } = setUp([undefined, verdictPayload(2, "run")]);
  let reads = 0;
  log.read = () => {
    reads += 1;
    return reads > 9 ? Promise.reject(new Error("reads for ever")) : Promise.resolve([]);
  };
  search.advance(logIndex(4));
  await settle();
  deepStrictEqual([said, reads], [["missing"], 1]);
});
