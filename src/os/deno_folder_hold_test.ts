import { ok, strictEqual } from "node:assert/strict";
import { type FolderHold, type FolderHoldOutcome, tryHoldFolder } from "./deno_folder_hold.ts";

function held(outcome: FolderHoldOutcome): FolderHold {
  ok(outcome.kind === "held", outcome.kind);
  return outcome.hold;
}

async function withFolder(work: (path: string) => void): Promise<void> {
  const parent = await Deno.makeTempDir();
  try {
    Deno.mkdirSync(`${parent}/held`);
    work(`${parent}/held`);
  } finally {
    await Deno.remove(parent, { recursive: true });
  }
}

Deno.test("tryHoldFolder() gives many shared holds or one exclusive one", async () => {
  await withFolder((path) => {
    const shared = [held(tryHoldFolder(path, "shared")), held(tryHoldFolder(path, "shared"))];
    strictEqual(tryHoldFolder(path, "exclusive").kind, "busy");
    shared[0]?.release();
    strictEqual(tryHoldFolder(path, "exclusive").kind, "busy");
    shared[1]?.release();
    const alone = held(tryHoldFolder(path, "exclusive"));
    strictEqual(tryHoldFolder(path, "shared").kind, "busy");
    strictEqual(tryHoldFolder(path, "exclusive").kind, "busy");
    alone.release();
    alone.release();
    held(tryHoldFolder(path, "shared")).release();
  });
});

Deno.test("tryHoldFolder() holds the folder that has the name, not the one that had it", async () => {
  await withFolder((path) => {
    const old = held(tryHoldFolder(path, "exclusive"));
    Deno.removeSync(path);
    strictEqual(tryHoldFolder(path, "shared").kind, "missing");
    Deno.mkdirSync(path);
    const anew = held(tryHoldFolder(path, "exclusive"));
    old.release();
    strictEqual(tryHoldFolder(path, "shared").kind, "busy");
    anew.release();
  });
});

Deno.test("tryHoldFolder() does not go through a link", async () => {
  await withFolder((path) => {
    Deno.symlinkSync(path, `${path}-link`);
    strictEqual(tryHoldFolder(`${path}-link`, "shared").kind, "missing");
  });
});
