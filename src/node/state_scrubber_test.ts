import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { OperatingError } from "../base/errors.ts";
import { FakeClock } from "../os/fake_clock.ts";
import { SCAN_AGAIN_MS, SCAN_FIRST_MS, SCAN_REST_MS } from "./limits.ts";
import type { StateScan } from "./ports.ts";
import { StateScrubber } from "./state_scrubber.ts";
import { settle } from "./testing.ts";

const SOUND: StateScan = { path: "f", isCopy: false, damage: undefined, isComplete: true };
const DAMAGED: StateScan = { ...SOUND, damage: "page 7", isComplete: false };

/** A file whose content a test chooses. */
class Scrubbed {
  readonly clock = new FakeClock();
  readonly events: string[] = [];
  found: StateScan | undefined = SOUND;
  hasPeers = true;
  mayRenew = true;
  readonly scrubber: StateScrubber;

  constructor() {
    this.scrubber = new StateScrubber({
      scan: () => {
        this.events.push("scan");
        return Promise.resolve(this.found);
      },
      renewCopy: () => {
        this.events.push("renew");
        if (!this.mayRenew) return Promise.reject(new OperatingError("not_leader", "no leader"));
        this.found = { ...SOUND, isCopy: true };
        return Promise.resolve();
      },
      giveUpState: (damage) => this.events.push(`give up ${damage}`),
      hasPeers: () => this.hasPeers,
      clock: this.clock,
      onFound: (damage) => this.events.push(damage),
      onHealed: () => this.events.push("healed"),
      onFatal: (error) => {
        throw error;
      },
    });
    this.scrubber.start();
  }

  async after(ms: number): Promise<string[]> {
    this.clock.advance(ms);
    await settle();
    return this.events.splice(0);
  }
}

Deno.test("StateScrubber reads soon after the start, rests, and counts what was read whole", async () => {
  const parts = new Scrubbed();
  deepStrictEqual(await parts.after(SCAN_FIRST_MS - 1), []);
  deepStrictEqual(await parts.after(1), ["scan"]);
  parts.found = { ...SOUND, isComplete: false };
  deepStrictEqual(await parts.after(SCAN_REST_MS), ["scan"]);
  parts.found = undefined;
  deepStrictEqual(await parts.after(SCAN_REST_MS), ["scan"]);
  deepStrictEqual(parts.scrubber.facts(), { damage: "", passes: 1 });
  parts.scrubber.stop();
  deepStrictEqual(await parts.after(SCAN_REST_MS), []);
});

Deno.test("StateScrubber replaces a damaged copy, also at a later try, and reads the new one soon", async () => {
  const parts = new Scrubbed();
  parts.found = { ...DAMAGED, isCopy: true };
  parts.mayRenew = false;
  deepStrictEqual(await parts.after(SCAN_FIRST_MS), ["scan", "f: page 7", "renew"]);
  strictEqual(parts.scrubber.facts().damage, "f: page 7");
  parts.mayRenew = true;
  deepStrictEqual(await parts.after(SCAN_AGAIN_MS), ["scan", "renew"]);
  deepStrictEqual(await parts.after(SCAN_AGAIN_MS), ["scan", "healed"]);
  deepStrictEqual(parts.scrubber.facts(), { damage: "", passes: 1 });
  parts.scrubber.stop();
});

Deno.test("StateScrubber gives a damaged live file up where others have its content, and tells of it alone", async () => {
  const parts = new Scrubbed();
  parts.found = DAMAGED;
  parts.hasPeers = false;
  deepStrictEqual(await parts.after(SCAN_FIRST_MS), ["scan", "f: page 7"]);
  parts.hasPeers = true;
  deepStrictEqual(await parts.after(SCAN_REST_MS), ["scan", "give up f: page 7"]);
  deepStrictEqual(await parts.after(SCAN_REST_MS), [], "the process is about to end");
});
