/**
 * Rules X1 and X2 as a property: a log at random with keys and sessions, each sent again and again, in
 * any order, with processes that are replaced and openings that come late. However it is batched, and
 * with restarts, falls back to an older state and snapshots in between: each name is run once, what it
 * answers again is what it answered first, and all replicas come to one state.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { entryChainText } from "../base/entry_chain.ts";
import { encodeCommand } from "../command/command_encoder.ts";
import { ELAPSED_MS_MAX } from "../command/command_format.ts";
import type { RetryName } from "../command/retry.ts";
import type { ApplyEntry, EntryResult } from "../node/ports.ts";
import { TemporaryFolder, testLibrary } from "../sqlite/testing.ts";
import { KEY_AGE_MS_MAX } from "./replicated_limits.ts";
import { copyState } from "./state_file.ts";
import { applyAll, contentOf, createTestState, entry, openTestWriter } from "./testing.ts";

const NODES = 2;
const SEQUENCES = 6;

/** One draw; what it becomes depends on what came before. */
type Draw =
  | { readonly kind: "plain" }
  | { readonly kind: "key"; readonly key: number; readonly variant: number }
  | { readonly kind: "boot"; readonly node: number }
  | { readonly kind: "open"; readonly node: number; readonly back: number }
  | {
    readonly kind: "forward";
    readonly node: number;
    readonly back: number;
    readonly sequence: number;
    readonly waiting: number;
  };

const small = (max: number): fc.Arbitrary<number> => fc.nat(max);

const draw: fc.Arbitrary<Draw> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Draw>({ kind: "plain" }) },
  {
    weight: 6,
    arbitrary: fc.tuple(small(19), small(9)).map(([key, chance]): Draw => {
      return { kind: "key", key, variant: chance === 0 ? 1 : 0 };
    }),
  },
  { weight: 1, arbitrary: small(NODES - 1).map((node): Draw => ({ kind: "boot", node })) },
  {
    weight: 2,
    arbitrary: fc.tuple(small(NODES - 1), small(2)).map(([node, back]): Draw => {
      return { kind: "open", node, back };
    }),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(small(NODES - 1), small(4), small(SEQUENCES), small(SEQUENCES)).map(
      ([node, back, sequence, waiting]): Draw => {
        return { kind: "forward", node, back: Math.max(back - 2, 0), sequence, waiting };
      },
    ),
  },
);

/** Nearly always the longest that an entry can carry, so that keys grow old within one log. */
const elapsed = fc.oneof(
  { weight: 1, arbitrary: fc.constant(1) },
  { weight: 15, arbitrary: fc.constant(ELAPSED_MS_MAX) },
);

/** What is done to the replica behind an entry. */
const event = fc.oneof(
  { weight: 12, arbitrary: fc.constant("none" as const) },
  { weight: 4, arbitrary: fc.constant("batch" as const) },
  { weight: 4, arbitrary: fc.constantFrom("restart", "copy", "fall back", "snapshot") },
);

type Event = "none" | "batch" | "restart" | "copy" | "fall back" | "snapshot";

/** An entry, and the name that it carries, if any. */
interface Logged {
  readonly item: ApplyEntry;
  readonly name: string | undefined;
  readonly isKey: boolean;
  readonly elapsedMs: number;
}

/** A process of a forwarding node. */
interface Boot {
  readonly nonce: bigint;
  readonly seenIndex: number;
}

const FIRST_INDEX = 2;

/** The log: index 2 makes the table. */
function logOf(draws: readonly (readonly [Draw, number])[]): readonly Logged[] {
  const log: Logged[] = [
    {
      item: entry(FIRST_INDEX, ["CREATE TABLE t(name, n)"]),
      name: undefined,
      isKey: false,
      elapsedMs: 0,
    },
  ];
  const boots: Boot[][] = Array.from({ length: NODES }, () => [{ nonce: 0n, seenIndex: 0 }]);
  for (const [each, elapsedMs] of draws) {
    const index = FIRST_INDEX + log.length;
    const insert = (name: string, variant: number, retry?: RetryName): Logged => ({
      item: entry(index, [["INSERT INTO t VALUES(?, ?) RETURNING random()", name, variant]], {
        elapsedMs,
        ...(retry === undefined ? {} : { retry }),
      }),
      name: retry === undefined ? undefined : name,
      isKey: retry?.kind === "key",
      elapsedMs,
    });
    switch (each.kind) {
      case "plain":
        log.push(insert("plain", index));
        break;
      case "key": {
        const [user, key] = [`u${each.key % 2}`, `k${each.key >> 1}`];
        log.push(insert(user + key, each.variant, { kind: "key", user, key, format: 0 }));
        break;
      }
      case "boot":
        boots[each.node]?.push({ nonce: BigInt(index), seenIndex: index - 1 });
        break;
      default: {
        const { node } = each;
        const { nonce, seenIndex } = bootOf(boots, each);
        if (each.kind === "open") {
          const payload = encodeCommand({
            kind: "open_session",
            nodeId: node,
            bootNonce: nonce,
            seenIndex,
          });
          log.push({
            item: { ...entry(index, []), payload },
            name: undefined,
            isKey: false,
            elapsedMs: 0,
          });
          break;
        }
        const { sequence, waiting } = each;
        log.push(insert(`${node}/${nonce}/${sequence}`, 0, {
          kind: "session",
          nodeId: node,
          bootNonce: nonce,
          sequence,
          lowestOutstanding: Math.max(sequence - waiting, 0),
          format: 0,
        }));
      }
    }
  }
  return log;
}

/** The node's process, or one `back` before it. */
function bootOf(
  boots: readonly Boot[][],
  of: { readonly node: number; readonly back: number },
): Boot {
  const own = boots[of.node] ?? [];
  const boot = own[Math.max(own.length - 1 - of.back, 0)];
  ok(boot !== undefined);
  return boot;
}

/** A replica's end. */
interface Outcome {
  readonly answers: readonly (EntryResult | undefined)[];
  readonly content: string;
  readonly resultChain: string;
  readonly logClockMs: number;
}

/** Applies the log in batches, with whatever `events` say behind each entry. */
function applyLog(
  folder: TemporaryFolder,
  log: readonly Logged[],
  events: readonly Event[],
): Outcome {
  let files = 0;
  const newFile = (): string => folder.file(`${events.length}-${files++}.sqlite`);
  let path = newFile();
  createTestState(path);
  let copy: string | undefined;
  const answers: (EntryResult | undefined)[] = [];
  let from = 0;
  let writer = openTestWriter(path);
  try {
    for (let at = 0; at < log.length; at++) {
      const what = at === log.length - 1 ? "batch" : events[at] ?? "none";
      if (what === "none") continue;
      applyRange(writer, log.slice(from, at + 1).map(({ item }) => item), { answers, from });
      from = at + 1;
      if (what === "batch") continue;
      writer[Symbol.dispose]();
      if (what === "copy") copy = copyTo(path, newFile());
      if (what === "fall back" && copy !== undefined) path = copyTo(copy, newFile());
      if (what === "snapshot") path = copyTo(path, newFile());
      writer = openTestWriter(path);
      // What the older state lacks is applied again, and answers as it did.
      const { appliedIndex } = writer.record;
      const lacking = log.slice(appliedIndex + 1 - FIRST_INDEX, from).map(({ item }) => item);
      if (lacking.length > 0) {
        applyRange(writer, lacking, { answers, from: appliedIndex + 1 - FIRST_INDEX });
      }
    }
    const { resultChain, logClockMs } = writer.record;
    return {
      answers,
      content: contentOf(path),
      resultChain: entryChainText(resultChain),
      logClockMs,
    };
  } finally {
    writer[Symbol.dispose]();
  }
}

function applyRange(
  writer: ReturnType<typeof openTestWriter>,
  items: readonly ApplyEntry[],
  into: { readonly answers: (EntryResult | undefined)[]; readonly from: number },
): void {
  const outcome = applyAll(writer, items);
  strictEqual(outcome.answers.length, items.length);
  outcome.answers.forEach((answer, place) => {
    const at = into.from + place;
    if (at < into.answers.length) deepStrictEqual(answer, into.answers[at]);
    into.answers[at] = answer;
  });
}

function copyTo(from: string, to: string): string {
  copyState(testLibrary(), { from, to, isDurable: true });
  return to;
}

/** Each name is run once in its time, and what it answers again is what it answered first. */
function checkOnce(log: readonly Logged[], { answers }: Outcome): ReadonlyMap<string, number> {
  const firsts = new Map<
    string,
    { readonly index: number; readonly clockMs: number; readonly answer: string }
  >();
  const runs = new Map<string, number>();
  let clockMs = 0;
  log.forEach(({ item, name, isKey, elapsedMs }, at) => {
    clockMs += elapsedMs;
    const answer = answers[at];
    ok(answer !== undefined);
    if (name === undefined) return;
    const first = firsts.get(name);
    if (typeof answer === "string") {
      const isForgotten = isKey && first !== undefined && clockMs - first.clockMs >= KEY_AGE_MS_MAX;
      ok(first === undefined || isForgotten, `entry ${item.index} runs ${name} again`);
      firsts.set(name, { index: item.index, clockMs, answer });
      runs.set(name, (runs.get(name) ?? 0) + 1);
    } else if ("results" in answer) {
      deepStrictEqual(answer, { results: first?.answer, index: first?.index });
    } else {
      ok(answer.code === (isKey ? "key_reused" : "session_refused"), answer.error);
    }
  });
  return runs;
}

Deno.test("Each key and each forwarded write is run once, whatever is sent, batched, killed and copied", () => {
  let repeated = 0;
  let expired = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(draw, elapsed), { minLength: 110, maxLength: 150, size: "max" }),
      fc.array(event, { minLength: 150, maxLength: 150 }),
      (draws, events) => {
        using folder = new TemporaryFolder();
        const log = logOf(draws);
        const whole = applyLog(folder, log, []);
        const broken = applyLog(folder, log, events);
        deepStrictEqual(broken, whole);
        const runs = checkOnce(log, whole);
        for (const [name, count] of runs) {
          const rows = whole.content.split("\n").filter((line) =>
            line.includes(`|string ${name}|`)
          );
          strictEqual(rows.filter((line) => line.startsWith("t: ")).length, count, name);
          if (count > 1) expired++;
        }
        for (const answer of whole.answers) {
          if (typeof answer !== "object") continue;
          if ("results" in answer) repeated++;
          else refused++;
        }
      },
    ),
    { numRuns: 12 },
  );
  // Fewer mean that nothing was tried.
  ok(
    repeated > 50 && refused > 50 && expired > 5,
    JSON.stringify({ repeated, refused, expired }),
  );
});
