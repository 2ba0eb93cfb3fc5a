import { match, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";

const PROJECT = fileURLToPath(new URL("../", import.meta.url));

interface Run {
  readonly code: number;
  readonly stderr: string;
}

async function runBuild(project: string, env: Record<string, string>): Promise<Run> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", "--no-lock", `${project}/scripts/sqlite.ts`],
    env,
    stdout: "null",
    stderr: "piped",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

/** A project without lib/, which holds only what the build needs. */
function copyProject(target: string): void {
  Deno.mkdirSync(`${target}/scripts`);
  Deno.mkdirSync(`${target}/src/sqlite`, { recursive: true });
  Deno.mkdirSync(`${target}/src/base`);
  for (
    const file of [
      "deno.json",
      "scripts/sqlite.ts",
      "src/sqlite/pinned_build.ts",
      "src/sqlite/call_source.ts",
      "src/sqlite/digest_source.ts",
      "src/base/errors.ts",
    ]
  ) {
    Deno.copyFileSync(PROJECT + file, `${target}/${file}`);
  }
}

Deno.test("scripts/sqlite.ts without a C compiler says in one sentence what to install", async () => {
  const target = Deno.makeTempDirSync();
  try {
    copyProject(target);
    const { code, stderr } = await runBuild(target, { CC: "/nonexistent/cc", NO_COLOR: "1" });
    strictEqual(code, 1);
    match(stderr.trim(), /^Cannot build SQLite: no C compiler .*; install one [^\n]*gcc[^\n]*$/);
    ok(![...Deno.readDirSync(`${target}/lib`)].some(({ name }) => name.includes("libsqlite3")));
  } finally {
    Deno.removeSync(target, { recursive: true });
  }
});

Deno.test("scripts/sqlite.ts of a compiler that fails leaves nothing that looks built", async () => {
  const target = Deno.makeTempDirSync();
  try {
    copyProject(target);
    const compiler = `${target}/cc`;
    Deno.writeTextFileSync(
      compiler,
      '#!/bin/sh\n[ "$1" = --version ] || { echo broken >&2; exit 3; }\n',
    );
    Deno.chmodSync(compiler, 0o755);
    Deno.mkdirSync(`${target}/lib/.build-killed`, { recursive: true });
    const { code, stderr } = await runBuild(target, { CC: compiler, NO_COLOR: "1" });
    strictEqual(code, 1);
    match(stderr, /Cannot build SQLite: the compiler ended with 3: broken/);
    const left = [...Deno.readDirSync(`${target}/lib`)].map(({ name }) => name);
    strictEqual(left.join(), ".lock", "also what a killed build had left is gone");
  } finally {
    Deno.removeSync(target, { recursive: true });
  }
});
