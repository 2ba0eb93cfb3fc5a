/**
 * The shell's session against a scripted node: what is sent, and what is printed.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { type ShellAnswer, type ShellRequest, ShellRequestError } from "./shell_client.ts";
import { dotCommandNames, runDotCommand } from "./shell_commands.ts";
import { ShellSession } from "./shell_session.ts";

interface Script {
  readonly session: ShellSession;
  /** `METHOD path body`, in order. */
  readonly sent: string[];
  /** What was printed since the last call. */
  readonly printed: () => string;
  readonly files: Map<string, string>;
}

/** A node that gives `answers` in turn: text with status 200, or a status with text. */
function script(...answers: (string | readonly [number, string] | Error)[]): Script {
  const sent: string[] = [];
  const files = new Map<string, string>();
  let output = "";
  const send = (request: ShellRequest): Promise<ShellAnswer> => {
    const body = typeof request.body === "string" ? ` ${request.body}` : "";
    sent.push(`${request.method} ${request.path}${body}`);
    const next = answers.shift() ?? [500, "no more answers"] as const;
    if (next instanceof Error) return Promise.reject(next);
    const [status, text] = typeof next === "string" ? [200, next] as const : next;
    const bytes = new TextEncoder().encode(text);
    return Promise.resolve({ status, text, bytes, headers: new Headers() });
  };
  const session = new ShellSession({
    client: { address: "node:4001", send },
    runDotCommand,
    output: {
      print: (text) => void (output += text),
      appendFile: (path, text) => void files.set(path, (files.get(path) ?? "") + text),
    },
  });
  const printed = (): string => {
    const text = output;
    output = "";
    return text;
  };
  return { session, sent, printed, files };
}

const ROW =
  '{"results":[{"columns":["COUNT(*)"],"types":["integer"],"values":[[1900]],"time":0.5}]}';

Deno.test("runLine() sends SQL as a one-element array and prints the table", async () => {
  const { session, sent, printed } = script(ROW);
  ok(await session.runLine('  SELECT COUNT(*) FROM "foo"  '));
  deepStrictEqual(sent, ['POST db/request?level=weak ["SELECT COUNT(*) FROM \\"foo\\""]']);
  strictEqual(printed(), "+----------+\n| COUNT(*) |\n+----------+\n| 1900     |\n+----------+\n");
});

Deno.test("runLine() prints rows affected, in the plural only above one", async () => {
  const answer = (rows: number): string =>
    `{"results":[{"last_insert_id":7,"rows_affected":${rows},"time":0.25}]}`;
  const { session, sent, printed } = script(
    answer(0),
    answer(1),
    answer(2),
    answer(1),
    '{"results":[{}]}',
  );
  for (const _ of [0, 1, 2]) await session.runLine("INSERT");
  strictEqual(printed(), "0 row affected\n1 row affected\n2 rows affected\n");
  await session.runLine(".timer on");
  await session.runLine(".changes on");
  await session.runLine(".forcewrites on");
  await session.runLine("INSERT");
  strictEqual(printed(), "1 row affected (0.250000 sec)\nlast insert ID: 7\n");
  strictEqual(sent.at(-1), 'POST db/execute?timings ["INSERT"]');
  await session.runLine("CREATE");
  strictEqual(printed(), "0 row affected (0.000000 sec)\nlast insert ID: 0\n");
});

Deno.test("runLine() tells statement errors from failures", async () => {
  const { session, printed } = script(
    '{"results":[{"error":"no such table: nope"}]}',
    '{"results":[],"error":"leader not found"}',
    [503, "store not open\n"],
    '{"results":[]}',
    '{"results":[{"columns":["a"]},{"columns":["a"]}]}',
    "<html>",
    new ShellRequestError("Canceled"),
  );
  for (let at = 0; at < 7; at++) ok(await session.runLine("SELECT 1"));
  strictEqual(
    printed(),
    "Error: no such table: nope\n" +
      "ERR! leader not found\n" +
      "ERR! status 503: store not open\n" +
      "ERR! expected one result, got 0\n" +
      "ERR! expected one result, got 2\n" +
      "ERR! answer is not JSON: <html>\n" +
      "ERR! Canceled\n",
  );
});

Deno.test("runLine() ends the shell at exit and quit, with and without a dot", async () => {
  const { session, sent } = script();
  for (const line of ["exit", "QUIT", ".exit", ".Quit"]) ok(!(await session.runLine(line)), line);
  ok(await session.runLine(""));
  ok(await session.runLine("   "));
  deepStrictEqual(sent, []);
});

Deno.test("dot commands count in any letter case, and unknown ones are said so", async () => {
  const { session, printed } = script([200, "ok"], [503, "no leader"]);
  await session.runLine(".READY");
  await session.runLine(".ready");
  await session.runLine(".nope");
  await session.runLine(".read");
  strictEqual(
    printed(),
    "ready\nnot ready\nERR! unknown command .nope, see .help\nERR! usage: .read FILE\n",
  );
  await session.runLine(".help");
  const help = printed();
  for (const name of dotCommandNames()) ok(help.includes(`${name} `), name);
  ok(help.includes("Show"));
});

Deno.test(".tables, .indexes and .schema query at the session's level", async () => {
  const { session, sent } = script(ROW, ROW, ROW);
  await session.runLine(".consistency strong");
  await session.runLine(".blobarray on");
  await session.runLine(".tables");
  await session.runLine(".indexes");
  await session.runLine(".schema");
  deepStrictEqual(sent, [
    'POST db/query?level=strong&blob_array ["SELECT name FROM sqlite_master WHERE ' +
    'type=\\"table\\" ORDER BY name ASC"]',
    'POST db/query?level=strong&blob_array ["SELECT sql FROM sqlite_master WHERE type=\\"index\\""]',
    'POST db/query?level=strong&blob_array ["SELECT sql FROM sqlite_master WHERE sql IS NOT ' +
    'NULL ORDER BY rowid ASC"]',
  ]);
});

Deno.test("settings are shown, set, and guarded", async () => {
  const { session, printed } = script();
  for (const line of [".consistency", ".mode", ".timer", ".timer", ".timer on"]) {
    await session.runLine(line);
  }
  strictEqual(printed(), "weak\ncolumn\non\noff\n");
  for (const line of [".consistency maybe", ".mode html", ".timer perhaps", ".snapshot x"]) {
    await session.runLine(line);
  }
  strictEqual(
    printed(),
    "ERR! level must be one of none, weak, linearizable, strong\n" +
      "ERR! mode must be one of column, csv, json, line\n" +
      "ERR! say on or off\nERR! TRAILING must be a number\n",
  );
  await session.runLine(".mode CSV");
  await session.runLine(".show");
  ok(/node: node:4001\n {4}mode: csv\n {3}level: weak\n {3}timer: on/.test(printed()));
});

Deno.test(".status, .nodes, .expvar and .leader show trees", async () => {
  const nodes =
    '{"1":{"api_addr":"http://a:1","leader":false},"2":{"api_addr":"http://b:1","leader":true}}';
  const { session, sent, printed } = script(
    '{"build":{"version":"1"}}',
    nodes,
    '{"cmdline":["a"]}',
    nodes,
    "{}",
  );
  await session.runLine(".status store.raft");
  strictEqual(printed(), "build:\n  version: 1\n");
  await session.runLine(".nodes all");
  ok(printed().includes("  api_addr: http://a:1\n"));
  await session.runLine(".expvar");
  strictEqual(printed(), "cmdline:\n  - a\n");
  await session.runLine(".leader");
  strictEqual(printed(), "2:\n  api_addr: http://b:1\n  leader: true\n");
  await session.runLine(".leader");
  strictEqual(printed(), "ERR! no leader found\n");
  deepStrictEqual(sent, [
    "GET status?key=store.raft",
    "GET nodes?nonvoters",
    "GET debug/vars",
    "GET nodes",
    "GET nodes",
  ]);
});

Deno.test("operations are thin clients of the HTTP API", async () => {
  const ok200 = [200, ""] as const;
  const { session, sent, printed } = script(
    [204, ""],
    '{"snapshots_reaped":3,"wals_checkpointed":2}\n',
    ok200,
    ok200,
    ok200,
    ok200,
    [501, "Backups are not available yet\n"],
  );
  const lines = [
    ".snapshot 5",
    ".reap",
    ".remove n2",
    ".stepdown",
    ".stepdown n3",
    ".settime",
    ".backup /none/x",
  ];
  for (const line of lines) await session.runLine(line);
  deepStrictEqual(sent, [
    "POST snapshot?trailing_logs=5",
    "POST reap",
    'DELETE remove {"id":"n2"}',
    "POST leader?wait=true",
    'POST leader?wait=true {"id":"n3"}',
    "POST time",
    "GET db/backup",
  ]);
  strictEqual(
    printed(),
    "snapshots reaped: 3, WALs checkpointed: 2\nERR! status 501: Backups are not available yet\n",
  );
});

Deno.test(".backup, .dump, .restore, .boot, .read and .output use files", async () => {
  const folder = await Deno.makeTempDir({ prefix: "dust-shell-" });
  try {
    const status = '{"store":{}}';
    const loaded = '{"results":[{"last_insert_id":4,"rows_affected":1}]}';
    const { session, sent, printed, files } = script(
      "SQLite format 3\0rest",
      "CREATE TABLE t(a);",
      status,
      [200, ""],
      status,
      loaded,
      status,
      [200, ""],
      ROW,
      ROW,
    );
    await session.runLine(`.backup ${folder}/b`);
    await session.runLine(`.dump ${folder}/d t,u`);
    await session.runLine(`.boot ${folder}/b`);
    await session.runLine(`.restore ${folder}/d`);
    await session.runLine(`.restore ${folder}/b`);
    await session.runLine(`.boot ${folder}/d`);
    await session.runLine(`.restore ${folder}/none`);
    strictEqual(
      printed().replace(/none: .*\n/, "none: ...\n"),
      "backup file written successfully\nSQL text file written successfully\n" +
        "Node booted successfully.\nlast inserted ID: 4\nrows affected: 1\n" +
        "Database restored successfully.\nDatabase restored successfully.\n" +
        `ERR! ${folder}/d is not an SQLite file\nERR! ${folder}/none: ...\n`,
    );
    strictEqual(sent[1], "GET db/backup?fmt=sql&tables=t%2Cu");
    strictEqual(sent[5], "POST db/load CREATE TABLE t(a);\nPRAGMA foreign_keys=OFF;");
    await Deno.writeTextFile(`${folder}/sql`, "-- comment\n\nSELECT 1\n  SELECT 2  \n");
    await session.runLine(`.output ${folder}/out`);
    await session.runLine(`.read ${folder}/sql`);
    strictEqual(printed(), "");
    strictEqual(files.get(`${folder}/out`)?.match(/1900/g)?.length, 2);
    strictEqual(sent.at(-1), 'POST db/request?level=weak ["SELECT 2"]');
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
