// The attester's end, against a reporter that is played by the test: whatever it says, nobody gets somebody else's place.
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import {
  createBatch,
  leafOfDigests,
  maxBatchSize,
  parseSnpReport,
  sessionDigestsBytes,
  verifyBinding,
} from "@sotto/attestation";
import { type Bytes, concatBytes, systemRandom } from "@sotto/base";
import { type Answer, AskParser, serializeAnswer } from "../src/reporter/message.ts";
import { exitCode } from "../src/reporter/seat.ts";
import { openReporterDesk, type Placed } from "../src/reporter-desk.ts";
import type { ReporterConnection } from "../src/reporter-process.ts";
import { createTime, rejects, settle, signReport } from "./stage.ts";

const role = "predictor";

/** One reporter as the desk started it. */
function createPlayed(recent: readonly number[]) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const { promise: ended, resolve } = Promise.withResolvers<number | undefined>();
  let killed = false;
  const leaves: Bytes[] = [];
  const parser = new AskParser();
  input.on("data", (bytes: Uint8Array) => {
    for (const { digests } of parser.push(bytes)) leaves.push(leafOfDigests(role, digests));
  });
  const kill = (): void => {
    killed = true;
    output.end(() => resolve(undefined));
  };
  const connection: ReporterConnection = { input, output, kill, ended };
  const exit = (code: number): void => void output.end(() => resolve(code));
  const say = (...answers: readonly (Answer | Bytes)[]): void => {
    for (const answer of answers)
      output.write(answer instanceof Uint8Array ? answer : serializeAnswer(answer));
  };
  return {
    connection,
    recent,
    leaves,
    say,
    exit,
    isKilled: () => killed,
    isToldToEnd: () => input.writableEnded,
  };
}

/** A desk with reporters that the test plays. */
function openDesk() {
  const time = createTime();
  const reporters: ReturnType<typeof createPlayed>[] = [];
  const desk = openReporterDesk({
    ...{ role, clock: time.clock, timer: time.timer },
    start: (recent) => {
      const played = createPlayed(recent);
      reporters.push(played);
      return played.connection;
    },
  });
  const ask = (): { readonly leaf: Bytes; readonly placed: Promise<Placed> } => {
    const digests = systemRandom(sessionDigestsBytes);
    const placed = desk.ask(digests);
    placed.catch(() => {});
    return { leaf: leafOfDigests(role, digests), placed };
  };
  const current = (): ReturnType<typeof createPlayed> => {
    const last = reporters.at(-1);
    assert.ok(last);
    return last;
  };
  return { ...time, desk, reporters, ask, current };
}

/** What a reporter would say about these leaves, whose ids start at `from`. */
async function batchOf(leaves: readonly Bytes[], from = 0): Promise<[Answer, ...Answer[]]> {
  const { reportData, pathFor } = createBatch(leaves);
  const signed = await signReport(reportData);
  const places = leaves.map((_, index): Answer => {
    return { kind: "place", id: from + index, path: pathFor(index).path };
  });
  return [{ kind: "report", size: leaves.length, ...signed }, ...places];
}

test("each session gets the place that it asked for, over as many reports as come", async () => {
  const { ask, current } = openDesk();
  const sessions = [ask(), ask(), ask()];
  await settle();
  const { leaves, say } = current();
  assert.deepEqual(
    leaves,
    sessions.map(({ leaf }) => leaf),
  );
  say(...(await batchOf(leaves.slice(0, 2))), ...(await batchOf(leaves.slice(2), 2)));
  for (const { leaf, placed } of sessions) {
    const { snp, batch } = await placed;
    verifyBinding(leaf, batch, parseSnpReport(snp.report).reportData);
  }
});

type Lie = (leaves: readonly Bytes[]) => Promise<readonly (Answer | Bytes)[]>;
const lies: Readonly<Record<string, Lie>> = {
  "two places swapped": async (leaves) => {
    const [report, first, second, third] = await batchOf(leaves);
    assert.ok(first?.kind === "place" && second?.kind === "place" && third);
    return [report, { ...first, id: 1 }, { ...second, id: 0 }, third];
  },
  "a place of another batch": async (leaves) => {
    const [, other] = await batchOf(leaves.with(1, systemRandom(64)));
    const [report] = await batchOf(leaves);
    assert.ok(other);
    return [report, other];
  },
  "a report about something else": async (leaves) => {
    const [report, ...places] = await batchOf(leaves);
    return [{ ...report, ...(await signReport(systemRandom(64))) }, ...places];
  },
  "a batch of another size": async (leaves) => {
    const [report, ...places] = await batchOf(leaves);
    assert.ok(report.kind === "report");
    return [{ ...report, size: 2 }, ...places];
  },
  "a batch larger than all who ask": async (leaves) => batchOf([...leaves, systemRandom(64)]),
  "an empty batch": async (leaves) => {
    const [report] = await batchOf(leaves);
    assert.ok(report.kind === "report");
    return [{ ...report, size: 0 }];
  },
  "a place for somebody who has not asked": async (leaves) => {
    const [report, first] = await batchOf(leaves);
    assert.ok(first?.kind === "place");
    return [report, { ...first, id: 77 }];
  },
  "a place before any report": async (leaves) => (await batchOf(leaves)).slice(1),
  "a refusal for somebody who has not asked": async () => [{ kind: "refusal", id: 9, word: "busy" }],
  "a refusal within a batch": async (leaves) => {
    const [report, first] = await batchOf(leaves);
    assert.ok(first);
    return [report, { kind: "refusal", id: 2, word: "busy" }, first];
  },
  "a report within a batch": async (leaves) => {
    const [report, , second] = await batchOf(leaves);
    assert.ok(second);
    return [report, report, second];
  },
  "a report that is none": async (leaves) => {
    const [report, ...places] = await batchOf(leaves);
    return [{ ...report, report: systemRandom(64) } as Answer, ...places];
  },
  "a role before the path": async (leaves) => {
    const [report, first] = await batchOf(leaves);
    assert.ok(first?.kind === "place");
    return [report, { ...first, path: [systemRandom(32), ...first.path] }];
  },
  "words that are no answer": async () => [systemRandom(400).with(0, 200)],
  "an answer without an end": async () => [Uint8Array.of(1, 255, 255, 255)],
};

for (const [name, lie] of Object.entries(lies)) {
  test(`a reporter that says this is ended, and nobody has got anything from it: ${name}`, async () => {
    const { ask, current, reporters, advance } = openDesk();
    const sessions = [ask(), ask(), ask()];
    await settle();
    const lying = current();
    lying.say(...(await lie(lying.leaves)));
    await settle();
    assert.ok(lying.isKilled());
    for (const [index, { leaf, placed }] of sessions.entries()) {
      const outcome = await placed.catch(() => undefined);
      // What was said before the lie may have been true.
      if (outcome === undefined) await rejects(placed, "unavailable");
      else verifyBinding(leaf, outcome.batch, parseSnpReport(outcome.snp.report).reportData);
      assert.ok(outcome === undefined || index < 2, "nobody after the lie");
    }
    advance(500);
    assert.equal(reporters.length, 2);
    const next = ask();
    await settle();
    current().say(...(await batchOf(current().leaves)));
    await next.placed;
  });
}

test("nobody gets a second answer", async () => {
  const { ask, current } = openDesk();
  const [first, second] = [ask(), ask()];
  await settle();
  const { say, leaves, isKilled } = current();
  const [report, place] = await batchOf(leaves.slice(0, 1));
  assert.ok(place);
  say(report, place);
  await first.placed;
  assert.ok(!isKilled());
  say(report, place);
  await rejects(second.placed, "unavailable");
  assert.ok(isKilled());
});

test("refusals are passed on, each to its own session", async () => {
  const { ask, current } = openDesk();
  const [first, second, third] = [ask(), ask(), ask()];
  await settle();
  const { say, leaves } = current();
  say({ kind: "refusal", id: 1, word: "busy" }, { kind: "refusal", id: 0, word: "unavailable" });
  say(...(await batchOf(leaves.slice(2), 2)));
  await rejects(first.placed, "unavailable");
  await rejects(second.placed, "busy");
  await third.placed;
});

test("a reporter that has gone is started again, each time later, a few times only", async () => {
  const { ask, reporters, current, advance } = openDesk();
  for (let start = 1; start <= 6; start += 1) {
    const lost = ask();
    current().exit(1);
    await rejects(lost.placed, "unavailable");
    await rejects(ask().placed, "unavailable");
    advance(500 * 2 ** (start - 1) - 1);
    assert.equal(reporters.length, start);
    advance(1);
    assert.equal(reporters.length, start + 1);
  }
  current().exit(1);
  await settle();
  advance(1_000_000);
  assert.equal(reporters.length, 7, "it has been tried often enough");
  await rejects(ask().placed, "unavailable");
});

test("one that has served is started again as if it were the first, and knows what the device has done", async () => {
  const { ask, reporters, current, advance } = openDesk();
  for (let round = 0; round < 9; round += 1) {
    const served = ask();
    await settle();
    current().say(...(await batchOf(current().leaves)));
    await served.placed;
    advance(1000);
    current().exit(1);
    await settle();
    advance(500);
    assert.equal(reporters.length, round + 2);
  }
  assert.deepEqual(current().recent, [13500, 12000, 10500, 9000, 7500, 6000, 4500, 3000, 1500]);
  const waits = ask();
  current().exit(1);
  await rejects(waits.placed, "unavailable");
  advance(1000);
  assert.equal(current().recent.length, 10);
  assert.equal(current().recent.at(-1), 1000, "the device may have been asked for it");
});

test("when the device is lost no reporter is started any more", async () => {
  const { ask, reporters, current, advance } = openDesk();
  const lost = ask();
  await settle();
  current().say({ kind: "refusal", id: 0, word: "unavailable" });
  current().exit(exitCode.deviceLost);
  await rejects(lost.placed, "unavailable");
  await settle();
  advance(1_000_000);
  assert.equal(reporters.length, 1);
  await rejects(ask().placed, "unavailable");
});

test("a reporter that falls silent is ended, and a patient one is not", async () => {
  const { ask, current, advance, waiting } = openDesk();
  const first = ask();
  await settle();
  advance(20_000);
  const second = ask();
  await settle();
  const { say, leaves, isKilled } = current();
  say(...(await batchOf(leaves.slice(0, 1))));
  await first.placed;
  advance(29_000);
  assert.ok(!isKilled());
  advance(1000);
  assert.ok(isKilled());
  await settle();
  await rejects(second.placed, "unavailable");
  assert.equal(waiting(), 1, "only the start of the next");
});

test("more than two full batches are not held, whatever the reporter does", async () => {
  const { desk, ask } = openDesk();
  const many = Array.from({ length: 2 * maxBatchSize }, ask);
  await rejects(desk.ask(systemRandom(sessionDigestsBytes)), "busy");
  const closed = desk.close();
  for (const { placed } of [many[0], many.at(-1)].filter((one) => one !== undefined))
    await rejects(placed, "unavailable");
  await rejects(desk.ask(systemRandom(sessionDigestsBytes)), "unavailable");
  await Promise.race([closed, settle()]);
});

test("one that is closed has its reporter end by itself, or else ends it, and starts none", async () => {
  for (const isObedient of [true, false]) {
    const { desk, ask, current, reporters, advance, waiting } = openDesk();
    const one = ask();
    const closed = desk.close();
    await rejects(one.placed, "unavailable");
    assert.ok(current().isToldToEnd());
    if (isObedient) {
      current().say({ kind: "refusal", id: 0, word: "unavailable" }, concatBytes());
      current().exit(0);
    } else advance(3000);
    await closed;
    assert.equal(current().isKilled(), !isObedient);
    advance(1_000_000);
    assert.equal(reporters.length, 1);
    assert.equal(waiting(), 0);
  }
  const { desk, current, reporters, advance } = openDesk();
  current().exit(1);
  await settle();
  await desk.close();
  advance(1_000_000);
  assert.equal(reporters.length, 1, "nor the one that was about to be started");
});
