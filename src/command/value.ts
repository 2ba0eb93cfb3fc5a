/**
 * The values of SQLite as they travel in commands: typed once, when the request is read, and never
 * re-derived at apply (faults S13, S14).
 *
 *   null          NULL
 *   number        INTEGER; always a safe integer
 *   bigint        INTEGER outside the safe range, within 64 bits
 *   Real          REAL, also when its value is integral
 *   string        TEXT; may hold NUL, never a lone surrogate
 *   Uint8Array    BLOB; not copied, do not modify
 */

/** A REAL. A class of its own, because a JavaScript number cannot say whether `1` was `1` or `1.0`. */
export class Real {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** One bound value; see the table above. */
export type Value = null | number | bigint | Real | string | Uint8Array;

/** A value bound by name; `name` is without its prefix (`:`, `@` or `$`), as the wire has it. */
export interface NamedValue {
  readonly name: string;
  readonly value: Value;
}
