/**
 * The options of `dust shell`: rqlite's shell's names (the wire contract, section 14.2), and the
 * `RQLITE_HOST` variable, which `DUST_HOST` precedes. Pure: argv and environment in, options out.
 */
import { durationFlag, listFlag, switchFlag, textFlag } from "../config/flag.ts";
import { formatFlags } from "../config/flag_help.ts";
import { type FlagValues, parseFlags } from "../config/flag_parser.ts";

const CONNECTION = "Connection";
const OTHER = "Other";

const SHELL_FLAGS = {
  "host": textFlag({
    group: CONNECTION,
    placeholder: "HOST",
    initial: "127.0.0.1",
    meaning: "Node to connect to",
    aliases: ["H"],
  }),
  "port": textFlag({
    group: CONNECTION,
    placeholder: "PORT",
    initial: "4001",
    meaning: "Its HTTP port",
    aliases: ["p"],
  }),
  "scheme": textFlag({
    group: CONNECTION,
    placeholder: "SCHEME",
    initial: "http",
    meaning: "http or https",
    aliases: ["s"],
  }),
  "prefix": textFlag({
    group: CONNECTION,
    placeholder: "PATH",
    initial: "/",
    meaning: "Path in front of the API, behind a proxy",
    aliases: ["P"],
  }),
  "alternatives": listFlag({
    group: CONNECTION,
    placeholder: "HOST:PORT,...",
    meaning: "Nodes to try when the first cannot be reached",
    aliases: ["a"],
  }),
  "user": textFlag({
    group: CONNECTION,
    placeholder: "NAME:PASSWORD",
    meaning: "Credentials",
    aliases: ["u"],
  }),
  "http-timeout": durationFlag({
    group: CONNECTION,
    initial: "30s",
    meaning: "Limit for a request; 0s for none. Boot and restore have none",
    aliases: ["t"],
  }),
  "ca-cert": textFlag({
    group: CONNECTION,
    placeholder: "FILE",
    meaning: "CA that the node's certificate is checked with",
    aliases: ["c"],
  }),
  "client-cert": textFlag({
    group: CONNECTION,
    placeholder: "FILE",
    meaning: "Certificate of this client",
    aliases: ["d"],
  }),
  "client-key": textFlag({
    group: CONNECTION,
    placeholder: "FILE",
    meaning: "Its private key",
    aliases: ["k"],
  }),
  "insecure": switchFlag({
    group: CONNECTION,
    meaning: "No certificate verification (not available yet)",
    aliases: ["i"],
  }),
  "version": switchFlag({ group: OTHER, meaning: "Print the version and exit", aliases: ["v"] }),
} as const;

/** How a shell was started. */
export interface ShellOptions {
  /** Nodes in the order in which they are tried, such as `http://127.0.0.1:4001`; at least one. */
  readonly origins: readonly string[];
  /** Begins and ends with `/`. */
  readonly prefix: string;
  /** `name:password`, or undefined. */
  readonly credentials: string | undefined;
  /** 0: no limit. */
  readonly timeoutMs: number;
  /** Names of files. */
  readonly caFile: string | undefined;
  readonly certificateFile: string | undefined;
  readonly keyFile: string | undefined;
  /** Lines of history to keep. */
  readonly historyLinesMax: number;
}

/** `refused` goes to stderr with exit status 2. */
export type ShellOptionsOutcome =
  | { readonly kind: "run"; readonly options: ShellOptions }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" }
  | { readonly kind: "refused"; readonly text: string };

const HISTORY_LINES_DEFAULT = 100;
const HISTORY_LINES_MAX = 100_000;
const HOST_VARIABLE = /^(?:([a-z]+):)?\/\/(\[[^\]/]+\]|[^:/]+)(?::(\d+))?\/?$/;

/** Reads the words behind `shell`. */
export function parseShellOptions(source: {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}): ShellOptionsOutcome {
  const parsed = parseFlags(SHELL_FLAGS, { ...source, environmentPrefix: undefined });
  if (parsed.kind === "help") return { kind: "help", text: shellHelp() };
  if (parsed.kind === "wrong") return refused(parsed.message);
  const { values, given, operands } = parsed;
  if (values.version) return { kind: "version" };
  if (operands.length > 0) return refused(`Unexpected argument: ${operands[0]}`);
  if (values.insecure) return refused("Not available yet: --insecure; name the CA with --ca-cert");
  if ((values["client-cert"] === "") !== (values["client-key"] === "")) {
    return refused("Flags --client-cert and --client-key go together: one of them is missing");
  }
  const target = targetOf({ values, given, environment: source.environment });
  if (typeof target === "string") return refused(target);
  return {
    kind: "run",
    options: buildOptions({ values, target, environment: source.environment }),
  };
}

function refused(message: string): ShellOptionsOutcome {
  return {
    kind: "refused",
    text: `${message}\nUsage: dust shell [options]; see dust shell --help`,
  };
}

type Values = FlagValues<typeof SHELL_FLAGS>;

interface Target {
  readonly scheme: string;
  readonly host: string;
  readonly port: string;
}

/** The variable counts only when nothing on the command line names the node. */
function targetOf(input: {
  readonly values: Values;
  readonly given: ReadonlySet<string>;
  readonly environment: Readonly<Record<string, string>>;
}): Target | string {
  const { values, given, environment } = input;
  let { scheme, host, port }: Target = values;
  const variable = environment["DUST_HOST"] || environment["RQLITE_HOST"] || "";
  const isGiven = given.has("host") || given.has("port") || given.has("scheme");
  if (variable !== "" && !isGiven) {
    const match = HOST_VARIABLE.exec(variable);
    if (match === null) return `Variable DUST_HOST must be like http://host:4001, not ${variable}`;
    scheme = match[1] ?? scheme;
    host = match[2] ?? host;
    port = match[3] ?? port;
  }
  if (scheme !== "http" && scheme !== "https") return `Scheme must be http or https, not ${scheme}`;
  if (!/^\d{1,5}$/.test(port)) return `Port must be a number, not ${port}`;
  return { scheme, host: host.includes(":") && !host.startsWith("[") ? `[${host}]` : host, port };
}

function buildOptions(input: {
  readonly values: Values;
  readonly target: Target;
  readonly environment: Readonly<Record<string, string>>;
}): ShellOptions {
  const { values, target, environment } = input;
  const history = environment["DUST_HISTFILESIZE"] || environment["RQLITE_HISTFILESIZE"] || "";
  const prefix = `/${values.prefix.replace(/^\/+|\/+$/g, "")}/`.replace("//", "/");
  return {
    origins: [`${target.host}:${target.port}`, ...values.alternatives]
      .map((address) => `${target.scheme}://${address}`),
    prefix,
    credentials: values.user || undefined,
    timeoutMs: values["http-timeout"],
    caFile: values["ca-cert"] || undefined,
    certificateFile: values["client-cert"] || undefined,
    keyFile: values["client-key"] || undefined,
    historyLinesMax: /^\d+$/.test(history)
      ? Math.min(Number(history), HISTORY_LINES_MAX)
      : HISTORY_LINES_DEFAULT,
  };
}

function shellHelp(): string {
  return `Usage: dust shell [options]

An SQL shell on a running node. DUST_HOST (or RQLITE_HOST), such as //db1:4001, names the node when
no option does.

${formatFlags(SHELL_FLAGS)}
  --help                                Print this text
`;
}
