/**
 * Writes src/transport/generated/ from proto/: `dust.ts` and the like (ts-proto) and `descriptor.ts`, what
 * the reflection service says, with digests by which a test sees that all of it belongs together.
 * Run it after a change of the .proto: `deno task proto`. Everything comes from npm; buf is the compiler,
 * in place of protoc, and reads nothing else.
 */
import { createHash } from "node:crypto";

const BUF = "npm:@bufbuild/buf@1.57.2/buf";
const TS_PROTO = "npm:ts-proto@2.18.0/protoc-gen-ts_proto";
const OPTIONS = [
  // Past 2^53 decoding throws: the engine's numbers are safe integers.
  "forceLong=number",
  // Byte strings are views of what arrived, not copies.
  "env=browser",
  "oneof=unions-value",
  "enumsAsLiterals=true",
  "useOptionals=messages",
  "esModuleInterop=true",
  "importSuffix=.ts",
  "outputJsonMethods=false",
  "outputPartialMethods=false",
  "outputServices=none",
  "useExactTypes=false",
];
/** Files of proto/, without their ending. */
const NAMES = ["dust", "health", "reflection"] as const;
const PROJECT = new URL("..", import.meta.url).pathname;

/** SHA-256 in hex of a file's text. */
export function digestOf(path: string): string {
  return createHash("sha256").update(Deno.readTextFileSync(path)).digest("hex");
}

async function run(directory: string, args: readonly string[]): Promise<void> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--quiet", "--no-lock", "--no-config", BUF, ...args],
    cwd: directory,
  });
  const { success } = await command.spawn().status;
  if (!success) throw new Error(`Cannot run buf ${args.join(" ")}`);
}

async function main(): Promise<void> {
  const target = `${PROJECT}src/transport/generated`;
  const directory = await Deno.makeTempDir({ prefix: "dust-proto-" });
  try {
    for (const name of NAMES) {
      await Deno.copyFile(`${PROJECT}proto/${name}.proto`, `${directory}/${name}.proto`);
    }
    const plugin = { local: ["deno", "run", "-A", "--quiet", TS_PROTO], out: ".", opt: OPTIONS };
    const template = JSON.stringify({ version: "v2", plugins: [plugin] });
    await run(directory, ["generate", "--template", template]);
    await run(directory, ["build", "--exclude-source-info", "-o", "all.binpb"]);
    await Deno.mkdir(target, { recursive: true });
    for (const name of NAMES) {
      await Deno.copyFile(`${directory}/${name}.ts`, `${target}/${name}.ts`);
    }
    const descriptor = Deno.readFileSync(`${directory}/all.binpb`).toBase64();
    await Deno.writeTextFile(
      `${target}/descriptor.ts`,
      [
        "// Written by scripts/proto.ts. DO NOT EDIT.",
        "// SHA-256 of what it was made of and of what was made with it.",
        "export const DIGESTS: Readonly<Record<string, string>> = {",
        ...NAMES.flatMap((name) => [`proto/${name}.proto`, `src/transport/generated/${name}.ts`])
          .map((path) => `  "${path}": "${digestOf(PROJECT + path)}",`),
        "};",
        "// A FileDescriptorSet.",
        `export const DESCRIPTOR_BASE64 = "${descriptor}";`,
        "",
      ].join("\n"),
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) await main();
