/**
 * For tests of this folder and of those above it: the process's one library, found once, and fresh
 * databases on it. Product code opens its own; nothing outside tests imports this file.
 */
import { Connection } from "./connection.ts";
import type { Library } from "./library.ts";
import { findLibrary, type LibraryLocation } from "./loader.ts";

let found: { readonly library: Library; readonly location: LibraryLocation } | undefined;

/** The library as the loader finds it; built first when it is missing. */
export function testLibrary(): Library {
  return (found ??= findLibrary()).library;
}

/** What a test's Worker needs to open the same copy. */
export function testLibraryLocation(): LibraryLocation {
  return (found ??= findLibrary()).location;
}

/** An empty database in memory. */
export function openMemory(): Connection {
  return Connection.open(testLibrary(), { path: ":memory:", mode: "create" });
}

/** A folder that is gone when the test is. */
export class TemporaryFolder implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "dust-test-" });

  /** Path of a file in it. */
  file(name: string): string {
    return `${this.path}/${name}`;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}
