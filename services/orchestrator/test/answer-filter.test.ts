import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, concatBytes, decodeUtf8, encodeUtf8 } from "@sotto/base";
import { doneEvent, openAiError, SseParser, serializeChunk, serializeEvent } from "@sotto/chat";
import type { ExchangeAnswer } from "@sotto/exchange";
import fc from "fast-check";
import { eventStream, filterAnswer, filterStream } from "../src/sealed/answer-filter.ts";
import { createGuard, cutInto, eventsOf, head, joinOf, refusalText, wholeOf } from "./scripted.ts";

const messages = [{ role: "user", content: "hello" }] as const;
const failed = openAiError("predictor-failed", 502);
const refusal = `${refusalText} (privacy)`;

type Shown = {
  readonly text: string;
  readonly finish: readonly unknown[];
  readonly roles: readonly unknown[];
  readonly last: unknown;
  readonly refusals: number;
  readonly isRead: boolean;
};

/** What a client is shown of an answer whose bytes come in these pieces. */
async function show(pieces: Iterable<Bytes | Error>, guard = createGuard()): Promise<Shown> {
  let refusals = 0;
  let isRead = true;
  async function* body(): AsyncGenerator<Bytes> {
    isRead = false;
    for (const piece of pieces) {
      if (piece instanceof Error) throw piece;
      yield piece;
    }
    isRead = true;
  }
  const answer: ExchangeAnswer = { status: 200, contentType: eventStream, body: body() };
  const filtered = filterStream(answer, { guard, messages, onRefusal: () => (refusals += 1) });
  assert.deepEqual([filtered.status, filtered.contentType], [200, eventStream]);
  const bytes: Bytes[] = [];
  for await (const piece of filtered.body) bytes.push(piece);
  const data = new SseParser().push(concatBytes(...bytes));
  const last = data.at(-1) === "[DONE]" ? "[DONE]" : JSON.parse(data.at(-1) ?? "null");
  const choices = data
    .filter((one) => one !== "[DONE]")
    .flatMap((one) => JSON.parse(one).choices ?? [])
    .filter((choice) => choice !== undefined);
  return {
    text: choices.map(({ delta }) => delta.content ?? "").join(""),
    finish: choices.map(({ finish_reason }) => finish_reason).filter((reason) => reason !== null),
    roles: choices.map(({ delta }) => delta.role).filter((role) => role !== undefined),
    last,
    refusals,
    isRead,
  };
}

/** Every way to cut a text into at most three events, and into single characters. */
function* cuts(text: string): Generator<string[]> {
  for (let first = 0; first <= text.length; first += 1) {
    for (let second = first; second <= text.length; second += 1) {
      yield [text.slice(0, first), text.slice(first, second), text.slice(second)];
    }
  }
  yield [...text];
}

test("a harmless answer is the same however it is cut into events, and every event into bytes", async () => {
  const text = "Say it under your breath, 👋.";
  for (const pieces of cuts(text)) {
    const shown = await show([...eventsOf(pieces), doneEvent]);
    assert.equal(shown.text, text, JSON.stringify(pieces));
    assert.deepEqual(shown.finish, ["stop"]);
    assert.deepEqual(shown.roles, ["assistant"], "the role is told once");
    assert.equal(shown.last, "[DONE]");
  }
  const bytes = joinOf([...eventsOf([text], "length"), doneEvent]);
  for (const length of [1, 2, 3, 7, 100]) {
    const shown = await show(cutInto(bytes, length));
    assert.deepEqual([shown.text, shown.finish], [text, ["length"]]);
  }
});

test("a harmful answer is cut before the harmful piece, however it is cut into events", async () => {
  const text = "All is well, HARM follows here";
  for (const pieces of cuts(text)) {
    const shown = await show([...eventsOf(pieces), doneEvent]);
    const name = JSON.stringify(pieces);
    assert.ok(!shown.text.includes("H"), name);
    // What has left depends on when the harmful word was whole, and is never more than what came before it.
    const [said = "", words] = shown.text.endsWith(`\n\n${refusal}`)
      ? [shown.text.slice(0, -refusal.length - 2), refusal]
      : ["", shown.text];
    assert.equal(words, refusal, name);
    assert.ok("All is well, ".startsWith(said), name);
    assert.deepEqual(shown.finish, ["content_filter"], name);
    assert.deepEqual(shown.roles, ["assistant"], name);
    assert.equal(shown.last, "[DONE]", name);
    assert.equal(shown.refusals, 1, name);
  }
});

test("a harmful answer is cut the same however its bytes come", async () => {
  const bytes = joinOf([...eventsOf(["All ", "is well, ", "HA", "RM ", "follows"]), doneEvent]);
  for (let length = 1; length <= 200; length += 13) {
    const shown = await show(cutInto(bytes, length));
    assert.equal(shown.text, `All is well, \n\n${refusal}`, `pieces of ${length}`);
  }
});

test("what follows a cut is not read any more", async () => {
  const shown = await show([...eventsOf(["HARM ", "more"]), doneEvent]);
  assert.deepEqual([shown.text, shown.isRead], [refusal, false]);
});

test("harm that the end of an answer completes is cut too", async () => {
  const shown = await show([...eventsOf(["All is well, ", "HARM"]), doneEvent]);
  assert.equal(shown.text, `All is well, \n\n${refusal}`);
  assert.deepEqual(shown.finish, ["content_filter"]);
});

test("the event that ends a cut answer names the hazard", async () => {
  const body = (async function* () {
    yield joinOf(eventsOf(["HARM "]));
  })();
  const answer = { status: 200, contentType: eventStream, body };
  const filtered = filterStream(answer, { guard: createGuard(), messages, onRefusal: () => {} });
  const bytes: Bytes[] = [];
  for await (const piece of filtered.body) bytes.push(piece);
  const data = new SseParser().push(concatBytes(...bytes));
  assert.deepEqual(JSON.parse(data.at(-2) ?? "").choices, [
    {
      index: 0,
      delta: {},
      logprobs: null,
      finish_reason: "content_filter",
      content_filter: { category: "privacy" },
    },
  ]);
});

test("an answer that is broken ends with an error, says nothing more, and never looks whole", async () => {
  const canary = "canary-37";
  const begin = eventsOf(["One ", "two"]).slice(0, 2);
  const broken: [string, (Bytes | Error)[]][] = [
    ["nothing", []],
    ["no event", [encodeUtf8(canary)]],
    ["no end", begin],
    ["no reason for its end", [...begin, doneEvent]],
    ["a session that breaks", [...begin, new Error(canary)]],
    ["no json", [...begin, encodeUtf8(`data: {${canary}\n\n`)]],
    ["other json", [...begin, encodeUtf8(`data: ["${canary}"]\n\n`)]],
    ["a text that is none", [...begin, encodeUtf8('data: {"choices":[{"delta":{"content":7}}]}\n\n')]],
    ["not utf-8", [...begin, new Uint8Array([0x64, 0xff])]],
    ["an event over its limit", [...begin, encodeUtf8(`data: ${"x".repeat(1024 * 1024)}`)]],
    ["an error", [...begin, serializeEvent({ error: { message: canary } })]],
    [
      "an error, and on it goes",
      [...begin, serializeEvent({ error: { message: canary } }), ...eventsOf([canary]), doneEvent],
    ],
    [
      "an error and on it goes, in one piece",
      [joinOf([...begin, serializeEvent({ error: {} }), ...eventsOf([canary]), doneEvent])],
    ],
  ];
  for (const [name, pieces] of broken) {
    const shown = await show(pieces);
    assert.ok("One ".startsWith(shown.text), `${name}: ${shown.text}`);
    assert.deepEqual([shown.finish, shown.last, shown.refusals], [[], failed, 0], name);
  }
});

test("a guard that fails in the middle ends the answer like any other failure", async () => {
  const guard = createGuard();
  for (const method of ["push", "finish"] as const) {
    const failing = createGuard({
      watchAnswer: (given) => {
        const watch = guard.watchAnswer(given);
        // Like the scripted watch, whose private fields nobody has.
        return { ...watch, [method]: () => assert.fail("canary") } as typeof watch;
      },
    });
    const shown = await show([...eventsOf(["One ", "two"]), doneEvent], failing);
    assert.ok("One ".startsWith(shown.text));
    assert.deepEqual([shown.finish, shown.last], [[], failed]);
  }
});

test("only what the events should hold is passed on", async () => {
  const odd = serializeEvent({
    ...head,
    choices: [
      {
        index: 0,
        delta: { content: "fine ", tool_calls: [{ x: "canary" }], reasoning: "canary" },
        logprobs: { content: ["canary"] },
      },
      { index: 1, delta: { content: "canary" } },
    ],
    system_fingerprint: "canary",
  });
  const end = serializeChunk(head, {}, "stop");
  const body = (async function* () {
    yield encodeUtf8(": canary\nevent: canary\n");
    yield odd;
    yield end;
    yield doneEvent;
  })();
  const answer = { status: 200, contentType: eventStream, body };
  const filtered = filterStream(answer, { guard: createGuard(), messages, onRefusal: () => {} });
  let text = "";
  for await (const piece of filtered.body) text += decodeUtf8(piece);
  assert.match(text, /"content":"fine "/);
  assert.ok(!text.includes("canary"), text);
});

test("any bytes give a stream that ends in one of three ways", async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc.constantFrom(...eventsOf(["one ", "HARM "]), doneEvent).map((bytes) => new Uint8Array(bytes)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      const shown = await show(pieces.map((bytes) => new Uint8Array(bytes)));
      assert.ok(!shown.text.includes("HARM"));
      if (shown.last !== "[DONE]") assert.deepEqual(shown.last, failed);
      else assert.ok(shown.finish.length > 0);
    }),
    { numRuns: 200 },
  );
});

test("a whole answer is judged before a word of it leaves", async () => {
  const ask = async (text: string): Promise<unknown> => {
    const body = (async function* () {
      yield* cutInto(wholeOf(text, "length"), 10);
    })();
    const answer = { status: 200, contentType: "application/json", body };
    let refusals = 0;
    const filter = { guard: createGuard(), messages, onRefusal: () => (refusals += 1) };
    const filtered = await filterAnswer(answer, filter);
    const pieces: Bytes[] = [];
    for await (const piece of filtered.body) pieces.push(piece);
    const { choices, usage } = JSON.parse(decodeUtf8(concatBytes(...pieces)));
    return [choices[0].message.content, choices[0].finish_reason, usage.total_tokens, refusals];
  };
  assert.deepEqual(await ask("All is well"), ["All is well", "length", 5, 0]);
  assert.deepEqual(await ask(""), ["", "length", 5, 0]);
  for (const harmful of ["HARM", "All is well, HARM", "HARM is at its beginning"]) {
    assert.deepEqual(await ask(harmful), [refusal, "content_filter", 5, 1]);
  }
});
