/**
 * Finds scenario files: every `.txt` under a directory, in the order of their paths.
 */

/** Paths below `directory`, or the path itself when it is a file. */
export function findScripts(directory: string): readonly string[] {
  if (Deno.statSync(directory).isFile) return [directory];
  const paths: string[] = [];
  for (const entry of Deno.readDirSync(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) paths.push(...findScripts(path));
    else if (entry.isFile && entry.name.endsWith(".txt")) paths.push(path);
  }
  return paths.sort();
}
