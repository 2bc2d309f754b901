import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { isMet, renderReport } from "../src/report.ts";
import { measureRounds, ratioOf, spreadOf } from "../src/rounds.ts";

const main = join(import.meta.dirname, "..", "src", "main.ts");

test("medians, ends and ratios are taken round by round", () => {
  assert.deepEqual(spreadOf([3, 1, 2]), { median: 2, low: 1, high: 3 });
  assert.deepEqual(spreadOf([4, 1, 3, 2]), { median: 2.5, low: 1, high: 4 });
  assert.deepEqual(ratioOf([2, 4, 9], [4, 4, 3]), { median: 1, low: 0.5, high: 3 });
});

test("every work is measured once a round, none at the same time as another, and who begins changes", async () => {
  const order: string[] = [];
  let running = 0;
  const work = (name: string) => ({
    name,
    run: async () => {
      running += 1;
      assert.equal(running, 1);
      if (order.at(-1) !== name) order.push(name);
      await undefined;
      running -= 1;
    },
  });
  const found = await measureRounds([work("a"), work("b"), work("c")], { rounds: 3, roundMs: 1 });
  assert.deepEqual(
    found.map(({ name }) => name),
    ["a", "b", "c"],
  );
  for (const { wallUs, cpuUs } of found) assert.deepEqual([wallUs.length, cpuUs.length], [3, 3]);
  // Warm-up, then three rounds, each begun by another.
  assert.equal(order.join(""), "abc" + "abc" + "bca" + "cab");
});

test("a goal is met by its median alone, and the text says so", () => {
  const value = { median: 0.5, low: 0.1, high: 0.9 };
  assert.ok(isMet({ name: "x", value, atLeast: 0.5 }));
  assert.ok(!isMet({ name: "x", value, atLeast: 0.51 }));
  assert.ok(!isMet({ name: "x", value, atMost: 0.4 }));
  const goals = [{ name: "x", value, atLeast: 0.6, stretch: 0.7 }];
  const text = renderReport({ bench: "b", rounds: 5, rows: [], goals, skipped: ["no engine"] });
  assert.match(text, /0\.500 \[0\.100\.\.0\.900\] {2}target at least 0\.6, stretch 0\.7: MISSED/);
  assert.match(text, /skipped: no engine/);
});

test("the command lists its benchmarks and refuses what it does not know", () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
  const help = run("--help");
  assert.equal(help.status, 0);
  assert.match(help.stdout, /^ {2}ohttp /m);
  for (const args of [
    [],
    ["nonsense"],
    ["__proto__"],
    ["ohttp", "more"],
    ["ohttp", "--rounds", "4"],
    ["--what"],
  ]) {
    const { status, stdout } = run(...args);
    assert.equal(status, 2, args.join(" "));
    assert.equal(stdout, "");
  }
});
