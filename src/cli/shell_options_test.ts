import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { parseShellOptions, type ShellOptions } from "./shell_options.ts";

function optionsOf(line: string, environment: Record<string, string> = {}): ShellOptions {
  const outcome = parseShellOptions({ argv: line.split(" ").filter(Boolean), environment });
  if (outcome.kind !== "run") throw new Error(JSON.stringify(outcome));
  return outcome.options;
}

function refusalOf(line: string, environment: Record<string, string> = {}): string {
  const outcome = parseShellOptions({ argv: line.split(" ").filter(Boolean), environment });
  return outcome.kind === "refused" ? outcome.text.split("\n")[0] ?? "" : outcome.kind;
}

Deno.test("parseShellOptions() has rqlite's defaults", () => {
  deepStrictEqual(optionsOf(""), {
    origins: ["http://127.0.0.1:4001"],
    prefix: "/",
    credentials: undefined,
    timeoutMs: 30_000,
    caFile: undefined,
    certificateFile: undefined,
    keyFile: undefined,
    historyLinesMax: 100,
  });
});

Deno.test("parseShellOptions() takes each option in its short and long spelling", () => {
  const long = optionsOf(
    "--host ::1 --port 5 --scheme https --prefix a/b --user n:p:q " +
      "--http-timeout 0s --alternatives x:1,y:2 --ca-cert c --client-cert d --client-key k",
  );
  const short = optionsOf("-H ::1 -p 5 -s https -P /a/b/ -u n:p:q -t 0s -a x:1,y:2 -c c -d d -k k");
  deepStrictEqual(long, short);
  deepStrictEqual(long.origins, ["https://[::1]:5", "https://x:1", "https://y:2"]);
  strictEqual(long.prefix, "/a/b/");
  strictEqual(long.credentials, "n:p:q");
});

Deno.test("parseShellOptions() reads RQLITE_HOST unless the command line names the node", () => {
  const origin = (line: string, host: string): string | undefined =>
    optionsOf(line, { RQLITE_HOST: host }).origins[0];
  strictEqual(origin("", "https://db:5001"), "https://db:5001");
  strictEqual(origin("", "//db"), "http://db:4001");
  strictEqual(origin("", "//[::1]:7"), "http://[::1]:7");
  strictEqual(origin("-p 9", "//db:5001"), "http://127.0.0.1:9");
  strictEqual(optionsOf("", { RQLITE_HOST: "//a", DUST_HOST: "//b" }).origins[0], "http://b:4001");
  ok(refusalOf("", { RQLITE_HOST: "db:5001" }).startsWith("Variable DUST_HOST must be like"));
  strictEqual(optionsOf("", { RQLITE_HISTFILESIZE: "7" }).historyLinesMax, 7);
  strictEqual(optionsOf("", { RQLITE_HISTFILESIZE: "x" }).historyLinesMax, 100);
});

Deno.test("parseShellOptions() refuses in one sentence", () => {
  strictEqual(refusalOf("-x"), "Unknown flag: -x");
  strictEqual(refusalOf("SELECT"), "Unexpected argument: SELECT");
  strictEqual(refusalOf("-s ftp"), "Scheme must be http or https, not ftp");
  strictEqual(refusalOf("-p http"), "Port must be a number, not http");
  strictEqual(refusalOf("-i"), "Not available yet: --insecure; name the CA with --ca-cert");
  strictEqual(
    refusalOf("-k key"),
    "Flags --client-cert and --client-key go together: one of them is missing",
  );
  strictEqual(refusalOf("-h"), "help");
  strictEqual(refusalOf("-v"), "version");
});
