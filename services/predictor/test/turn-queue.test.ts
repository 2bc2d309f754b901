import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createTurnQueue } from "../src/turn-queue.ts";

test("turns come in the order of asking, so many at once", () => {
  const queue = createTurnQueue(2);
  const begun: number[] = [];
  const leave = [0, 1, 2, 3, 4].map((who) => queue.enter(() => begun.push(who)));
  assert.deepEqual(begun, [0, 1]);
  leave[1]?.();
  assert.deepEqual(begun, [0, 1, 2]);
  leave[0]?.();
  leave[2]?.();
  assert.deepEqual(begun, [0, 1, 2, 3, 4]);
});

test("who leaves while waiting is passed over; leaving twice gives back one turn", () => {
  const queue = createTurnQueue(1);
  const begun: number[] = [];
  const leave = [0, 1, 2, 3].map((who) => queue.enter(() => begun.push(who)));
  leave[1]?.();
  leave[1]?.();
  assert.deepEqual(begun, [0]);
  leave[0]?.();
  leave[0]?.();
  assert.deepEqual(begun, [0, 2]);
});

test("a turn that ends as it begins lets the next begin", () => {
  const queue = createTurnQueue(1);
  const begun: number[] = [];
  const leave: (() => void)[] = [];
  const first = queue.enter(() => begun.push(0));
  for (const who of [1, 2, 3]) {
    leave[who] = queue.enter(() => {
      begun.push(who);
      leave[who]?.();
    });
  }
  first();
  assert.deepEqual(begun, [0, 1, 2, 3]);
});

test("however they come and go, no more than the limit are busy, nobody is left out, and order is kept", () => {
  const steps = fc.array(fc.nat({ max: 20 }), { maxLength: 60 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), steps, (parallel, moves) => {
      const queue = createTurnQueue(parallel);
      const busy = new Set<number>();
      const waiting: number[] = [];
      const leave: (() => void)[] = [];
      for (const move of moves) {
        if (move > 10 || leave.length === 0) {
          const who = leave.length;
          waiting.push(who);
          leave.push(
            queue.enter(() => {
              assert.equal(waiting.shift(), who, "the next in order");
              busy.add(who);
            }),
          );
        } else {
          const who = move % leave.length;
          busy.delete(who);
          if (waiting.includes(who)) waiting.splice(waiting.indexOf(who), 1);
          leave[who]?.();
        }
        assert.ok(busy.size <= parallel);
        assert.ok(busy.size === parallel || waiting.length === 0, "nobody waits without a reason");
      }
    }),
  );
});
