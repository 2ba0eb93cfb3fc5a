/**
 * The command line's grammar: Go's, as rqlited's users know it, and the environment beside it.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import {
  choiceFlag,
  countFlag,
  durationFlag,
  listFlag,
  sizeFlag,
  switchFlag,
  textFlag,
} from "./flag.ts";
import { environmentName, type FlagOutcome, parseFlags } from "./flag_parser.ts";
import { formatFlags } from "./flag_help.ts";

const TABLE = {
  "node-id": textFlag({ group: "A", placeholder: "ID", meaning: "Name" }),
  "fk": switchFlag({ group: "A", meaning: "Keys" }),
  "step-down": switchFlag({ group: "B", meaning: "Hand over", on: true }),
  "snap": countFlag({ group: "B", initial: 8192, max: 9000, meaning: "Entries" }),
  "wait": durationFlag({ group: "B", initial: "10s", minMs: 5, meaning: "Pause" }),
  "body": sizeFlag({ group: "B", initial: 2 ** 20, max: 2 ** 30, meaning: "Bytes" }),
  "join": listFlag({ group: "B", placeholder: "ADDRESS,...", meaning: "Addresses" }),
  "level": choiceFlag({ group: "B", choices: ["WARN", "INFO"], initial: "WARN", meaning: "Level" }),
  "host": textFlag({ group: "C", placeholder: "HOST", meaning: "Host", aliases: ["H"] }),
  "version": switchFlag({ group: "C", meaning: "Version", commandLineOnly: true }),
} as const;

function parse(
  argv: readonly string[],
  environment: Record<string, string> = {},
): FlagOutcome<typeof TABLE> {
  return parseFlags(TABLE, { argv, environment, environmentPrefix: "DUST" });
}

/** The values that differ from the defaults, and the operands; or what is wrong. */
function summary(argv: readonly string[], environment: Record<string, string> = {}): unknown {
  const outcome = parse(argv, environment);
  if (outcome.kind === "help") return "help";
  if (outcome.kind === "wrong") return outcome.message;
  const given = Object.entries(outcome.values).filter(([name]) => outcome.given.has(name));
  return [Object.fromEntries(given), ...outcome.operands];
}

Deno.test("parseFlags() takes one dash or two, a space or an equals sign", () => {
  for (const argv of [["-node-id", "7"], ["--node-id", "7"], ["-node-id=7"], ["--node-id=7"]]) {
    deepStrictEqual(summary([...argv, "data"]), [{ "node-id": "7" }, "data"]);
  }
  deepStrictEqual(summary(["-node-id="]), [{ "node-id": "" }]);
  deepStrictEqual(summary(["-node-id", "-fk"]), [{ "node-id": "-fk" }]);
  deepStrictEqual(summary(["-node-id=a=b"]), [{ "node-id": "a=b" }]);
  deepStrictEqual(summary(["-H", "here", "--host=there"]), [{ host: "there" }]);
});

Deno.test("parseFlags() gives a switch a value only behind an equals sign", () => {
  deepStrictEqual(summary(["-fk", "false"]), [{ fk: true }, "false"]);
  for (const no of ["0", "f", "F", "false", "FALSE", "False"]) {
    deepStrictEqual(summary([`-step-down=${no}`]), [{ "step-down": false }]);
  }
  for (const yes of ["1", "t", "T", "true", "TRUE", "True"]) {
    deepStrictEqual(summary([`--fk=${yes}`]), [{ fk: true }]);
  }
  strictEqual(summary(["-fk=yes"]), 'Flag -fk must be true or false, not "yes"');
  strictEqual(summary(["-fk="]), 'Flag -fk must be true or false, not ""');
});

Deno.test("parseFlags() stops at the first word that is no flag, and at --", () => {
  deepStrictEqual(summary(["-fk", "data", "-snap", "1"]), [{ fk: true }, "data", "-snap", "1"]);
  deepStrictEqual(summary(["-fk", "--", "-snap"]), [{ fk: true }, "-snap"]);
  deepStrictEqual(summary(["-"]), [{}, "-"]);
  deepStrictEqual(summary([""]), [{}, ""]);
});

Deno.test("parseFlags() says what is wrong in one sentence", () => {
  strictEqual(summary(["-nope"]), "Unknown flag: -nope");
  strictEqual(summary(["--nope=1"]), "Unknown flag: -nope");
  strictEqual(summary(["---fk"]), "Not a flag: ---fk");
  strictEqual(summary(["-=1"]), "Not a flag: -=1");
  strictEqual(summary(["-node-id"]), "Flag -node-id needs a value");
  strictEqual(
    summary(["-snap", "9001"]),
    'Flag -snap must be a whole number from 0 to 9000, not "9001"',
  );
  strictEqual(
    summary(["-wait", "10"]),
    'Flag -wait must be a duration of at least 5ms, such as 500ms, 10s or 1m30s, not "10"',
  );
  strictEqual(summary(["-level", "LOUD"]), 'Flag -level must be one of WARN, INFO, not "LOUD"');
});

Deno.test("parseFlags() reads each type, and nothing that only looks like it", () => {
  deepStrictEqual(
    summary(["-snap", "9000", "-wait", "5ms", "-level", "info", "-join", "a:1, b:2,"]),
    [
      { snap: 9000, wait: 5, join: ["a:1", "b:2"], level: "INFO" },
    ],
  );
  for (const [text, bytes] of [["0", 0], ["7B", 7], ["2KiB", 2048], ["1GiB", 2 ** 30]] as const) {
    deepStrictEqual(summary(["-body", text]), [{ body: bytes }]);
  }
  for (const text of ["", "-1", "+1", "010", "1e3", "1.5", "0x10", " 1", "1 "]) {
    strictEqual(parse(["-snap", text]).kind, "wrong", text);
    strictEqual(parse(["-body", text]).kind, "wrong", text);
  }
  for (const text of ["1kb", "1MB", "1073741825", "2GiB"]) {
    strictEqual(parse(["-body", text]).kind, "wrong", text);
  }
  for (const text of ["4ms", "-1s", "1d", ""]) {
    strictEqual(parse(["-wait", text]).kind, "wrong", text);
  }
});

Deno.test("parseFlags() reads the environment, and the command line wins", () => {
  strictEqual(environmentName("DUST", "raft-snap-int"), "DUST_RAFT_SNAP_INT");
  const environment = { DUST_NODE_ID: "env", DUST_FK: "false", DUST_STEP_DOWN: "0", DUST_SNAP: "" };
  deepStrictEqual(summary(["-node-id", "argv"], environment), [
    { "node-id": "argv", "fk": false, "step-down": false },
  ]);
  strictEqual(
    summary([], { DUST_SNAP: "many" }),
    'Flag DUST_SNAP must be a whole number from 0 to 9000, not "many"',
  );
  deepStrictEqual(summary([], { DUST_VERSION: "1.2.3" }), [{}]);
});

Deno.test("parseFlags() takes -h, -help and --help for a question, unless they are flags", () => {
  for (const word of ["-h", "-help", "--help", "--h"]) strictEqual(summary([word, "x"]), "help");
  const table = { hot: switchFlag({ group: "A", meaning: "Hot", aliases: ["h"] }) } as const;
  const outcome = parseFlags(table, {
    argv: ["-h"],
    environment: {},
    environmentPrefix: undefined,
  });
  strictEqual(outcome.kind, "values");
});

Deno.test("parseFlags() gives every flag its default", () => {
  const outcome = parse([]);
  strictEqual(outcome.kind, "values");
  if (outcome.kind !== "values") return;
  deepStrictEqual(outcome.values, {
    "node-id": "",
    "fk": false,
    "step-down": true,
    "snap": 8192,
    "wait": 10_000,
    "body": 2 ** 20,
    "join": [],
    "level": "WARN",
    "host": "",
    "version": false,
  });
});

Deno.test("formatFlags() groups flags and folds at 100 columns", () => {
  const long = "word ".repeat(30).trim();
  const text = formatFlags({
    ...TABLE,
    "a-flag-whose-name-leaves-no-room": textFlag({
      group: "C",
      placeholder: "TEXT",
      meaning: long,
    }),
  });
  deepStrictEqual(text.split("\n").filter((line) => line.endsWith(":")), ["A:", "B:", "C:"]);
  ok(text.split("\n").every((line) => line.length <= 100));
  strictEqual(text.match(/word/g)?.length, 30);
  ok(text.includes("  --body BYTES                          Bytes (default 1MiB)\n"));
  ok(text.includes("  -H, --host HOST "));
});
