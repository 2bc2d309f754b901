import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ChatError,
  type CompletionChunk,
  completion,
  parseCompletionChunk,
  SseParser,
  serializeChunk,
  serializeUsageChunk,
} from "@sotto/chat";
import fc from "fast-check";

const head = { id: "chatcmpl-1", model: "m", created: 7 };
const nothing = { text: "", finishReason: undefined, usage: undefined, failed: false };
const noHead = { id: "", model: "", created: 0 };
const parse = (value: unknown): CompletionChunk => parseCompletionChunk(JSON.stringify(value));
const read = (event: Uint8Array): CompletionChunk =>
  parseCompletionChunk(new SseParser().push(event)[0] ?? "");

test("reads what we write, streamed and whole", () => {
  const usage = { promptTokens: 3, completionTokens: 4 };
  assert.deepEqual(read(serializeChunk(head, { role: "assistant" })), { ...nothing, head });
  assert.deepEqual(read(serializeChunk(head, { content: "Grüße 👋" })), {
    ...nothing,
    head,
    text: "Grüße 👋",
  });
  for (const finishReason of ["stop", "length", "content_filter"] as const) {
    assert.deepEqual(read(serializeChunk(head, {}, finishReason)), { ...nothing, head, finishReason });
  }
  const filtered = serializeChunk(head, {}, "content_filter", { category: "privacy" });
  assert.deepEqual(read(filtered), { ...nothing, head, finishReason: "content_filter" });
  assert.deepEqual(read(serializeUsageChunk(head, usage)), { ...nothing, head, usage });
  assert.deepEqual(parse(completion(head, "text", "length", usage)), {
    ...{ head, text: "text", finishReason: "length", usage, failed: false },
  });
});

test("what is absent or null is empty, and what is not known is passed over", () => {
  const empty = { ...nothing, head: noHead };
  for (const value of [
    {},
    { id: null, model: null, created: null, choices: null, usage: null, error: null },
    { choices: [] },
    { choices: [{}] },
    { choices: [{ delta: null, message: null, finish_reason: null }] },
    { choices: [{ delta: { content: null, role: "assistant", tool_calls: [{}], reasoning: "canary" } }] },
    { object: 7, system_fingerprint: {}, service_tier: "x", timings: [1], choices: [{ logprobs: {} }] },
  ]) {
    assert.deepEqual(parse(value), empty, JSON.stringify(value));
  }
});

test("only the first choice is read, and a delta before a message", () => {
  const first = { delta: { content: "a" }, message: { content: "b" } };
  assert.equal(parse({ choices: [first, { delta: { content: "c" } }] }).text, "a");
  assert.equal(parse({ choices: [{ message: { content: "b" } }] }).text, "b");
});

test("other reasons for an end are the usual one", () => {
  for (const reason of ["eos", "stop", "tool_calls", "", "function_call"]) {
    assert.equal(parse({ choices: [{ finish_reason: reason }] }).finishReason, "stop", reason);
  }
});

test("an error, of whatever form, is an answer that broke off", () => {
  for (const error of [{}, { message: "canary" }, "canary", 0, false, [], ""]) {
    assert.equal(parse({ error }).failed, true, JSON.stringify(error));
  }
});

test("what is of another form is refused, in words that hold nothing of it", () => {
  const malformed: unknown[] = [
    ...[null, 7, "canary", true, [], [{}]],
    { choices: {} },
    { choices: "canary" },
    { choices: ["canary"] },
    { choices: [null] },
    { choices: [[]] },
    { choices: [{ delta: "canary" }] },
    { choices: [{ delta: { content: 7 } }] },
    { choices: [{ delta: { content: ["canary"] } }] },
    { choices: [{ message: { content: {} } }] },
    { choices: [{ finish_reason: 7 }] },
    { choices: [{ finish_reason: "x".repeat(257) }] },
    { choices: Array.from({ length: 129 }, () => ({})) },
    { id: 7 },
    { id: "x".repeat(257) },
    { model: {} },
    { model: "x".repeat(257) },
    { created: -1 },
    { created: 0.5 },
    { created: "7" },
    { created: 2 ** 53 },
    { usage: {} },
    { usage: [] },
    { usage: { prompt_tokens: 1 } },
    { usage: { prompt_tokens: 1, completion_tokens: -1 } },
    { usage: { prompt_tokens: 1, completion_tokens: "1" } },
    { usage: { prompt_tokens: null, completion_tokens: 1 } },
  ];
  const texts = ["", "canary", "{", '{"id":"canary"', "{}{}", "{} canary", "[DONE]", "NaN", "undefined"];
  for (const text of [...malformed.map((value) => JSON.stringify(value)), ...texts]) {
    assert.throws(
      () => parseCompletionChunk(text),
      (error: unknown) => {
        assert.ok(error instanceof ChatError, text);
        assert.equal(error.code, "malformed", text);
        assert.ok(!error.message.includes("canary"));
        return true;
      },
      text,
    );
  }
});

test("names that JavaScript gives a meaning are only names", () => {
  const text =
    '{"__proto__":{"error":1,"id":"x"},"constructor":{"prototype":{}},"choices":[{"__proto__":{"delta":{"content":"x"}}}]}';
  assert.deepEqual(parseCompletionChunk(text), { ...nothing, head: noHead });
  assert.equal(Object.hasOwn(Object.prototype, "error"), false);
});

test("any value at all gives a chunk or a ChatError", () => {
  const attempt = (text: string): void => {
    try {
      const { head: found, text: said } = parseCompletionChunk(text);
      assert.equal(typeof said, "string");
      assert.ok(found.id.length <= 256 && found.model.length <= 256 && found.created >= 0);
    } catch (error) {
      assert.ok(error instanceof ChatError, String(error));
    }
  };
  fc.assert(fc.property(fc.string(), attempt));
  fc.assert(fc.property(fc.json(), attempt));
  const some = fc.oneof(fc.jsonValue(), fc.constantFrom("x", 1, null));
  const choice = fc.record({ delta: some, message: some, finish_reason: some }, { requiredKeys: [] });
  const chunk = fc.record(
    { id: some, model: some, created: some, choices: fc.array(choice), usage: some, error: some },
    { requiredKeys: [] },
  );
  fc.assert(fc.property(chunk, (value) => attempt(JSON.stringify(value))));
});
