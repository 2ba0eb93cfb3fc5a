/**
 * What happened, as one number and, when asked for, as text. The number covers every event with its
 * time, so two runs of one seed that differ anywhere differ in it. Text costs much more than the rest of a
 * run, so a campaign goes without, and a failed seed is run again with it.
 */
import type { Timeline } from "./timeline.ts";

/** Kinds that fill a trace and seldom explain anything; left out of the short form. */
const NOISE: ReadonlySet<string> = new Set(["heartbeat", "heartbeat_response"]);

/** See the file's header. */
export class Trace {
  readonly #timeline: Timeline;
  readonly #codes = new Map<string, number>();
  readonly lines: string[] | undefined;
  #hash = 0x811c9dc5 | 0;
  #count = 0;

  constructor(options: { readonly timeline: Timeline; readonly hasText: boolean }) {
    this.#timeline = options.timeline;
    this.lines = options.hasText ? [] : undefined;
  }

  /** Events so far. */
  get count(): number {
    return this.#count;
  }

  /** Over all events, 8 hex digits. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  /** Notes an event at a node (0: at none), with up to two numbers. `text` is only asked when it is kept. */
  note(event: string, node: number, numbers: readonly number[] = [], text?: () => string): void {
    this.#count += 1;
    let hash = this.#hash;
    hash = Math.imul(hash ^ this.#timeline.nowUs, 0x01000193);
    hash = Math.imul(hash ^ this.#code(event) ^ node << 8, 0x85ebca6b);
    for (const number of numbers) hash = Math.imul(hash ^ hash >>> 15 ^ number, 0x01000193);
    this.#hash = hash ^ hash >>> 13;
    if (this.lines === undefined || NOISE.has(event)) return;
    const time = this.#timeline.nowMs.toFixed(3).padStart(11);
    const detail = text === undefined ? numbers.join(" ") : text();
    this.lines.push(`${time}  ${node === 0 ? "--" : `n${node}`.padEnd(3)} ${event} ${detail}`);
  }

  #code(event: string): number {
    let code = this.#codes.get(event);
    if (code === undefined) {
      code = this.#codes.size + 1;
      this.#codes.set(event, code);
    }
    return code;
  }
}
