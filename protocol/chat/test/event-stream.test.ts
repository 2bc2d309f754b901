import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, encodeUtf8 } from "@sotto/base";
import {
  ChatError,
  completion,
  doneEvent,
  SseParser,
  serializeChunk,
  serializeEvent,
  serializeUsageChunk,
} from "@sotto/chat";
import fc from "fast-check";

const head = { id: "chatcmpl-1", model: "m", created: 7 };

const streams: readonly (readonly [name: string, text: string, events: readonly string[]])[] = [
  ["plain", "data: one\n\ndata: two\n\n", ["one", "two"]],
  [
    "line ends of every kind",
    "data: a\r\n\r\ndata: b\r\rdata: c\n\ndata: d\r\n\ndata: e\n\r\n",
    ["a", "b", "c", "d", "e"],
  ],
  ["several lines of data", "data: a\ndata:\ndata: b\n\n", ["a\n\nb"]],
  ["no space, two spaces", "data:a\n\ndata:  b\n\n", ["a", " b"]],
  ["comments and other fields", ": ping\n\nevent: x\nid: 4\ndata: a\nretry: 9\n\n", ["a"]],
  ["blank lines", "\n\n\ndata: a\n\n\n", ["a"]],
  ["characters of two to four bytes", "data: é世👋é\n\n", ["é世👋é"]],
  ["byte order mark", "\ufeffdata: a\n\n", ["a"]],
  ["an event that does not end", "data: a\n\ndata: b\n", ["a"]],
  ["almost data", "dat: a\ndatax: b\n\n", []],
];

test("events are the same however the bytes are cut", () => {
  for (const [name, text, events] of streams) {
    const bytes = encodeUtf8(text);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const parser = new SseParser();
      const found = [...parser.push(bytes.subarray(0, cut)), ...parser.push(bytes.subarray(cut))];
      assert.deepEqual(found, events, `${name}, cut at ${cut}`);
    }
    const parser = new SseParser();
    const found = [...bytes].flatMap((_, index) => parser.push(bytes.subarray(index, index + 1)));
    assert.deepEqual(found, events, `${name}, byte by byte`);
  }
});

test("an event is given by the byte that completes it", () => {
  const parser = new SseParser();
  assert.deepEqual(parser.push(encodeUtf8("data: a\n")), []);
  assert.deepEqual(parser.push(encodeUtf8("\n")), ["a"]);
  assert.deepEqual(parser.push(encodeUtf8("data: b\r\n\r")), ["b"]);
  assert.deepEqual(parser.push(encodeUtf8("\ndata: c\r\r")), ["c"]);
});

test("what is not utf-8 is refused", () => {
  for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80]]) {
    const parser = new SseParser();
    assert.throws(
      () => parser.push(new Uint8Array([...encodeUtf8("data: "), ...bytes, 0x0a])),
      (error: unknown) => error instanceof ChatError && error.code === "malformed",
    );
  }
});

test("an event that never ends is refused, in few lines or many; comments may go on for ever", () => {
  for (const piece of ["x".repeat(1024), `data: ${"x".repeat(1024)}\n`, "data:\n".repeat(200)]) {
    const parser = new SseParser();
    const bytes = encodeUtf8(piece);
    parser.push(encodeUtf8("data: "));
    assert.throws(
      () => {
        for (let pushed = 0; pushed <= 4 * 1024 * 1024; pushed += bytes.length) parser.push(bytes);
      },
      (error: unknown) => error instanceof ChatError && error.code === "too-large",
    );
  }
  const parser = new SseParser();
  const comment = encodeUtf8(`: ${"x".repeat(1024)}\n`);
  for (let pushed = 0; pushed <= 2 * 1024 * 1024; pushed += comment.length) parser.push(comment);
  assert.deepEqual(parser.push(encodeUtf8("data: a\n\n")), ["a"]);
});

test("any data survives, any bytes give events or a ChatError", () => {
  const value = fc.record({ text: fc.string({ unit: "grapheme" }), cut: fc.nat({ max: 200 }) });
  fc.assert(
    fc.property(value, ({ text, cut }) => {
      const bytes = serializeEvent({ text });
      const parser = new SseParser();
      const found = [...parser.push(bytes.subarray(0, cut)), ...parser.push(bytes.subarray(cut))];
      assert.deepEqual(
        found.map((data) => JSON.parse(data)),
        [{ text }],
      );
    }),
  );
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), (pieces) => {
      const parser = new SseParser();
      try {
        for (const piece of pieces) parser.push(piece);
      } catch (error) {
        assert.ok(error instanceof ChatError);
      }
    }),
  );
});

test("answers have the shape of the OpenAI API, streamed and whole", () => {
  const usage = { promptTokens: 3, completionTokens: 4 };
  const bytes = concatBytes(
    serializeChunk(head, { role: "assistant", content: "a\nb" }),
    serializeChunk(head, {}, "length"),
    serializeUsageChunk(head, usage),
    doneEvent,
  );
  const data = new SseParser().push(bytes);
  assert.equal(data.pop(), "[DONE]");
  const chunk = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 7, model: "m" };
  const choice = { index: 0, logprobs: null };
  const counts = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
  assert.deepEqual(
    data.map((text) => JSON.parse(text)),
    [
      {
        ...chunk,
        choices: [{ ...choice, delta: { role: "assistant", content: "a\nb" }, finish_reason: null }],
      },
      { ...chunk, choices: [{ ...choice, delta: {}, finish_reason: "length" }] },
      { ...chunk, choices: [], usage: counts },
    ],
  );
  assert.deepEqual(completion(head, "text", "stop", usage), {
    ...chunk,
    object: "chat.completion",
    choices: [
      { ...choice, message: { role: "assistant", content: "text", refusal: null }, finish_reason: "stop" },
    ],
    usage: counts,
  });
});
