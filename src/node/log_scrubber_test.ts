import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { type LogIndex, logIndex } from "../base/ids.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { SCRUB_REST_MS, SCRUB_SLICE_MS } from "./limits.ts";
import { type LogCheck, LogScrubber } from "./log_scrubber.ts";
import { settle } from "./testing.ts";

/** Ten entries, three at a time; one may be damaged, and goes with all before it. */
class Scrubbed {
  readonly clock = new FakeClock();
  readonly reads: number[] = [];
  readonly events: string[] = [];
  readonly fatal: unknown[] = [];
  applied = 10;
  firstIndex: LogIndex = logIndex(1);
  lastIndex: LogIndex = logIndex(10);
  /** Entries that are written and applied with each read. */
  growth = 0;
  damaged = 0;
  mayHeal = true;
  readonly scrubber: LogScrubber;

  constructor() {
    this.scrubber = new LogScrubber({
      log: this,
      appliedIndex: () => logIndex(this.applied),
      heal: () => {
        this.events.push("heal");
        if (this.mayHeal) this.firstIndex = logIndex(8);
        return Promise.resolve();
      },
      clock: this.clock,
      onFound: (damage) => this.events.push(damage),
      onHealed: () => this.events.push("healed"),
      onFatal: (error) => this.fatal.push(error),
    });
    this.scrubber.start();
  }

  verify({ from, to }: { readonly from: LogIndex; readonly to: LogIndex }): Promise<LogCheck> {
    this.reads.push(from);
    this.lastIndex = logIndex(this.lastIndex + this.growth);
    this.applied += this.growth;
    const end = Math.min(from + 3, to);
    const isDamaged = this.damaged >= from && this.damaged < end;
    const damage = isDamaged ? `entry ${this.damaged}` : undefined;
    return Promise.resolve({ to: logIndex(isDamaged ? from : end), damage });
  }

  cut(): void {
    this.events.push("cut");
  }

  async pass(): Promise<void> {
    this.clock.advance(SCRUB_REST_MS);
    await settle();
    for (let slice = 0; slice < 5; slice++) {
      this.clock.advance(SCRUB_SLICE_MS);
      await settle();
    }
  }
}

Deno.test("LogScrubber reads what is applied, slice by slice, then rests and begins anew", async () => {
  const parts = new Scrubbed();
  parts.applied = 8;
  await parts.pass();
  deepStrictEqual([parts.reads, parts.scrubber.passCount], [[1, 4, 7], 1]);
  parts.applied = 10;
  await parts.pass();
  deepStrictEqual([parts.reads.slice(3), parts.scrubber.passCount], [[1, 4, 7, 10], 2]);
  await parts.scrubber.stop();
  await parts.pass();
  deepStrictEqual([parts.reads.length, parts.events, parts.fatal], [7, [], []]);
});

Deno.test("LogScrubber ends a pass where the log ended when it began, however many writes come (D2)", async () => {
  const parts = new Scrubbed();
  parts.growth = 1;
  await parts.pass();
  deepStrictEqual([parts.reads, parts.scrubber.passCount], [[1, 4, 7, 10], 1]);
  await parts.pass();
  deepStrictEqual([parts.reads.slice(4), parts.scrubber.passCount], [[1, 4, 7, 10, 13], 2]);
  await parts.scrubber.stop();
});

Deno.test("LogScrubber says once what is damaged, heals until it is gone, and says that (D2)", async () => {
  const parts = new Scrubbed();
  const healing = ["cut", "heal"];
  parts.damaged = 5;
  parts.mayHeal = false;
  await parts.pass();
  strictEqual(parts.scrubber.damage, "entry 5");
  await parts.pass();
  deepStrictEqual(parts.events, ["entry 5", ...healing, ...healing]);
  parts.mayHeal = true;
  await parts.pass();
  strictEqual(parts.scrubber.damage, "entry 5");
  await parts.pass();
  deepStrictEqual(parts.events, ["entry 5", ...healing, ...healing, ...healing, "healed"]);
  strictEqual(parts.scrubber.damage, undefined);
  await parts.scrubber.stop();
});

Deno.test("LogScrubber mends at once what a slow member has met, and not again until that is done (D2)", async () => {
  const parts = new Scrubbed();
  parts.damaged = 5;
  parts.mayHeal = false;
  const healing = ["cut", "heal"];
  for (let time = 0; time < 3; time++) {
    parts.scrubber.onLogDamaged("entry 5");
    parts.clock.advance(SCRUB_SLICE_MS);
    await settle();
  }
  deepStrictEqual([parts.scrubber.damage, parts.events], ["entry 5", ["entry 5", ...healing]]);
  // From here on as if it had been found here.
  parts.mayHeal = true;
  await parts.pass();
  deepStrictEqual(parts.events, ["entry 5", ...healing, ...healing]);
  await parts.pass();
  deepStrictEqual(parts.events, ["entry 5", ...healing, ...healing, "healed"]);
  await parts.scrubber.stop();
  parts.scrubber.onLogDamaged("entry 9");
  parts.clock.advance(SCRUB_REST_MS);
  await settle();
  deepStrictEqual([parts.events.length, parts.fatal], [6, []]);
});

Deno.test("LogScrubber that is told of damage while it reads mends it once it has read", async () => {
  const parts = new Scrubbed();
  parts.clock.advance(SCRUB_REST_MS);
  // The first slice is being read.
  parts.scrubber.onLogDamaged("entry 5");
  strictEqual(parts.scrubber.damage, undefined);
  await settle();
  parts.clock.advance(0);
  await settle();
  deepStrictEqual(parts.events, ["entry 5", "cut", "heal"]);
  await parts.scrubber.stop();
});
