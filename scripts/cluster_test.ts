import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { clusterText, parseClusterOptions } from "./cluster.ts";

Deno.test("parseClusterOptions() reads nodes, port, folder and the flags of the nodes", () => {
  const defaults = { nodes: 3, port: 4001, directory: undefined, flags: [] };
  deepStrictEqual(parseClusterOptions([]), defaults);
  deepStrictEqual(parseClusterOptions(["--", "data"]), { ...defaults, directory: "data" });
  deepStrictEqual(
    parseClusterOptions(["--nodes", "5", "--port", "9000", "data", "--", "--on-disk"]),
    { nodes: 5, port: 9000, directory: "data", flags: ["--on-disk"] },
  );
  for (const words of [["--nodes"], ["--nodes", "0"], ["--port", "x"], ["-x"], ["a", "b"]]) {
    strictEqual(typeof parseClusterOptions(words), "string", words.join(" "));
  }
});

Deno.test("clusterText() shows a line for each node, under each other", () => {
  const text = clusterText([
    { name: "1", http: "localhost:4001", state: "Leader", applied: "12" },
    { name: "2", http: "localhost:4003", state: "ended", applied: "" },
  ]);
  match(text, /^ {2}node {3}API {14}state {4}applied\n {2}1 {6}localhost:4001 {3}Leader {3}12\n/);
  match(text, /\n {2}2 {6}localhost:4003 {3}ended\n$/);
});
