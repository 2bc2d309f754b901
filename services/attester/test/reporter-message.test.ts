import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, concatBytes, systemRandom } from "@sotto/base";
import fc from "fast-check";
import {
  type Answer,
  AnswerParser,
  type Ask,
  AskParser,
  askBytes,
  followingId,
  ReporterMessageError,
  refusalWords,
  serializeAnswer,
  serializeAsk,
} from "../src/reporter/message.ts";

const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Bytes> =>
  fc.uint8Array({ minLength, maxLength }).map((given) => new Uint8Array(given));
const id = fc.nat({ max: 0xffffffff });
const anyAnswer: fc.Arbitrary<Answer> = fc
  .oneof(
    fc.record({
      kind: fc.constant("report"),
      size: id,
      report: bytes(0, 1200),
      certificates: bytes(0, 2000),
    }),
    fc.record({ kind: fc.constant("place"), id, path: fc.array(bytes(32, 32), { maxLength: 12 }) }),
    fc.record({ kind: fc.constant("refusal"), id, word: fc.constantFrom(...refusalWords) }),
  )
  .map((answer) => ({ ...answer }));
const asksFrom = (count: number): Ask[] =>
  Array.from({ length: count }, (_, index) => ({ id: index, digests: systemRandom(256) }));
const refuses = (work: () => unknown, code?: ReporterMessageError["code"]): void =>
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof ReporterMessageError, String(error));
    return code === undefined || error.code === code;
  });

/** The pieces in which a stream may arrive. */
const cut = (stream: Bytes, sizes: readonly number[]): Bytes[] => {
  const pieces: Bytes[] = [];
  for (let start = 0, turn = 0; start < stream.length; turn += 1) {
    const end = start + (sizes[turn % sizes.length] ?? stream.length);
    pieces.push(stream.slice(start, end));
    start = end;
  }
  return pieces;
};
const cuts = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 6 });

test("asks and answers are the same after their journey, in whatever pieces they come", () => {
  fc.assert(
    fc.property(fc.nat({ max: 8 }), cuts, (count, sizes) => {
      const asks = asksFrom(count);
      const parser = new AskParser();
      const stream = concatBytes(...asks.map(serializeAsk));
      assert.equal(stream.length, count * askBytes);
      assert.deepEqual(
        cut(stream, sizes).flatMap((piece) => parser.push(piece)),
        asks,
      );
      parser.end();
    }),
  );
  fc.assert(
    fc.property(fc.array(anyAnswer, { maxLength: 8 }), cuts, (answers, sizes) => {
      const parser = new AnswerParser();
      const stream = concatBytes(...answers.map(serializeAnswer));
      assert.deepEqual(
        cut(stream, sizes).flatMap((piece) => parser.push(piece)),
        answers,
      );
    }),
  );
});

test("an ask has room for eight digests, and for nothing else", () => {
  for (const length of [0, 32, 64, 255, 257, 320])
    refuses(() => serializeAsk({ id: 0, digests: systemRandom(length) }), "malformed");
});

test("an ask that is lost, repeated, cut or longer than it may be is refused, by its id or at the end", () => {
  const [first, second, third] = asksFrom(3).map(serializeAsk);
  assert.ok(first && second && third);
  const wrong: Readonly<Record<string, readonly Bytes[]>> = {
    "one not the first": [second],
    "one lost": [first, third],
    "one repeated": [first, first],
    "two swapped": [second, first],
    "the data of a report, before it": [systemRandom(64), first, second, third],
    "a byte too many": [first, new Uint8Array(1), second],
    "a byte too few": [first.slice(0, -1), second, third],
    "a digest too many": [first, new Uint8Array(32).fill(9), second],
  };
  for (const [name, pieces] of Object.entries(wrong)) {
    const parser = new AskParser();
    assert.throws(
      () => {
        for (const piece of pieces) parser.push(piece);
        parser.end();
      },
      { name: "ReporterMessageError", code: "malformed" },
      name,
    );
  }
  for (let length = 1; length < askBytes; length += 1) {
    const parser = new AskParser();
    assert.deepEqual(parser.push(first.subarray(0, length)), []);
    refuses(() => parser.end(), "malformed");
  }
});

test("ids begin again after the last", () => {
  assert.deepEqual([0, 41, 0xfffffffe, 0xffffffff].map(followingId), [1, 42, 0xffffffff, 0]);
});

test("no bytes make a parser do anything but wait or refuse, and what it reads is written the same", () => {
  const anything = fc.oneof(
    bytes(0, 1500),
    fc.tuple(fc.constantFrom(1, 2, 3), bytes(0, 600)).map(([type, content]) => {
      const [high = 0, low = 0] = [content.length >> 8, content.length & 255];
      return concatBytes(Uint8Array.of(type, 0, high, low), content);
    }),
  );
  fc.assert(
    fc.property(anything, cuts, (stream, sizes) => {
      try {
        const parser = new AnswerParser();
        const answers = cut(stream, sizes).flatMap((piece) => parser.push(piece));
        const written = concatBytes(...answers.map(serializeAnswer));
        assert.deepEqual(stream.slice(0, written.length), written);
      } catch (error) {
        assert.ok(error instanceof ReporterMessageError, String(error));
      }
      refusesOrWaits(new AskParser(), stream);
    }),
    { numRuns: 500 },
  );
});

function refusesOrWaits(parser: AskParser, stream: Bytes): void {
  try {
    for (const [index, ask] of parser.push(stream).entries()) assert.equal(ask.id, index);
  } catch (error) {
    assert.ok(error instanceof ReporterMessageError, String(error));
  }
}

test("an answer that is cut, longer than its kind may be, or of no kind is refused", () => {
  const answers: readonly Answer[] = [
    { kind: "report", size: 3, report: systemRandom(50), certificates: systemRandom(60) },
    { kind: "place", id: 5, path: [systemRandom(32), systemRandom(32)] },
    { kind: "refusal", id: 6, word: "unavailable" },
  ];
  for (const answer of answers) {
    const whole = serializeAnswer(answer);
    for (let length = 0; length < whole.length - 4; length += 1) {
      const head = Uint8Array.of(whole[0] ?? 0, 0, 0, length);
      refuses(() => new AnswerParser().push(concatBytes(head, whole.slice(4, 4 + length))), "malformed");
    }
    const longer = concatBytes(whole, new Uint8Array(1)).with(3, (whole[3] ?? 0) + 1);
    refuses(() => new AnswerParser().push(longer));
  }
  const limits: readonly [type: number, length: number][] = [
    [1, 4 + 2 + 4096 + 2 + 32 * 1024],
    [2, 4 + 1 + 12 * 32],
    [3, 5],
  ];
  for (const [type, length] of limits) {
    const head = (size: number): Bytes => Uint8Array.of(type, size >> 16, (size >> 8) & 255, size & 255);
    assert.deepEqual(new AnswerParser().push(head(length)), []);
    refuses(() => new AnswerParser().push(head(length + 1)), "too-large");
    refuses(() => new AnswerParser().push(head(0xffffff)), "too-large");
  }
  for (const type of [0, 4, 127, 255])
    refuses(() => new AnswerParser().push(Uint8Array.of(type, 0, 0, 0)), "unknown-message");
  refuses(() => new AnswerParser().push(Uint8Array.of(3, 0, 0, 5, 0, 0, 0, 1, 2)), "malformed");
});

test("a report that no bundle could carry is not sent", () => {
  const none = new Uint8Array();
  const report = (length: number, table: number): Answer => ({
    kind: "report",
    size: 1,
    report: systemRandom(length),
    certificates: table === 0 ? none : systemRandom(table),
  });
  refuses(() => serializeAnswer(report(4097, 0)), "too-large");
  refuses(() => serializeAnswer(report(1184, 32 * 1024 + 1)), "too-large");
  assert.equal(new AnswerParser().push(serializeAnswer(report(4096, 32 * 1024))).length, 1);
});
