// The reporter itself, in time that the test moves, over a device that answers when told to.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  leafOfDigests,
  maxBatchSize,
  parseSnpReport,
  type SessionBinding,
  verifyBinding,
} from "@sotto/attestation";
import { type Bytes, systemRandom } from "@sotto/base";
import { ReportError, type ReportErrorCode } from "@sotto/kit";
import { type Answer, AnswerParser, serializeAsk } from "../src/reporter/message.ts";
import { createReporter, maxReportMs, maxWaitMs } from "../src/reporter/reporter.ts";
import { createDevice, createTime, settle } from "./stage.ts";

/** A reporter, what it has said, and sessions to ask about. */
function play(role: SessionBinding["role"] = "predictor") {
  const time = createTime();
  const device = createDevice(time.clock);
  const parser = new AnswerParser();
  const answers: Answer[] = [];
  let lost = false;
  const reporter = createReporter({
    ...{ role, report: device.report, clock: time.clock, timer: time.timer, recent: [] },
    send: (bytes) => void answers.push(...parser.push(bytes)),
    onLost: () => {
      lost = true;
    },
  });
  const digests: Bytes[] = [];
  /** Asks about so many sessions more. */
  const ask = async (count = 1): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      const id = digests.length;
      const own = systemRandom(256);
      digests.push(own);
      reporter.receive(serializeAsk({ id, digests: own }));
    }
    await settle();
  };
  const answer = async (index: number): Promise<void> => {
    const reports = (): number => answers.filter(({ kind }) => kind === "report").length;
    const before = reports();
    device.asked[index]?.answer();
    await until(() => reports() > before);
    await settle();
  };
  /** What was said about sessions, by their ids. */
  const words = (): Record<number, string> =>
    Object.fromEntries(
      answers.flatMap((one): [number, string][] => {
        if (one.kind === "report") return [];
        return [[one.id, one.kind === "place" ? "placed" : one.word]];
      }),
    );
  return { ...time, reporter, asked: device.asked, answers, digests, ask, answer, words, isLost: () => lost };
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !condition(); tries += 1) await new Promise((go) => setTimeout(go, 1));
}

const some = <Value>(value: Value | undefined): Value => {
  assert.ok(value !== undefined);
  return value;
};

test("what it signs are the leaves of its own role, in the order of asking, and nothing that it was given", async () => {
  for (const role of ["orchestrator", "predictor", "guard"] as const) {
    const { ask, answer, answers, digests } = play(role);
    await ask(5);
    await answer(0);
    const [told, ...places] = answers;
    assert.ok(told?.kind === "report" && told.size === 5 && places.length === 5);
    const { reportData } = parseSnpReport(told.report);
    for (const [index, place] of places.entries()) {
      assert.ok(place.kind === "place" && place.id === index);
      const batch = { index, size: 5, path: place.path };
      const own = some(digests[index]);
      verifyBinding(leafOfDigests(role, own), batch, reportData);
      for (const other of ["orchestrator", "predictor", "guard"] as const) {
        if (other === role) continue;
        const leaf = leafOfDigests(other, own);
        assert.throws(() => verifyBinding(leaf, batch, reportData), { code: "binding-mismatch" });
      }
    }
  }
});

test("a leaf is made of eight digests, no more and no fewer", () => {
  for (const length of [0, 64, 255, 257, 288])
    assert.throws(() => leafOfDigests("guard", systemRandom(length)), { code: "malformed" });
});

test("a session alone is served at once; under load the next report is about all who wait for it", async () => {
  const { ask, answer, asked, advance, words, clock } = play();
  await ask();
  assert.equal(asked.length, 1);
  await answer(0);
  await ask();
  assert.equal(asked.length, 2, "while there is plenty, so is the next");
  await answer(1);
  const since = clock();
  for (let session = 2; session < 30; session += 1) {
    await ask();
    advance(30);
  }
  assert.equal(asked.length, 2);
  while (asked.length === 2) {
    advance(10);
    await settle();
  }
  assert.ok(clock() - since <= 1120);
  await answer(2);
  assert.deepEqual(Object.keys(words()).length, 30);
});

test("a device that is slow gets one request at a time, and its rest after each", async () => {
  const { ask, answer, asked, advance } = play();
  for (let report = 0; report < 6; report += 1) {
    await ask();
    advance(2000);
    await settle();
    assert.equal(asked.length, report + 1, "never two");
    await ask();
    await answer(report);
  }
  const gaps = asked.slice(3).map(({ at }, index) => at - some(asked[index + 2]).at);
  assert.ok(gaps.every((gap) => gap >= 2000));
});

test("over 4096 that wait, the next is told at once that it is too many", async () => {
  const { ask, asked, answer, words } = play();
  await ask();
  await ask(maxBatchSize);
  assert.deepEqual(words(), {});
  await ask(3);
  const [first, second, third] = [1, 2, 3].map((more) => maxBatchSize + more);
  assert.deepEqual(words(), { [some(first)]: "busy", [some(second)]: "busy", [some(third)]: "busy" });
  await answer(0);
  assert.equal(words()[0], "placed");
  await answer(1);
  await until(() => words()[maxBatchSize] === "placed");
  assert.equal(asked.length, 2);
  assert.equal(words()[1], "placed");
  assert.equal(words()[maxBatchSize], "placed");
});

test("while the device stalls who comes is told so at once, who waits is told so in time, and then all goes on", async () => {
  const { ask, answer, asked, advance, words } = play();
  await ask();
  advance(1000);
  await ask();
  assert.deepEqual(words(), {}, "one second is no stall");
  advance(maxWaitMs - 1001);
  await ask();
  assert.deepEqual(words(), {});
  advance(1);
  assert.deepEqual(words(), { 1: "busy", 2: "busy" }, "they have waited");
  await ask();
  assert.equal(words()[3], "busy", "it would have to");
  advance(maxReportMs - maxWaitMs);
  const all = { 0: "unavailable", 1: "busy", 2: "busy", 3: "busy" };
  assert.deepEqual(words(), all);
  await ask();
  assert.equal(words()[4], "busy");
  some(asked[0]).answer();
  await settle();
  await until(() => false);
  assert.deepEqual(words(), { ...all, 4: "busy" }, "it comes too late");
  await ask();
  assert.equal(asked.length, 2, "somebody has to find out whether it still stalls");
  await answer(1);
  assert.equal(words()[5], "placed");
  advance(2000);
  await ask();
  await answer(2);
  assert.equal(words()[6], "placed");
});

test("a failure ends those that shared the report; a final one ends the reporter, and all who wait", async () => {
  const final: Readonly<Record<ReportErrorCode, boolean>> = {
    refused: true,
    "wrong-provider": true,
    unavailable: false,
    raced: false,
    "timed-out": false,
    malformed: false,
  };
  for (const code of [
    "refused",
    "wrong-provider",
    "unavailable",
    "raced",
    "timed-out",
    "malformed",
  ] as const) {
    const { ask, answer, asked, words, isLost } = play();
    await ask(2);
    await ask();
    some(asked[0]).fail(new ReportError(code, "device"));
    await settle();
    const both = { 0: "unavailable", 1: "unavailable" };
    assert.equal(isLost(), final[code]);
    assert.deepEqual(words(), final[code] ? { ...both, 2: "unavailable" } : both);
    assert.equal(asked.length, final[code] ? 1 : 2);
    if (!final[code]) {
      await answer(1);
      assert.equal(words()[2], "placed");
    }
    await ask();
    assert.equal(words()[3], final[code] ? "unavailable" : undefined);
  }
});

test("whatever else goes wrong with a report, nobody waits for ever, and no budget is won by it", async () => {
  const { ask, asked, advance, words } = play();
  for (let report = 0; report < 4; report += 1) {
    await ask();
    some(asked.at(-1)).fail(new Error("device"));
    await settle();
    assert.equal(words()[report], "unavailable");
    assert.equal(asked.length, report + 1);
    if (report === 0) continue;
    advance(1112);
    await settle();
  }
});

test("one that ends lets the device finish, tells who is served, and who is not", async () => {
  const { reporter, ask, asked, words, waiting } = play();
  await ask();
  await ask(2);
  const ended = reporter.end();
  assert.deepEqual(words(), { 1: "unavailable", 2: "unavailable" });
  some(asked[0]).answer();
  await ended;
  assert.equal(words()[0], "placed");
  assert.equal(waiting(), 0, "nothing is left that waits for time");
});

test("what is no ask ends it", async () => {
  const { reporter, ask } = play();
  await ask();
  assert.throws(() => reporter.receive(serializeAsk({ id: 0, digests: systemRandom(256) })), {
    name: "ReporterMessageError",
  });
  const other = play();
  other.reporter.receive(systemRandom(64));
  await assert.rejects(other.reporter.end(), { code: "malformed" });
  assert.equal(other.asked.length, 0);
});
