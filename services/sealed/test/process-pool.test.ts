// The pool over processes that the test plays, at a time that stands still unless moved.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { createProcessPool, type Pooled, type PoolOptions, SealedError } from "@sotto/sealed";
import fc from "fast-check";

type Fake = Pooled & { readonly name: number; readonly die: () => void; readonly killed: () => boolean };
type Start = { readonly succeed: (given?: Partial<Pooled>) => Fake; readonly fail: () => void };

let now = 0;
beforeEach(() => {
  now = 1_000_000;
  mock.timers.enable({ apis: ["setInterval", "setTimeout", "setImmediate"] });
});
afterEach(() => mock.timers.reset());

/** Lets everything happen that happens by itself now. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  mock.timers.tick(0);
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 100) {
    now += Math.min(left, 100);
    mock.timers.tick(Math.min(left, 100));
    await settle();
  }
}

let count = 0;
function createFake(given: Partial<Pooled> = {}, diesAtOnce = true): Fake {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  let [alive, killed] = [true, false];
  count += 1;
  const die = (): void => {
    alive = false;
    resolve();
  };
  const kill = (): void => {
    killed = true;
    if (diesAtOnce) die();
  };
  return { name: count, isAlive: () => alive, ended, kill, isFit: true, killed: () => killed, die, ...given };
}

function open(given: Partial<PoolOptions<Fake>> = {}) {
  const starts: Start[] = [];
  const everybody: Fake[] = [];
  let failures = 0;
  const pool = createProcessPool<Fake>({
    start: () =>
      new Promise((resolve, reject) => {
        const settled = (): void => {
          starts.splice(starts.indexOf(start), 1);
        };
        const start: Start = {
          succeed: (properties) => {
            const fake = createFake(properties);
            everybody.push(fake);
            resolve(fake);
            settled();
            return fake;
          },
          fail: () => {
            reject(new SealedError("start-failed", "test"));
            settled();
          },
        };
        starts.push(start);
      }),
    clock: () => now,
    minimumReady: 2,
    maximum: 6,
    maxAgeMs: 60_000,
    maxWaitMs: 5000,
    onStartFailure: () => {
      failures += 1;
    },
    ...given,
  });
  const next = (): Start => {
    const start = starts[0];
    assert.ok(start !== undefined, "a process is being started");
    return start;
  };
  const startAll = async (properties?: Partial<Pooled>): Promise<void> => {
    await settle();
    while (starts.length > 0) {
      next().succeed(properties);
      await settle();
    }
  };
  return { pool, starts, everybody, next, startAll, failures: () => failures };
}

/** What became of a take, without waiting for it. */
function watch(taking: Promise<Fake>) {
  const state: { taken?: Fake; code?: string } = {};
  taking.then(
    (fake) => {
      state.taken = fake;
    },
    (error: unknown) => {
      assert.ok(error instanceof SealedError);
      state.code = error.code;
    },
  );
  return state;
}

test("fills up to its minimum, and again after each is taken", async () => {
  const { pool, starts, startAll } = open();
  assert.equal(starts.length, 2, "they start at once, side by side");
  await startAll();
  assert.deepEqual(pool.counts(), { ready: 2, live: 2, waiting: 0 });
  const taken = [await pool.take(), await pool.take()];
  assert.equal(new Set(taken).size, 2, "nobody shares one");
  await startAll();
  assert.deepEqual(pool.counts(), { ready: 2, live: 4, waiting: 0 });
  for (const fake of taken) fake.die();
  await settle();
  assert.deepEqual(pool.counts(), { ready: 2, live: 2, waiting: 0 });
  pool.close();
});

test("one that is ready already is the first, and nobody waits for it", async () => {
  const first = createFake();
  const { pool, starts } = open({ first });
  assert.equal(starts.length, 1);
  assert.equal(await pool.take(), first);
  pool.close();
});

test("keeps as many ready as were taken of late, and fewer again when it is quiet", async () => {
  const { pool, startAll } = open({ maximum: 30 });
  await startAll();
  for (let turn = 0; turn < 8; turn += 1) {
    const fake = await pool.take();
    await startAll();
    fake.die();
    await settle();
  }
  await startAll();
  assert.equal(pool.counts().ready, 8);
  await pass(1500);
  assert.equal(pool.counts().ready, 8, "not at once");
  await pass(1000);
  assert.ok(pool.counts().ready < 8, "one at a time");
  await pass(5000);
  assert.deepEqual(pool.counts(), { ready: 2, live: 2, waiting: 0 });
  pool.close();
});

test("when all are in use, whoever comes is turned away at once", async () => {
  const { pool, startAll } = open({ maximum: 3 });
  await startAll();
  const taken: Fake[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    taken.push(await pool.take());
    await startAll();
  }
  const refused = watch(pool.take());
  await settle();
  assert.equal(refused.code, "busy");
  assert.deepEqual(pool.counts(), { ready: 0, live: 3, waiting: 0 });
  taken[1]?.die();
  await startAll();
  assert.deepEqual(await pool.take().then(({ isFit }) => isFit), true, "and let in when one has gone");
  pool.close();
});

test("no more than the maximum live or start, with whoever waits", async () => {
  const { pool, starts, startAll } = open({ maximum: 3 });
  const waiting = Array.from({ length: 3 }, () => watch(pool.take()));
  const late = watch(pool.take());
  await settle();
  assert.equal(starts.length, 3);
  assert.equal(late.code, "busy", "one start serves one");
  await startAll();
  assert.ok(waiting.every(({ taken }) => taken !== undefined));
  assert.equal(pool.counts().live, 3);
  pool.close();
});

test("who waits is served in the order of asking, and before whoever comes later", async () => {
  const { pool, next, startAll } = open();
  const order: number[] = [];
  for (let index = 0; index < 4; index += 1) pool.take().then(() => order.push(index));
  await settle();
  next().succeed();
  await settle();
  assert.deepEqual(order, [0]);
  pool.take().then(() => order.push(4));
  await startAll();
  assert.deepEqual(order, [0, 1, 2, 3, 4]);
  pool.close();
});

test("who waits too long is turned away, and its place is nobody's", async () => {
  const { pool, startAll } = open();
  const early = watch(pool.take());
  await pass(3000);
  const late = watch(pool.take());
  await pass(2000);
  assert.equal(early.code, "busy");
  assert.equal(late.code, undefined);
  assert.equal(pool.counts().waiting, 1);
  await startAll();
  assert.ok(late.taken !== undefined);
  pool.close();
});

test("no more than so many wait", async () => {
  const { pool } = open({ maximum: 4000 });
  const waiting = Array.from({ length: 1025 }, () => watch(pool.take()));
  await settle();
  assert.equal(waiting.filter(({ code }) => code === "busy").length, 1);
  assert.equal(waiting.at(-1)?.code, "busy", "the last one");
  pool.close();
  await settle();
  assert.ok(waiting.every(({ code }) => code === "busy"));
});

test("a start that fails is tried again after a while, which grows, and not for each that failed with it", async () => {
  const { pool, starts, next, failures } = open({ minimumReady: 16, maximum: 16 });
  const failAll = async (): Promise<void> => {
    await settle();
    while (starts.length > 0) next().fail();
    await settle();
  };
  assert.equal(starts.length, 16);
  await failAll();
  assert.equal(failures(), 16);
  assert.equal(starts.length, 0, "not at once");
  await pass(500);
  assert.equal(starts.length, 16, "sixteen that fail together are one failure");
  const pauses: number[] = [];
  for (let turn = 0; turn < 8; turn += 1) {
    await failAll();
    const since = now;
    while (starts.length === 0) await pass(100);
    pauses.push(now - since);
  }
  assert.deepEqual(
    pauses,
    [...pauses].sort((a, b) => a - b),
    "never shorter",
  );
  assert.ok(pauses.every((pause) => pause <= 5500));
  assert.ok((pauses.at(-1) ?? 0) >= 5000);
  next().succeed();
  await settle();
  await failAll();
  await pass(600);
  assert.ok(starts.length > 0, "after one that came up it is short again");
  pool.close();
});

test("who waits while nothing starts is served when something does, or turned away in time", async () => {
  const { pool, next, starts, startAll } = open();
  const [patient, impatient] = [watch(pool.take()), watch(pool.take())];
  while (starts.length > 0) next().fail();
  await pass(1000);
  next().succeed();
  await settle();
  assert.ok(patient.taken !== undefined);
  while (starts.length > 0) next().fail();
  for (let turn = 0; turn < 50; turn += 1) {
    await pass(100);
    while (starts.length > 0) next().fail();
  }
  assert.equal(impatient.code, "busy");
  await pass(6000);
  await startAll();
  assert.equal(pool.counts().ready, 2, "and it recovers");
  pool.close();
});

test("those that have waited too long are replaced, one at a time, and never handed out while they go", async () => {
  const { pool, everybody, startAll } = open({ minimumReady: 3 });
  await startAll();
  for (const fake of everybody) Object.assign(fake, { kill: () => {} }); // takes its time to be gone
  await pass(60_000);
  assert.equal(pool.counts().ready, 2);
  await startAll();
  assert.equal(pool.counts().ready, 3);
  const [oldest] = everybody;
  const taken = await pool.take();
  assert.notEqual(taken, oldest);
  await pass(5000);
  await startAll();
  assert.ok(everybody.length >= 6, "in the end all of them");
  pool.close();
});

test("one that is unfit is given only when there is no other, and soon replaced", async () => {
  const { pool, next, everybody, startAll } = open();
  const unfit = next().succeed({ isFit: false });
  await settle();
  const fit = next().succeed();
  await settle();
  assert.equal(await pool.take(), fit);
  assert.equal(await pool.take(), unfit, "better than none");
  await startAll({ isFit: false });
  const before = everybody.length;
  await pass(2500);
  await startAll();
  assert.ok(everybody.length >= before + 2);
  assert.ok((await pool.take()).isFit);
  pool.close();
});

test("one that dies while it waits is replaced", async () => {
  const { pool, everybody, startAll } = open();
  await startAll();
  everybody[0]?.die();
  await settle();
  assert.equal(pool.counts().live, 1);
  await startAll();
  assert.deepEqual(pool.counts(), { ready: 2, live: 2, waiting: 0 });
  assert.equal(await pool.take(), everybody[1]);
  pool.close();
});

test("one that has died and of which nobody has heard yet is not given to anybody", async () => {
  const { pool, next, startAll } = open();
  const isDead = { isAlive: () => false };
  next().succeed(isDead);
  next().succeed(isDead);
  await settle();
  const taking = watch(pool.take());
  await settle();
  assert.equal(pool.counts().waiting, 1);
  next().succeed(isDead);
  await settle();
  assert.equal(pool.counts().waiting, 1, "nor to one who waits");
  await startAll();
  assert.equal(taking.taken?.isAlive(), true);
  pool.close();
});

test("closing ends every process, ready, in use or still to come, and turns away who waits", async () => {
  const { pool, starts, next, everybody, startAll, failures } = open({ maximum: 8 });
  await startAll();
  await pool.take();
  await settle();
  await pool.take();
  const waiting = watch(pool.take());
  await settle();
  assert.ok(starts.length >= 2);
  pool.close();
  await settle();
  assert.equal(waiting.code, "busy");
  assert.ok(everybody.every((fake) => fake.killed()));
  const late = next().succeed();
  await settle();
  assert.ok(late.killed(), "one that comes up afterwards is ended");
  while (starts.length > 0) next().fail();
  await settle();
  assert.equal(failures(), 0, "and one that does not is nobody's business");
  await pass(10_000);
  assert.equal(starts.length, 0, "nothing is started any more");
  const after = watch(pool.take());
  await settle();
  assert.equal(after.code, "busy");
  assert.deepEqual(pool.counts(), { ready: 0, live: 0, waiting: 0 });
});

test("whatever happens in whatever order, every take ends, no process is given twice, and the maximum holds", async () => {
  const step = fc.constantFrom("take", "succeed", "unfit", "fail", "die", "leave", "wait");
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(step, fc.nat(100)), { maxLength: 60 }), async (steps) => {
      const { pool, starts, everybody } = open({ maximum: 5, maxWaitMs: 1000 });
      const takes: ReturnType<typeof watch>[] = [];
      for (const [what, which] of steps) {
        const start = starts[which % Math.max(1, starts.length)];
        const alive = everybody.filter((fake) => fake.isAlive());
        const taken = takes.flatMap(({ taken: fake }) => fake ?? []);
        if (what === "take") takes.push(watch(pool.take()));
        else if (what === "succeed") start?.succeed();
        else if (what === "unfit") start?.succeed({ isFit: false });
        else if (what === "fail") start?.fail();
        else if (what === "die") alive[which % Math.max(1, alive.length)]?.die();
        else if (what === "leave") taken[which % Math.max(1, taken.length)]?.kill();
        else await pass(100 + which * 10);
        await settle();
        assert.ok(everybody.filter((fake) => fake.isAlive()).length + starts.length <= 5);
        const { ready, live } = pool.counts();
        assert.ok(ready <= live && live <= 5);
      }
      await pass(1100);
      const given = takes.flatMap(({ taken }) => taken ?? []);
      assert.equal(new Set(given).size, given.length);
      assert.ok(takes.every(({ taken, code }) => (taken === undefined) !== (code === undefined)));
      pool.close();
      for (const start of [...starts]) start.succeed();
      await settle();
      assert.ok(everybody.every((fake) => !fake.isAlive()));
    }),
    { numRuns: 60 },
  );
});
