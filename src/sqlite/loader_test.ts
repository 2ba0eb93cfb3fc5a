import {
  deepStrictEqual,
  match,
  notStrictEqual,
  ok,
  strictEqual,
  throws,
} from "node:assert/strict";
import { FatalError } from "../base/errors.ts";
import { Library } from "./library.ts";
import { findLibrary, openLibrary, unpackLibrary } from "./loader.ts";
import { TemporaryFolder, testLibrary, testLibraryLocation } from "./testing.ts";

Deno.test("findLibrary() takes a given path, resolved, and nothing else", () => {
  using folder = new TemporaryFolder();
  const link = folder.file("link.so");
  Deno.symlinkSync(testLibrary().path, link);
  const { location } = findLibrary({ path: link });
  deepStrictEqual(location, {
    path: testLibrary().path,
    origin: "given",
    vfsAddress: testLibrary().vfsAddress,
  });
  throws(
    () => findLibrary({ path: folder.file("missing.so") }),
    new FatalError(1, `Cannot open ${folder.file("missing.so")} as libsqlite3: no such file`),
  );
});

Deno.test("findLibrary() refuses a file that is no libsqlite3, in one sentence", () => {
  using folder = new TemporaryFolder();
  Deno.writeTextFileSync(folder.file("text.so"), "no library");
  throws(() => findLibrary({ path: folder.file("text.so") }), (error: FatalError) => {
    match(error.message, /^Cannot open .*text\.so as libsqlite3 3\.37 or later: [^\n]*$/);
    return error.exitStatus === 1;
  });
});

Deno.test("openLibrary() opens the same copy by its path, and refuses another one (rule Q10)", () => {
  const location = testLibraryLocation();
  strictEqual(openLibrary(location).vfsAddress, testLibrary().vfsAddress);
  using folder = new TemporaryFolder();
  const copy = folder.file("copy.so");
  Deno.copyFileSync(location.path, copy);
  throws(() => openLibrary({ ...location, path: copy }), /second copy/);
});

Deno.test("handshakeHash differs between builds, and not between two openings (rule Q16)", () => {
  strictEqual(Library.open(testLibrary().path).handshakeHash, testLibrary().handshakeHash);
  // A copy with other bytes in the recipe stands for a build with another patch.
  using folder = new TemporaryFolder();
  const bytes = Deno.readFileSync(testLibrary().path);
  const recipe = testLibrary().recipe;
  if (recipe === undefined) return;
  const at = new TextDecoder("latin1").decode(bytes).indexOf(recipe);
  ok(at > 0);
  bytes.set(new TextEncoder().encode("0123456789abcdef"), at);
  Deno.writeFileSync(folder.file("other.so"), bytes);
  const other = Library.open(folder.file("other.so"));
  notStrictEqual(other.handshakeHash, testLibrary().handshakeHash);
  ok(!other.isPinned);
});

Deno.test("unpackLibrary() writes once, mends what was changed, and shuns a folder of others", () => {
  using folder = new TemporaryFolder();
  const bytes = new TextEncoder().encode("library");
  const path = unpackLibrary(bytes, folder.path);
  const { mtime, ino } = Deno.statSync(path);
  strictEqual(unpackLibrary(bytes, folder.path), path);
  deepStrictEqual([Deno.statSync(path).mtime, Deno.statSync(path).ino], [mtime, ino]);
  notStrictEqual(unpackLibrary(new TextEncoder().encode("newer"), folder.path), path);

  Deno.writeTextFileSync(path, "tampered");
  strictEqual(unpackLibrary(bytes, folder.path), path);
  deepStrictEqual(Deno.readFileSync(path), bytes);

  const own = path.slice(0, path.lastIndexOf("/"));
  Deno.chmodSync(own, 0o777);
  const elsewhere = unpackLibrary(bytes, folder.path);
  ok(!elsewhere.startsWith(`${own}/`));
  deepStrictEqual(Deno.readFileSync(elsewhere), bytes);
});
