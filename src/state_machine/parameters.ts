/**
 * Values to parameters (the wire contract, section 4.4): positional ones by position, what is too
 * many is ignored, what is too few fails the statement; named ones to `:name`, `@name` and `$name`
 * alike. Of a string of several statements each takes its own number of positional values.
 *
 * From the bytes of a log entry values go to SQLite without becoming JavaScript values, as long as
 * the string holds one statement, which is nearly always.
 */
import { TAG } from "../command/command_format.ts";
import type { CommandReader } from "../command/command_reader.ts";
import { type NamedValue, Real, type Value } from "../command/value.ts";
import type { Statement } from "../sqlite/statement.ts";
import type { StatementFacts } from "./sql_session.ts";
import { StatementError } from "./statement_error.ts";

const LETTER = /^\p{L}/u;
// A byte order mark is a character like any other.
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The values of one statement string, and how many of the positional ones are taken already. */
export interface ValueList {
  readonly positional: readonly Value[];
  readonly named: readonly NamedValue[];
  taken: number;
}

/** Binds the next values of a list. @throws {StatementError} when there are too few. */
export function bindValues(statement: Statement, facts: StatementFacts, values: ValueList): void {
  const { positional, named, taken } = values;
  const wanted = statement.parameterCount;
  assertEnough(wanted, positional.length - taken + named.length);
  const count = Math.min(wanted, positional.length - taken);
  for (let index = 0; index < count; index++) {
    statement.bindValue(index + 1, positional[taken + index] as Value);
  }
  values.taken += count;
  for (const { name, value } of named) {
    for (const index of numbersOf(statement, facts, name)) statement.bindValue(index, value);
  }
}

/** Binds the values at which a reader stands, to the only statement of their string. */
export function bindFromCommand(
  statement: Statement,
  facts: StatementFacts,
  command: { readonly reader: CommandReader; readonly bytes: Uint8Array },
): void {
  const { reader, bytes } = command;
  const wanted = statement.parameterCount;
  const given = reader.positionalCount + reader.namedCount;
  if (wanted === 0 && given === 0) return;
  assertEnough(wanted, given);
  for (let index = 1; reader.nextPositional(); index++) {
    if (index <= wanted) bindCurrent(statement, index, command);
  }
  while (reader.nextNamed()) {
    const name = UTF8.decode(bytes.subarray(reader.nameFrom, reader.nameTo));
    for (const index of numbersOf(statement, facts, name)) bindCurrent(statement, index, command);
  }
}

/** The values at which a reader stands, for a string of several statements. */
export function readValues(reader: CommandReader, bytes: Uint8Array): ValueList {
  const positional: Value[] = [];
  const named: NamedValue[] = [];
  while (reader.nextPositional()) positional.push(currentValue(reader, bytes));
  while (reader.nextNamed()) {
    const name = UTF8.decode(bytes.subarray(reader.nameFrom, reader.nameTo));
    named.push({ name, value: currentValue(reader, bytes) });
  }
  return { positional, named, taken: 0 };
}

function assertEnough(wanted: number, given: number): void {
  if (given >= wanted) return;
  throw new StatementError(`not enough args to execute query: want ${wanted} got ${given}`);
}

function numbersOf(statement: Statement, facts: StatementFacts, name: string): readonly number[] {
  facts.parameters ??= parametersByName(statement);
  const known = facts.parameters.get(name);
  if (known !== undefined) return known;
  if (!LETTER.test(name)) {
    throw new StatementError(`name ${JSON.stringify(name)} does not begin with a letter`);
  }
  return [];
}

/** All at once: SQLite compares with each name of the statement when it is asked for one. */
function parametersByName(statement: Statement): ReadonlyMap<string, readonly number[]> {
  const parameters = new Map<string, number[]>();
  for (let number = 1; number <= statement.parameterCount; number++) {
    const name = statement.parameterName(number);
    if (name === undefined || name.startsWith("?")) continue;
    const numbers = parameters.get(name.slice(1));
    if (numbers === undefined) parameters.set(name.slice(1), [number]);
    else numbers.push(number);
  }
  return parameters;
}

function bindCurrent(
  statement: Statement,
  index: number,
  command: { readonly reader: CommandReader; readonly bytes: Uint8Array },
): void {
  const { reader, bytes } = command;
  switch (reader.tag) {
    case TAG.text:
      return statement.bindTextBytes(index, bytes.subarray(reader.from, reader.to));
    case TAG.int32:
      return statement.bindInteger(index, reader.number);
    case TAG.int64:
      return statement.bindInteger(index, reader.isSafe ? reader.number : reader.int64());
    case TAG.real:
      return statement.bindReal(index, reader.number);
    case TAG.blob:
      return statement.bindBlob(index, bytes.subarray(reader.from, reader.to));
    default:
      return statement.bindNull(index);
  }
}

function currentValue(reader: CommandReader, bytes: Uint8Array): Value {
  switch (reader.tag) {
    case TAG.text:
      return UTF8.decode(bytes.subarray(reader.from, reader.to));
    case TAG.int32:
      return reader.number;
    case TAG.int64:
      return reader.isSafe ? reader.number : reader.int64();
    case TAG.real:
      return new Real(reader.number);
    case TAG.blob:
      return bytes.slice(reader.from, reader.to);
    default:
      return null;
  }
}
