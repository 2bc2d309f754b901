import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createReportBudget } from "../src/reporter/report-budget.ts";

const windowMs = 10_000;
const longestMs = 1112; // the eight that are left when two were asked for at once, and the one that is free again

/** Never more than ten between any two moments of a window. */
function assertPace(taken: readonly number[]): void {
  for (const [index, at] of taken.entries())
    assert.ok(at - (taken[index - 10] ?? -windowMs) >= windowMs, `report ${index}`);
}

test("the budget holds for any arrivals, and nobody waits for much more than a second", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 3000 }), { maxLength: 80 }), (pauses) => {
      let now = 0;
      const budget = createReportBudget(() => now);
      const taken: number[] = [];
      for (const pause of pauses) {
        now += pause;
        const delayMs = budget.delay();
        assert.ok(delayMs <= longestMs);
        now += delayMs;
        assert.equal(budget.delay(), 0);
        budget.take();
        budget.finish();
        taken.push(now);
      }
      assertPace(taken);
    }),
  );
});

test("the pace holds whenever within its time the device counts a report", () => {
  const report = fc.record({
    pause: fc.nat({ max: 2000 }),
    takes: fc.nat({ max: 4000 }),
    counted: fc.nat(100),
  });
  fc.assert(
    fc.property(fc.array(report, { maxLength: 60 }), (reports) => {
      let now = 0;
      const budget = createReportBudget(() => now);
      const counted = reports.map(({ pause, takes, counted: percent }) => {
        now += pause;
        now += budget.delay();
        budget.take();
        const at = now + Math.floor((takes * percent) / 100);
        now += takes;
        budget.finish();
        return at;
      });
      assertPace(counted);
    }),
  );
});

test("a report is to be had at once while there is plenty, and again after a rest", () => {
  let now = 0;
  const budget = createReportBudget(() => now);
  for (let rest = 0; rest < 3; rest += 1) {
    for (let count = 0; count < 2; count += 1) {
      assert.equal(budget.delay(), 0);
      budget.take();
      budget.finish();
    }
    assert.equal(budget.delay(), longestMs);
    now += windowMs;
  }
});

test("under endless load there is one every second", () => {
  let now = 0;
  const budget = createReportBudget(() => now);
  const taken: number[] = [];
  for (let count = 0; count < 200; count += 1) {
    now += budget.delay();
    budget.take();
    budget.finish();
    taken.push(now);
  }
  assertPace(taken);
  const gaps = taken.slice(20).map((at, index) => at - (taken[index + 19] ?? 0));
  assert.deepEqual([...new Set(gaps)], [1000]);
});

test("what was asked of the device before this budget counts, in any order", () => {
  const ages = [300, 9000, 5000, 100, 2000, 7000, 6000, 8000, 4000, 3000];
  const budget = createReportBudget(() => 1_000_000, ages);
  assert.equal(budget.delay(), 1000);
  assert.equal(createReportBudget(() => 1_000_000, [10_000, 12_000, 20_000]).delay(), 0);
  assert.equal(
    createReportBudget(
      () => 1_000_000,
      Array.from({ length: 10 }, () => 0),
    ).delay(),
    windowMs,
  );
});

test("a clock that goes back costs one window at most", () => {
  let now = 1_000_000;
  const budget = createReportBudget(() => now);
  for (let index = 0; index < 10; index += 1) budget.take();
  now = 0;
  assert.equal(budget.delay(), windowMs);
  now = windowMs;
  assert.equal(budget.delay(), 0);
});
