/** Powers and hyperbolic tangents: exact where they can be, next to V8's elsewhere, never another. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { hyperbolicTangent, power } from "./arithmetic.ts";

const SPECIAL = [0, -0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 1e300, -1e300, 5e-324, Infinity, -Infinity];
const BITS = new Float64Array(1);
const WORD = new BigInt64Array(BITS.buffer);

/** How many doubles lie between two of one sign. */
function distance(a: number, b: number): number {
  BITS[0] = a;
  const first = WORD[0] ?? 0n;
  BITS[0] = b;
  return Math.abs(Number(first - (WORD[0] ?? 0n)));
}

/** Arguments of all sizes, always the same. */
function* samples(count: number): Generator<readonly [x: number, y: number]> {
  let state = 1;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  for (let at = 0; at < count; at++) {
    if (at % 3 === 0) yield [next() * 10, next() * 40 - 20];
    else if (at % 3 === 1) {
      yield [2 ** Math.floor(next() * 300 - 150) * (1 + next()), next() * 6 - 3];
    } else yield [1 + (next() - 0.5) * 1e-6, (next() - 0.5) * 1e8];
  }
}

Deno.test("power() is at most one double away from V8's, wherever that runs", () => {
  for (const [x, y] of samples(20_000)) {
    ok(distance(power(x, y), Math.pow(x, y)) <= 1, `${x} ** ${y}`);
  }
});

Deno.test("power() treats zeros, infinities and ones as C does", () => {
  for (const x of [...SPECIAL, NaN]) {
    for (const y of SPECIAL) {
      const isOne = x === 1 || (x === -1 && !Number.isFinite(y));
      strictEqual(power(x, y), isOne ? 1 : Math.pow(x, y), `${x} ** ${y}`);
    }
  }
  strictEqual(power(1, NaN), 1);
  strictEqual(power(2, NaN), NaN);
});

Deno.test("power() is exact where the result is a double", () => {
  for (let exponent = -1074; exponent < 1024; exponent++) {
    strictEqual(power(2, exponent), 2 ** exponent);
  }
  deepStrictEqual([power(10, 22), power(3, 33), power(7, 18), power(-5, 3), power(1.5, 2)], [
    1e22,
    5559060566555523,
    1628413597910449,
    -125,
    2.25,
  ]);
});

Deno.test("hyperbolicTangent() is at most two doubles away from V8's, wherever that runs", () => {
  for (let at = -20_000; at < 20_000; at++) {
    const x = at * 0.0013 + 1e-7;
    ok(distance(hyperbolicTangent(x), Math.tanh(x)) <= 2, String(x));
  }
  for (const x of SPECIAL) strictEqual(hyperbolicTangent(x), Math.tanh(x), String(x));
  strictEqual(hyperbolicTangent(NaN), NaN);
});

Deno.test("power() and hyperbolicTangent() give what they gave before, bit for bit", () => {
  const results = [...samples(5000)].flatMap(([x, y]) => [power(x, y), hyperbolicTangent(x)]);
  const bytes = new Uint8Array(Float64Array.from(results).buffer);
  strictEqual(createHash("sha256").update(bytes).digest("hex").slice(0, 16), "9d9fc915e4a62a47");
});
