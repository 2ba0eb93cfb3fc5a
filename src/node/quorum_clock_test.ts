import { ok, strictEqual } from "node:assert/strict";
import { nodeId } from "../base/ids.ts";
import { EMPTY_CONFIGURATION, votersOnly } from "../raft/configuration.ts";
import { QuorumClock } from "./quorum_clock.ts";

const [ONE, TWO, THREE] = [nodeId(1), nodeId(2), nodeId(3)] as const;
const THREE_VOTERS = votersOnly([1, 2, 3]);

Deno.test("confirmedMs() is when the round began that a majority has answered, not when it did (E4)", () => {
  const clock = new QuorumClock();
  strictEqual(clock.confirmedMs(THREE_VOTERS, ONE), -Infinity);
  for (const to of [TWO, THREE]) clock.sent(to, 100);
  for (const to of [TWO, THREE]) clock.sent(to, 200);
  clock.answered(TWO);
  strictEqual(clock.confirmedMs(THREE_VOTERS, ONE), 100);
  clock.answered(THREE);
  clock.answered(THREE);
  strictEqual(clock.confirmedMs(THREE_VOTERS, ONE), 200);
  strictEqual(clock.confirmedMs(votersOnly([1, 2, 3, 4, 5]), ONE), 100);
});

Deno.test("confirmedMs() needs both majorities of a joint configuration, and none of a node alone", () => {
  const clock = new QuorumClock();
  strictEqual(clock.confirmedMs(votersOnly([1]), ONE), Infinity);
  clock.sent(TWO, 5);
  clock.answered(TWO);
  const joint = { ...EMPTY_CONFIGURATION, voters: [ONE, TWO], votersOutgoing: [ONE, THREE] };
  strictEqual(clock.confirmedMs(joint, ONE), -Infinity);
});

Deno.test("answers to a round before a lost one never count for a later one", () => {
  const clock = new QuorumClock();
  for (let round = 0; round <= 64; round++) clock.sent(TWO, round * 100);
  clock.answered(TWO);
  strictEqual(clock.confirmedMs(votersOnly([1, 2]), ONE), -Infinity, "65 rounds without an answer");
  for (let late = 1; late < 64; late++) clock.answered(TWO);
  strictEqual(clock.confirmedMs(votersOnly([1, 2]), ONE), -Infinity);
  clock.answered(TWO);
  strictEqual(clock.confirmedMs(votersOnly([1, 2]), ONE), 6400);
  clock.sent(TWO, 6500);
  clock.lost(TWO);
  clock.sent(TWO, 6600);
  clock.answered(TWO);
  strictEqual(clock.confirmedMs(votersOnly([1, 2]), ONE), 6600);
  clock.reset();
  strictEqual(clock.confirmedMs(votersOnly([1, 2]), ONE), -Infinity);
});

Deno.test("confirmedMs() goes on while reads send more rounds than are answered at a time", () => {
  const clock = new QuorumClock();
  const behind = 200;
  for (let round = 0; round < 2000; round++) {
    clock.sent(TWO, round);
    if (round < behind) continue;
    clock.answered(TWO);
    const ageMs = round - clock.confirmedMs(votersOnly([1, 2]), ONE);
    ok(ageMs >= behind && ageMs < behind + 20, `${ageMs} ms at ${round}`);
  }
});
