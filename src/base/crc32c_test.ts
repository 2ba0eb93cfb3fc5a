import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { crc32c } from "./crc32c.ts";

Deno.test("crc32c() gives the check values of RFC 3720 B.4", () => {
  strictEqual(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  strictEqual(crc32c(new Uint8Array(32)), 0x8a9136aa);
  strictEqual(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  strictEqual(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
});

Deno.test("crc32c() of two parts in a row is that of the whole, at every cut and offset", () => {
  const bytes = Uint8Array.from({ length: 41 }, (_, i) => (i * 73 + 11) & 0xff);
  const whole = crc32c(bytes);
  const chained = bytes.map((_, cut) => cut).values().map((cut) =>
    crc32c(bytes, crc32c(bytes, 0, 0, cut), cut)
  ).toArray();
  deepStrictEqual(chained, bytes.values().map(() => whole).toArray());
});
