import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { explainFailure, includedFiles, v8Option } from "./compile.ts";

const PROJECT = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

Deno.test("includedFiles() has every Worker entry point that the program starts, and the library", () => {
  const included = includedFiles(PROJECT);
  const started = [...sourceFiles("src")].flatMap((path) => {
    const text = Deno.readTextFileSync(`${PROJECT}/${path}`);
    const folder = path.slice(0, path.lastIndexOf("/"));
    return [...text.matchAll(/new Worker\(\s*new URL\("\.\/([^"]+)"/g)].map(([, name]) =>
      `${folder}/${name}`
    );
  });
  ok(started.length > 0);
  for (const path of started) ok(included.includes(path), `${path} is not in the executable`);
  ok(included.some((path) => path.startsWith("lib/libsqlite3.")));
});

Deno.test("v8Option() bounds the young generation, as in deno task start", () => {
  match(v8Option(PROJECT), /^--v8-flags=\S*--max-semi-space-size=\d+/);
});

Deno.test("explainFailure() is one sentence", () => {
  const download =
    "Caused by:\n    0: Setting up base binary.\n    1: error sending request for url " +
    "(https://host/release/v2.9.6/denort-x86_64-unknown-linux-gnu.zip): client error\n";
  strictEqual(
    explainFailure(download, undefined),
    "Cannot build the executable: its base runtime cannot be downloaded from " +
      "https://host/release/v2.9.6/denort-x86_64-unknown-linux-gnu.zip; run this where that host " +
      "can be reached, or name a local copy in DENORT_BIN",
  );
  strictEqual(
    explainFailure(download, "/x"),
    "Cannot build the executable: DENORT_BIN names /x, which is no usable base runtime",
  );
  strictEqual(
    explainFailure("Compile main.ts\nerror: Module not found\n", undefined),
    "Cannot build the executable: Module not found",
  );
});

Deno.test("deno task compile refuses a DENORT_BIN that is not there", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", `${PROJECT}/scripts/compile.ts`],
    env: { DENORT_BIN: "/does/not/exist", NO_COLOR: "1" },
  }).output();
  deepStrictEqual([code, new TextDecoder().decode(stderr)], [
    1,
    "Cannot build the executable: DENORT_BIN names /does/not/exist, which is no file\n",
  ]);
});

function* sourceFiles(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(`${PROJECT}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* sourceFiles(path);
    else if (path.endsWith(".ts")) yield path;
  }
}
