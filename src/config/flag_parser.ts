/**
 * Reads a command line and the environment into the values of a table of flags, as Go's `flag`
 * package reads rqlited's: one dash or two, `-name value` or `-name=value`, a switch takes a value
 * only behind `=`, the first word that is no flag ends the flags, `--` ends them too.
 * A flag is also `PREFIX_NAME` in the environment (`DUST_HTTP_ADDR`); the command line wins.
 *
 * Why not `npm:commander`: it has no single-dash long flags, refuses `--fk=true` for a switch, lets
 * an optional value swallow the data directory, and takes `DUST_FK=false` for true. The step that
 * would hide this from it must know each flag's type, and is then the parser.
 */
import type { Flag } from "./flag.ts";

/** A command's flags by name, without dashes. */
export type FlagTable = { readonly [name: string]: Flag<unknown> };

/** The values of a table, by the same names. */
export type FlagValues<Table extends FlagTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Flag<infer Value> ? Value : never;
};

/** What is read; nothing is taken from the process itself. */
export interface FlagSource {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Such as `DUST`; undefined: the environment is not looked at. */
  readonly environmentPrefix: string | undefined;
}

/** `wrong` says in one sentence what; `help` was asked for with -h, -help or --help. */
export type FlagOutcome<Table extends FlagTable> =
  | {
    readonly kind: "values";
    readonly values: FlagValues<Table>;
    /** Names that were given, on the command line or in the environment. */
    readonly given: ReadonlySet<string>;
    /** The words behind the flags. */
    readonly operands: readonly string[];
  }
  | { readonly kind: "help" }
  | { readonly kind: "wrong"; readonly message: string };

/** Reads `source` against `table`. @see the header */
export function parseFlags<Table extends FlagTable>(
  table: Table,
  source: FlagSource,
): FlagOutcome<Table> {
  const reader = new FlagReader(table);
  const wrong = reader.readEnvironment(source) ?? reader.readArguments(source.argv);
  if (wrong === "help") return { kind: "help" };
  if (wrong !== undefined) return { kind: "wrong", message: wrong.message };
  return {
    kind: "values",
    // The loop over the table's own names is what the mapped type says; the compiler cannot see it.
    values: reader.values() as FlagValues<Table>,
    given: reader.given,
    operands: reader.operands,
  };
}

/** The variable of a flag: `http-addr` under `DUST` is `DUST_HTTP_ADDR`. */
export function environmentName(prefix: string, flagName: string): string {
  return `${prefix}_${flagName.toUpperCase().replaceAll("-", "_")}`;
}

interface Wrong {
  readonly message: string;
}

class FlagReader {
  readonly #table: FlagTable;
  /** Every name and alias, to the name. */
  readonly #names = new Map<string, string>();
  readonly #values = new Map<string, unknown>();
  readonly given = new Set<string>();
  operands: readonly string[] = [];

  constructor(table: FlagTable) {
    this.#table = table;
    for (const [name, flag] of Object.entries(table)) {
      for (const spelling of [name, ...flag.aliases]) this.#names.set(spelling, name);
      this.#values.set(name, flag.defaultValue);
    }
  }

  values(): Record<string, unknown> {
    return Object.fromEntries(this.#values);
  }

  /** An empty variable counts as unset: an EnvironmentFile has no other way to say so. */
  readEnvironment(source: FlagSource): Wrong | undefined {
    const { environment, environmentPrefix } = source;
    if (environmentPrefix === undefined) return undefined;
    for (const [name, flag] of Object.entries(this.#table)) {
      if (flag.commandLineOnly) continue;
      const variable = environmentName(environmentPrefix, name);
      const text = environment[variable] ?? "";
      if (text === "") continue;
      const wrong = this.#set(name, { text, shownName: variable });
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  readArguments(argv: readonly string[]): Wrong | "help" | undefined {
    let at = 0;
    while (at < argv.length) {
      const word = argv[at] ?? "";
      if (word === "--") {
        at += 1;
        break;
      }
      if (!word.startsWith("-") || word === "-") break;
      const step = this.#readFlag(word, argv[at + 1]);
      if (step === "help" || typeof step === "object") return step;
      at += step;
    }
    this.operands = argv.slice(at);
    return undefined;
  }

  /** @returns how many words it took. */
  #readFlag(word: string, next: string | undefined): number | Wrong | "help" {
    const body = word.slice(word.startsWith("--") ? 2 : 1);
    const equals = body.indexOf("=");
    const spelling = equals < 0 ? body : body.slice(0, equals);
    if (spelling === "" || spelling.startsWith("-")) return { message: `Not a flag: ${word}` };
    const name = this.#names.get(spelling);
    const flag = name === undefined ? undefined : this.#table[name];
    if (name === undefined || flag === undefined) {
      if (spelling === "h" || spelling === "help") return "help";
      return { message: `Unknown flag: -${spelling}` };
    }
    const shownName = `-${spelling}`;
    if (equals >= 0) return this.#set(name, { text: body.slice(equals + 1), shownName }) ?? 1;
    if (flag.kind === "switch") return this.#set(name, { text: "true", shownName }) ?? 1;
    if (next === undefined) return { message: `Flag ${shownName} needs a value` };
    return this.#set(name, { text: next, shownName }) ?? 2;
  }

  #set(
    name: string,
    input: { readonly text: string; readonly shownName: string },
  ): Wrong | undefined {
    const flag = this.#table[name];
    const value = flag?.parse(input.text);
    if (flag === undefined || value === undefined) {
      const expected = flag?.expected ?? "known";
      return {
        message: `Flag ${input.shownName} must be ${expected}, not ${JSON.stringify(input.text)}`,
      };
    }
    this.#values.set(name, value);
    this.given.add(name);
    return undefined;
  }
}
