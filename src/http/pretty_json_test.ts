import { strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { prettyJson, PrettyPrinter } from "./pretty_json.ts";

Deno.test("prettyJson() gives the wire's own example, byte for byte", () => {
  strictEqual(
    prettyJson(
      '{"results":[{"columns":["id","name"],"types":["integer","text"],"values":[[1,"fiona"]]}]}',
    ),
    `{
    "results": [
        {
            "columns": [
                "id",
                "name"
            ],
            "types": [
                "integer",
                "text"
            ],
            "values": [
                [
                    1,
                    "fiona"
                ]
            ]
        }
    ]
}`,
  );
});

Deno.test("prettyJson() leaves numbers, escapes and empty containers as they are", () => {
  strictEqual(
    prettyJson('{"a":1e+21,"b":-0,"c":[],"d":{},"e":[{}],"f":"\\"[{,:}]\\\\"}'),
    '{\n    "a": 1e+21,\n    "b": -0,\n    "c": [],\n    "d": {},\n    "e": [\n        {}\n    ],\n' +
      '    "f": "\\"[{,:}]\\\\"\n}',
  );
  strictEqual(prettyJson("9007199254740993"), "9007199254740993");
});

Deno.test("prettyJson() agrees with JSON.stringify's own indentation", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      strictEqual(prettyJson(JSON.stringify(value)), JSON.stringify(value, null, 4));
    }),
    { numRuns: 500 },
  );
});

Deno.test("PrettyPrinter.push() gives the same for any cut", () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.array(fc.nat(200)), (value, cuts) => {
      const text = JSON.stringify(value);
      const printer = new PrettyPrinter();
      const places = [0, ...cuts.sort((a, b) => a - b), text.length];
      let joined = "";
      for (let at = 1; at < places.length; at++) {
        joined += printer.push(text.slice(places[at - 1], places[at]));
      }
      strictEqual(joined, prettyJson(text));
    }),
  );
});
