/**
 * Damages the log of a node that runs, as a disk might: bytes of one entry are overwritten behind its back. And
 * tells what the node says of its log, which it reads again now and then (src/node/log_scrubber.ts).
 */
import { get, type Member } from "./cluster.ts";

/** How much of an entry is overwritten. */
const DAMAGE_BYTES = 64;

/** Where bytes were overwritten. */
export interface DamagedPlace {
  readonly file: string;
  readonly offset: number;
  /** Whether it is the file that was written to then. */
  readonly isNewest: boolean;
}

/** What a node says of its log; `damage` is empty while it knows of none. */
export interface ScrubFacts {
  readonly damage: string;
  /** How often the whole log was read and found sound. */
  readonly passes: number;
}

/** Overwrites the entry that holds `text`, and what follows it. @throws {Error} when no file of the log has it. */
export async function damageLog(
  { dataDirectory }: Pick<Member, "dataDirectory">,
  text: string,
): Promise<DamagedPlace> {
  const files = await segments(`${dataDirectory}/log`);
  for (const file of files) {
    const offset = placeOf(await Deno.readFile(file), new TextEncoder().encode(text));
    if (offset < 0) continue;
    using open = await Deno.open(file, { write: true });
    open.seekSync(offset, Deno.SeekMode.Start);
    open.writeSync(new Uint8Array(DAMAGE_BYTES).fill(0xa5));
    return { file, offset, isNewest: file === files[0] };
  }
  throw new Error(`damageLog: ${text} is in none of ${files.join()}`);
}

/** What a member says of its log. */
export async function scrubFacts(member: Member): Promise<ScrubFacts> {
  return JSON.parse(await get(member, "/status?key=store.scrub"));
}

/** The segment files, the newest first. */
async function segments(folder: string): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith(".log")) names.push(name);
  }
  return names.sort().reverse().map((name) => `${folder}/${name}`);
}

function placeOf(bytes: Uint8Array, wanted: Uint8Array): number {
  const [first = 0] = wanted;
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (wanted.every((byte, place) => bytes[at + place] === byte)) return at;
  }
  return -1;
}
