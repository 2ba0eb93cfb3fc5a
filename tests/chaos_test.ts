/**
 * The parts of `deno task chaos`, by histories of which it is known whether they are good; and a short run.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { FaultProxy, GOOD_LINK, type LinkState } from "./chaos/fault_proxy.ts";
import { checkRows } from "./chaos/judge.ts";
import { checkLists, type ListStep, type ListTransaction } from "./chaos/list_checker.ts";
import { checkRegister, type RegisterOperation } from "./chaos/register_checker.ts";

/** `[from, to]` in milliseconds; without `to` nobody knows how it ended. */
type Span = readonly [from: number, to?: number];

function write(value: number, [from, to = Infinity]: Span): RegisterOperation {
  return { kind: "write", value, invokedMs: from, returnedMs: to };
}

function read(seen: number | undefined, [from, to = Infinity]: Span): RegisterOperation {
  return { kind: "read", seen, invokedMs: from, returnedMs: to };
}

function swap(expected: number, value: number, [from, to = Infinity]: Span): RegisterOperation {
  const times = { invokedMs: from, returnedMs: to };
  return { kind: "compare_and_set", expected, value, isSet: true, ...times };
}

function noSwap(expected: number, value: number, span: Span): RegisterOperation {
  return { ...swap(expected, value, span), isSet: false };
}

const REGISTERS: readonly (readonly [string, "linearizable" | "violated", RegisterOperation[]])[] =
  [
    ["nothing", "linearizable", []],
    ["a read of nothing", "linearizable", [read(undefined, [0, 1])]],
    ["one after the other", "linearizable", [write(1, [0, 1]), read(1, [2, 3]), write(2, [4, 5])]],
    ["two writes at once, seen either way", "linearizable", [
      write(1, [0, 10]),
      write(2, [0, 10]),
      read(2, [11, 12]),
    ]],
    ["a write that is seen while it runs", "linearizable", [write(1, [0, 10]), read(1, [2, 3])]],
    ["an unknown write that happened late", "linearizable", [
      write(1, [0]),
      write(2, [1, 2]),
      read(2, [3, 4]),
      read(1, [5, 6]),
    ]],
    ["an unknown write that never happened", "linearizable", [
      write(1, [0]),
      read(undefined, [1, 2]),
    ]],
    ["swaps in a row", "linearizable", [
      write(1, [0, 1]),
      swap(1, 2, [2, 3]),
      noSwap(1, 3, [4, 5]),
      read(2, [6, 7]),
    ]],
    ["an unknown swap that happened", "linearizable", [
      write(1, [0, 1]),
      noSwap(1, 2, [2]),
      read(2, [4, 5]),
    ]],
    ["a read whose answer was lost", "linearizable", [write(1, [0, 1]), read(7, [2])]],
    ["a stale read", "violated", [write(1, [0, 1]), write(2, [2, 3]), read(1, [4, 5])]],
    ["a lost write", "violated", [write(1, [0, 1]), read(undefined, [2, 3])]],
    ["a value that nobody wrote", "violated", [write(1, [0, 1]), read(9, [2, 3])]],
    ["a write that is seen before it began", "violated", [read(1, [0, 1]), write(1, [2, 3])]],
    ["back and forth between two writes", "violated", [
      write(1, [0, 10]),
      write(2, [0, 10]),
      read(1, [11, 12]),
      read(2, [13, 14]),
    ]],
    ["a new value and then the old one, while a write runs", "violated", [
      write(1, [0, 1]),
      write(2, [2, 20]),
      read(2, [3, 4]),
      read(1, [5, 6]),
    ]],
    ["two swaps of one value", "violated", [
      write(1, [0, 1]),
      swap(1, 2, [2, 10]),
      swap(1, 3, [2, 10]),
    ]],
    ["a swap that should have failed", "violated", [write(1, [0, 1]), swap(5, 2, [2, 3])]],
    ["a swap that should not have failed", "violated", [
      write(1, [0, 1]),
      noSwap(1, 2, [2, 3]),
    ]],
    ["an unknown write that is seen twice, with another between", "violated", [
      write(1, [0]),
      read(1, [1, 2]),
      write(2, [3, 4]),
      read(1, [5, 6]),
    ]],
    ["an unseen write of unknown outcome explains a swap that failed", "linearizable", [
      write(1, [0, 1]),
      write(7, [2]),
      write(8, [2]),
      noSwap(1, 2, [3, 4]),
    ]],
    ["an unseen write does not give way to what was there before", "violated", [
      write(1, [0, 1]),
      write(7, [2]),
      write(8, [2]),
      noSwap(1, 2, [3, 4]),
      read(1, [5, 6]),
    ]],
    ["a lost swap", "violated", [
      write(1, [0, 1]),
      swap(1, 2, [2, 3]),
      read(1, [4, 5]),
    ]],
  ];

Deno.test("checkRegister() tells good histories from bad ones", () => {
  for (const [name, verdict, history] of REGISTERS) {
    strictEqual(checkRegister(history), verdict, name);
    strictEqual(checkRegister(history.toReversed()), verdict, `${name}, written down backwards`);
  }
});

Deno.test("checkRegister() ends on long histories with much at once", () => {
  const history: RegisterOperation[] = [];
  for (let at = 0; at < 300; at++) {
    history.push(at % 7 === 0 ? write(1000 + at, [at * 10]) : write(at, [at * 10, at * 10 + 15]));
    history.push(read(at % 7 === 0 ? at - 1 : at, [at * 10 + 16, at * 10 + 18]));
  }
  history.shift();
  history.shift();
  strictEqual(checkRegister(history), "linearizable");
});

Deno.test("checkRegister() decides what dozens of requests to a cut-off cluster leave behind", () => {
  const unknown = Array.from(
    { length: 60 },
    (_, at): RegisterOperation =>
      at % 3 === 0 ? write(1000 + at, [10 + at]) : noSwap(1, 1000 + at, [10 + at]),
  );
  const before = [write(1, [0, 1]), ...unknown, read(1, [100, 101])];
  strictEqual(checkRegister([...before, swap(1, 2, [102, 103])]), "linearizable");
  strictEqual(
    checkRegister([...before, noSwap(1, 2, [102, 103]), read(1, [104, 105])]),
    "violated",
  );
});

/** Every order and every choice of those whose outcome is unknown, without any cleverness. */
function isLinearizable(rest: readonly RegisterOperation[], state: number | undefined): boolean {
  const isDone = ({ returnedMs }: RegisterOperation): boolean => returnedMs !== Infinity;
  if (!rest.some(isDone)) return true;
  return rest.some((operation) => {
    const others = rest.filter((other) => other !== operation);
    if (others.some(({ returnedMs }) => returnedMs < operation.invokedMs)) return false;
    const { kind, value, expected, seen, isSet } = operation;
    if (kind === "read") return seen === state && isLinearizable(others, state);
    const matches = kind === "write" || state === expected;
    if (kind !== "write" && isDone(operation) && matches !== isSet) return false;
    return isLinearizable(others, matches ? value : state);
  });
}

Deno.test("checkRegister() agrees with trying everything", () => {
  const time = fc.integer({ min: 0, max: 12 });
  const small = fc.integer({ min: 1, max: 4 });
  const operation = fc.record({
    kind: fc.constantFrom("read", "write", "compare_and_set"),
    value: small,
    expected: small,
    isSet: fc.boolean(),
    from: time,
    takes: fc.option(fc.integer({ min: 1, max: 6 })),
  }).map(({ kind, value, expected, isSet, from, takes }): RegisterOperation => {
    const span: Span = takes === null ? [from] : [from, from + takes];
    if (kind === "write") return write(value, span);
    if (kind === "compare_and_set") return { ...swap(expected, value, span), isSet };
    return read(value === 4 ? undefined : value, span);
  }).filter(({ kind, returnedMs }) => kind !== "read" || returnedMs !== Infinity);
  const verdicts = new Set<string>();
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 6 }), (history) => {
      const verdict = isLinearizable(history, undefined) ? "linearizable" : "violated";
      verdicts.add(verdict);
      strictEqual(checkRegister(history), verdict);
    }),
    { numRuns: 3000, seed: 7 },
  );
  strictEqual(verdicts.size, 2);
});

function append(list: number, element: number): ListStep {
  return { kind: "append", list, element };
}

function look(list: number, ...elements: number[]): ListStep {
  return { kind: "read", list, elements };
}

function done(index: number, ...steps: ListStep[]): ListTransaction {
  return { outcome: "done", index, steps, invokedMs: index * 10, returnedMs: index * 10 + 5 };
}

function other(outcome: "refused" | "unknown", at: number, ...steps: ListStep[]): ListTransaction {
  return { outcome, index: 0, steps, invokedMs: at * 10, returnedMs: Infinity };
}

type Lists = readonly (readonly [number, readonly number[]])[];

const GOOD_LISTS: readonly (readonly [string, readonly ListTransaction[], Lists])[] = [
  ["nothing", [], []],
  ["one after the other", [
    done(1, append(1, 10)),
    done(2, look(1, 10), append(1, 11), look(1, 10, 11)),
    done(2.5, look(1, 10, 11), look(2)),
  ], [[1, [10, 11]]]],
  ["unknown ones, there and not", [
    done(1, append(1, 10)),
    other("unknown", 2, append(1, 11), append(2, 20)),
    other("unknown", 2, append(1, 12)),
    done(3, look(1, 10, 11)),
  ], [[1, [10, 11]], [2, [20]]]],
  ["a refused one", [other("refused", 1, append(1, 10)), done(2, look(1))], []],
];

const BAD_LISTS: readonly (readonly [string, readonly ListTransaction[], Lists, RegExp])[] = [
  ["a lost write", [done(1, append(1, 10))], [], /acknowledged/],
  ["a doubled write", [done(1, append(1, 10))], [[1, [10, 10]]], /twice/],
  ["an element from nowhere", [], [[1, [10]]], /nobody/],
  ["an element in another list", [done(1, append(1, 10))], [[2, [10]]], /nobody/],
  ["a refused write that is there (G1a)", [other("refused", 1, append(1, 10))], [[1, [10]]], /G1a/],
  ["half a transaction", [other("unknown", 1, append(1, 10), append(2, 20))], [[1, [10]]], /some/],
  [
    "writes in another order than the log (G0)",
    [
      done(1, append(1, 10)),
      done(2, append(1, 11)),
    ],
    [[1, [11, 10]]],
    /G0/,
  ],
  [
    "a read of what never was (G1b)",
    [
      done(1, append(1, 10)),
      done(2, append(1, 11)),
      done(3, look(1, 11)),
    ],
    [[1, [10, 11]]],
    /never was/,
  ],
  [
    "a read of the future (G1c)",
    [
      done(1, append(1, 10), look(2, 20)),
      done(2, append(2, 20)),
    ],
    [[1, [10]], [2, [20]]],
    /later/,
  ],
  [
    "a stale read (G-single)",
    [
      done(1, append(1, 10)),
      done(2, append(1, 11)),
      done(3, look(1, 10)),
    ],
    [[1, [10, 11]]],
    /did not see 11/,
  ],
  [
    "write skew (G2)",
    [
      done(1, append(1, 10), look(2)),
      done(2, append(2, 20), look(1)),
    ],
    [[1, [10]], [2, [20]]],
    /did not see 10/,
  ],
  [
    "a transaction that misses its own append",
    [
      done(1, append(1, 10), look(1)),
    ],
    [[1, [10]]],
    /itself/,
  ],
  [
    "an index that goes back in real time",
    [
      { ...done(5, append(1, 10)), invokedMs: 0, returnedMs: 1 },
      { ...done(3, append(2, 20)), invokedMs: 2, returnedMs: 3 },
    ],
    [[1, [10]], [2, [20]]],
    /had ended/,
  ],
  [
    "one index for two writes",
    [
      { ...done(5, append(1, 10)), invokedMs: 0, returnedMs: 1 },
      { ...done(5, append(2, 20)), invokedMs: 2, returnedMs: 3 },
    ],
    [[1, [10]], [2, [20]]],
    /had ended/,
  ],
  [
    "a reader that began later and saw less",
    [
      { ...done(5, append(1, 10)), invokedMs: 0, returnedMs: 1 },
      { ...done(4.5, look(2)), invokedMs: 2, returnedMs: 3 },
    ],
    [[1, [10]]],
    /had ended/,
  ],
];

Deno.test("checkLists() finds nothing in good histories, and what is wrong in bad ones", () => {
  for (const [name, history, lists] of GOOD_LISTS) {
    deepStrictEqual(checkLists(history, new Map(lists)), [], name);
  }
  for (const [name, history, lists, expected] of BAD_LISTS) {
    match(checkLists(history, new Map(lists)).join("; "), expected, name);
  }
});

Deno.test("checkRows() finds rows that are lost, doubled, refused or foreign", () => {
  const row = { id: "1", hasKey: true } as const;
  deepStrictEqual(checkRows([{ ...row, outcome: "done" }], [["1", 1]]), []);
  deepStrictEqual(checkRows([{ ...row, outcome: "unknown" }], []), []);
  strictEqual(checkRows([{ ...row, outcome: "done" }], []).length, 1);
  strictEqual(checkRows([{ ...row, outcome: "unknown" }], [["1", 2]]).length, 1);
  strictEqual(checkRows([{ ...row, outcome: "refused" }], [["1", 1]]).length, 1);
  strictEqual(checkRows([], [["1", 1]]).length, 1);
});

Deno.test("FaultProxy passes, stalls one direction, and cuts", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let back: LinkState = GOOD_LINK;
  const proxy = new FaultProxy({
    name: "server",
    target: `127.0.0.1:${listener.addr.port}`,
    sourceOf: () => "client",
    linkOf: (from) => from === "server" ? back : GOOD_LINK,
  });
  const [hostname = "", port = ""] = proxy.address.split(":");
  const client = await Deno.connect({ hostname, port: Number(port) });
  const server = await listener.accept();
  const text = async (from: Deno.Conn): Promise<string> => {
    const buffer = new Uint8Array(100);
    const count = await from.read(buffer);
    return new TextDecoder().decode(buffer.subarray(0, count ?? 0));
  };
  const send = (to: Deno.Conn, words: string): Promise<number> =>
    to.write(new TextEncoder().encode(words));
  await send(client, "there");
  strictEqual(await text(server), "there");
  back = { ...GOOD_LINK, isStalled: true };
  await send(server, "back");
  let hasCome = false;
  const answer = text(client).then((words) => {
    hasCome = true;
    return words;
  });
  await send(client, "again");
  strictEqual(await text(server), "again");
  ok(!hasCome, "a stalled direction passed something");
  back = GOOD_LINK;
  strictEqual(await answer, "back");
  strictEqual(proxy.cut("client"), 1);
  strictEqual(await text(client), "");
  server.close();
  client.close();
  proxy.close();
});
