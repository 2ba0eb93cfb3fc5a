/**
 * Structured log lines: a level, the component that speaks, a constant message, and named fields.
 * Text, for people: `2026-11-23T01:51:16.123Z WARN  [log] Segment is full index=7 path="/a b"`.
 * JSON, for machines: {"time":...,"level":...,"component":...,"message":...,"index":7}, one a line.
 * Invariant: one call writes at most one line, whatever its arguments hold (log_text.ts).
 * Not here: where lines go (the sink) and what time it is; both are handed in.
 */
import { fitText, quoteValue } from "./log_text.ts";

/** From the gravest to the most talkative. */
export type LogLevel = "ERROR" | "WARN" | "INFO" | "DEBUG";

/** How lines look. */
export type LogFormat = "text" | "json";

/** Facts beside the message; undefined ones are left out. An Error is shown as its message. */
export type LogFields = Readonly<
  Record<string, string | number | bigint | boolean | Error | undefined>
>;

/** What a logger is made of. */
export interface LoggerOptions {
  /** The least level that is written. */
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Part of the program, such as `http`. */
  readonly component: string;
  /** Takes one line with its newline. Must not throw. */
  readonly sink: (line: string) => void;
  /** Milliseconds since 1970. */
  readonly wallClockMs: () => number;
}

const RANK: Readonly<Record<LogLevel, number>> = { ERROR: 0, WARN: 1, INFO: 2, DEBUG: 3 };
const LEVEL_WIDTH = 5;
/** Names of the JSON line's own members; a field of that name gets an underscore. */
const RESERVED: ReadonlySet<string> = new Set(["time", "level", "component", "message"]);

/** Writes lines of one component. Immutable; `forComponent` makes siblings. */
export class Logger {
  readonly #options: LoggerOptions;
  readonly #rankMax: number;

  constructor(options: LoggerOptions) {
    this.#options = options;
    this.#rankMax = RANK[options.level];
  }

  /** A logger of another component with the same sink. */
  forComponent(component: string): Logger {
    return new Logger({ ...this.#options, component });
  }

  /** Whether `level` is written: ask before collecting facts that cost something. */
  isOn(level: LogLevel): boolean {
    return RANK[level] <= this.#rankMax;
  }

  /** Something failed that an operator must look at. */
  error(message: string, fields: LogFields = {}): void {
    this.#write("ERROR", message, fields);
  }

  /** Something is wrong that Dust goes on with. */
  warn(message: string, fields: LogFields = {}): void {
    this.#write("WARN", message, fields);
  }

  /** A change of state: started, elected, snapshot taken. */
  info(message: string, fields: LogFields = {}): void {
    this.#write("INFO", message, fields);
  }

  /** For the hunt for a bug. */
  debug(message: string, fields: LogFields = {}): void {
    this.#write("DEBUG", message, fields);
  }

  #write(level: LogLevel, message: string, fields: LogFields): void {
    if (!this.isOn(level)) return;
    const { format, component, sink, wallClockMs } = this.#options;
    const line = { time: new Date(wallClockMs()).toISOString(), level, component, message, fields };
    sink(format === "json" ? jsonLine(line) : textLine(line));
  }
}

interface Line {
  readonly time: string;
  readonly level: LogLevel;
  readonly component: string;
  readonly message: string;
  readonly fields: LogFields;
}

function textLine({ time, level, component, message, fields }: Line): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${quoteValue(plainText(value))}`);
  return `${time} ${level.padEnd(LEVEL_WIDTH)} [${component}] ${fitText(message)}${
    pairs.join("")
  }\n`;
}

function jsonLine({ time, level, component, message, fields }: Line): string {
  const object: Record<string, unknown> = {
    time,
    level,
    component,
    message: fitText(message),
  };
  for (const [name, value] of Object.entries(fields)) {
    const member = RESERVED.has(name) ? `${name}_` : name;
    object[member] = typeof value === "number" || typeof value === "boolean"
      ? value
      : value === undefined
      ? undefined
      : fitText(plainText(value));
  }
  return `${JSON.stringify(object)}\n`;
}

function plainText(value: LogFields[string]): string {
  return value instanceof Error ? value.message : String(value);
}
