/**
 * The generated code is that of proto/: whoever changes one without the other hears of it here, without a
 * compiler on the machine.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { DIGESTS } from "./generated/descriptor.ts";

const PROJECT = new URL("../../", import.meta.url);

for (const [path, digest] of Object.entries(DIGESTS)) {
  Deno.test(`generated code: ${path} is as it was when \`deno task proto\` ran`, () => {
    const text = Deno.readTextFileSync(new URL(path, PROJECT));
    strictEqual(createHash("sha256").update(text).digest("hex"), digest);
  });
}

Deno.test("generated code: nothing in proto/ is left out", () => {
  const found = [...Deno.readDirSync(new URL("proto/", PROJECT))].map(({ name }) =>
    `proto/${name}`
  );
  const known = Object.keys(DIGESTS).filter((path) => path.startsWith("proto/"));
  deepStrictEqual(found.sort(), known.sort());
});
