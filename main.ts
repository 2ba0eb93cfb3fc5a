/**
 * Composition only: argv -> command -> run -> exit status. A first argument that is a flag or a path
 * means `serve`, as rqlited takes it. Commands are imported when they are asked for, so that the
 * shell does not load the database. What each command does stands in src/cli/.
 */
import { crash } from "./src/cli/crash.ts";

/** Oldest runtime that has all of the HTTP/2 interface that peers need. */
const DENO_VERSION_MIN = [2, 9] as const;

/** Commands that are not built yet: as words, they must not become data directories. */
const COMMANDS_TO_COME: ReadonlySet<string> = new Set(["backup", "restore", "boot"]);

/** What a process was started with. */
interface Invocation {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

async function run({ argv, environment }: Invocation): Promise<number> {
  const [first, ...rest] = argv;
  switch (first) {
    case "serve": {
      const { serve } = await import("./src/cli/serve.ts");
      return await serve(rest, environment);
    }
    case "shell": {
      const { shell } = await import("./src/cli/shell.ts");
      return await shell(rest, environment);
    }
    case "bench": {
      const { bench } = await import("./src/cli/bench.ts");
      return await bench(rest);
    }
    case "check": {
      const { check } = await import("./src/cli/check.ts");
      return await check(rest);
    }
    case "recover": {
      const { recover } = await import("./src/cli/recover.ts");
      return await recover(rest);
    }
    case "--help":
    case "-help":
    case "-h":
    case "help": {
      const { usage } = await import("./src/cli/usage.ts");
      return print(Deno.stdout, usage());
    }
    case "--version":
    case "-version":
    case "version": {
      const { processVersion } = await import("./src/cli/version.ts");
      return print(Deno.stderr, `${processVersion()}\n`);
    }
    default: {
      if (first !== undefined && COMMANDS_TO_COME.has(first)) {
        print(
          Deno.stderr,
          `Not available yet: dust ${first} (for a data directory of that name: ./${first})\n`,
        );
        return 2;
      }
      const { serve } = await import("./src/cli/serve.ts");
      return await serve(argv, environment);
    }
  }
}

function print(stream: typeof Deno.stdout, text: string): 0 {
  stream.writeSync(new TextEncoder().encode(text));
  return 0;
}

function isOldRuntime(): boolean {
  const [major = 0, minor = 0] = Deno.version.deno.split(".").map(Number);
  const [majorMin, minorMin] = DENO_VERSION_MIN;
  return major < majorMin || (major === majorMin && minor < minorMin);
}

if (import.meta.main) {
  if (isOldRuntime()) {
    print(
      Deno.stderr,
      `Dust needs Deno ${
        DENO_VERSION_MIN.join(".")
      } or newer, and this is Deno ${Deno.version.deno}\n`,
    );
    Deno.exit(1);
  }
  // Local time is a fact of the machine; replicas must not compute with it.
  Deno.env.set("TZ", "UTC");
  addEventListener("error", (event) => crash(event.error));
  addEventListener("unhandledrejection", (event) => crash(event.reason));
  try {
    Deno.exit(await run({ argv: Deno.args, environment: Deno.env.toObject() }));
  } catch (error) {
    crash(error);
  }
}
