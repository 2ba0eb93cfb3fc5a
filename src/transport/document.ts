/**
 * Documents: the fields of requests and answers between nodes as JSON, read back field by field, since what
 * a peer sends is not trusted to have the shape that its kind says. Byte strings are `{"hex": "..."}`.
 * Fields that are undefined are left out. Unknown fields of newer versions are ignored.
 */
import { WireError } from "./message_codec.ts";

/** Reads one value. @throws {WireError} when it is not of its type. */
export type Reader<T> = (value: unknown) => T;

/** The text of a document. */
export function writeDocument(value: unknown): string {
  return JSON.stringify(
    value,
    (_name, member: unknown) => member instanceof Uint8Array ? { hex: member.toHex() } : member,
  );
}

/** What a document says. @throws {WireError} */
export function readDocument<T>(text: string, read: Reader<T>): T {
  try {
    return read(JSON.parse(text));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new WireError("A document that is no JSON", { cause });
    throw cause;
  }
}

/** Text of any length. */
export const text: Reader<string> = (value) => {
  if (typeof value !== "string") throw new WireError("A document without a text where one must be");
  return value;
};

/** A safe integer of at least 0. */
export const count: Reader<number> = (value) => {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new WireError("A document without a number where one must be");
  }
  return value;
};

/** Any number that JSON has. */
export const decimal: Reader<number> = (value) => {
  if (typeof value !== "number") throw new WireError("A document without a number");
  return value;
};

/** true or false. */
export const flag: Reader<boolean> = (value) => {
  if (typeof value !== "boolean") throw new WireError("A document without a flag");
  return value;
};

/** Bytes of any length, or of exactly `size`. */
export function bytes(size?: number): Reader<Uint8Array> {
  return (value) => {
    const hex = text(membersOf(value).hex);
    if (hex.length % 2 !== 0 || !/^[0-9a-f]*$/.test(hex)) {
      throw new WireError("Bytes that are none");
    }
    const read = Uint8Array.fromHex(hex);
    if (size !== undefined && read.length !== size) throw new WireError(`Not ${size} bytes`);
    return read;
  };
}

/** One of some words. */
export function oneOf<const T extends string>(...words: readonly T[]): Reader<T> {
  return (value) => {
    const word = words.find((each) => each === value);
    if (word === undefined) throw new WireError(`A document without one of ${words.join(", ")}`);
    return word;
  };
}

/** May be absent. */
export function optional<T>(read: Reader<T>): Reader<T | undefined> {
  return (value) => value === undefined ? undefined : read(value);
}

/** Any number of values. */
export function list<T>(read: Reader<T>): Reader<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new WireError("A document without a list");
    return value.map(read);
  };
}

/** A reader for each member; that of one that may be absent may say undefined. */
export type Members<T> = {
  readonly [Name in keyof T]-?: Reader<
    T[Name] | (object extends Pick<T, Name> ? undefined : never)
  >;
};

/** Members by name; what is absent and may be stays absent. */
export function object<T>(members: Members<T>): Reader<T> {
  const readers = Object.entries<Reader<unknown>>(members);
  return (value) => {
    const found = membersOf(value);
    const read = readers.map(([name, reader]) => [name, reader(found[name])] as const)
      .filter(([, member]) => member !== undefined);
    // Each member went through the reader that its type demands.
    return Object.fromEntries(read) as T;
  };
}

/** One of several shapes, told apart by their `kind`. */
export function tagged<T extends { readonly kind: string }>(
  shapes: { readonly [Kind in T["kind"]]: Reader<Extract<T, { readonly kind: Kind }>> },
): Reader<T> {
  const readers = new Map<unknown, Reader<T>>(Object.entries<Reader<T>>(shapes));
  return (value) => {
    const reader = readers.get(membersOf(value).kind);
    if (reader === undefined) throw new WireError("A document of an unknown kind");
    return reader(value);
  };
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) {
    throw new WireError("A document without members");
  }
  return { ...value };
}
