/**
 * Values as they go into SQLite. Integers and reals are different things there and the same in
 * JavaScript, so the type says which: a number is an INTEGER, always; a REAL comes wrapped.
 *
 *   null | number (safe integer) | bigint (64 bits, signed) | { value } (REAL) | string | Uint8Array
 */

/** A REAL to bind or to return. Any object with such a field will do. */
export interface RealValue {
  readonly value: number;
}

/** A value to bind or to return from a function. */
export type BindValue = null | number | bigint | RealValue | string | Uint8Array;

/**
 * A value read in the convenient way: INTEGER as number when safe and as bigint otherwise, REAL as
 * number. Where `1` and `1.0` must be told apart, ask for the column's type.
 */
export type ReadValue = null | number | bigint | string | Uint8Array;

/** SQLite's fundamental types, as `columnType` gives them. */
export const ValueType = { INTEGER: 1, REAL: 2, TEXT: 3, BLOB: 4, NULL: 5 } as const;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** An integer as SQLite's functions take it. @throws {RangeError} when it is no 64-bit integer (rule Q13). */
export function toInt64(value: number | bigint): bigint {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) {
      throw new RangeError(`Cannot pass ${value} as an integer: not a safe integer`);
    }
    return BigInt(value);
  }
  if (value < INT64_MIN || value > INT64_MAX) {
    throw new RangeError(`Cannot pass ${value} as an integer: more than 64 bits`);
  }
  return value;
}

/** A 64-bit integer as number when that is exact, otherwise unchanged. */
export function fromInt64(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
    ? Number(value)
    : value;
}
