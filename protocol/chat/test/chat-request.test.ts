import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "@sotto/base";
import { ChatError, type ChatRequest, maxChatBytes, openAiError, parseChatRequest } from "@sotto/chat";
import fc from "fast-check";

const hello = { role: "user", content: "hello" };
const parse = (value: unknown): ChatRequest => parseChatRequest(encodeUtf8(JSON.stringify(value)));
const ask = (rest: object): ChatRequest => parse({ messages: [hello], ...rest });
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ChatError, String(error));
    assert.match(error.message, /^[a-z_]+[^.]*[^.]$/, "lowercase, no full stop");
    return error.code;
  }
  return "accepted";
};

test("reads what clients of the OpenAI API send", () => {
  assert.deepEqual(
    parse({
      model: "some-model",
      messages: [
        { role: "system", content: "be brief" },
        {
          role: "developer",
          content: [
            { type: "text", text: "and" },
            { type: "text", text: "kind" },
          ],
        },
        { role: "user", content: "Grüße, 世界 👋", name: "ann" },
        { role: "assistant", content: "hi", refusal: null, tool_calls: [], audio: null },
        hello,
      ],
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 5,
      max_completion_tokens: 7,
      temperature: 0,
      top_p: 0.5,
      stop: ["a", "b"],
      seed: -3,
      n: 1,
    }),
    {
      model: "some-model",
      messages: [
        { role: "system", content: "be brief" },
        { role: "system", content: "and\nkind" },
        { role: "user", content: "Grüße, 世界 👋" },
        { role: "assistant", content: "hi" },
        hello,
      ],
      stream: true,
      includeUsage: true,
      maxTokens: 7,
      temperature: 0,
      topP: 0.5,
      stop: ["a", "b"],
      seed: -3,
    },
  );
});

test("what is absent or null is undefined; one stop is a list of one", () => {
  const plain: ChatRequest = {
    model: undefined,
    messages: [{ role: "user", content: "hello" }],
    stream: false,
    includeUsage: false,
    maxTokens: undefined,
    temperature: undefined,
    topP: undefined,
    stop: [],
    seed: undefined,
  };
  assert.deepEqual(ask({}), plain);
  const names = [
    "model",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "n",
  ];
  assert.deepEqual(ask(Object.fromEntries(names.map((name) => [name, null]))), plain);
  assert.deepEqual(ask({ stop: "x" }), { ...plain, stop: ["x"] });
});

test("parameters that change nothing here are dropped", () => {
  const given = {
    user: "ann",
    metadata: { a: "b" },
    store: true,
    service_tier: "auto",
    parallel_tool_calls: true,
    reasoning_effort: "low",
    tools: [],
    tool_choice: "none",
    functions: [],
    logprobs: false,
    top_logprobs: 0,
    logit_bias: {},
    frequency_penalty: 0,
    presence_penalty: 0,
    response_format: { type: "text" },
    modalities: ["text"],
  };
  assert.deepEqual(ask(given), ask({}));
});

test("anything but text is refused with its own code", () => {
  const content = (piece: object): object => ({ messages: [{ role: "user", content: [piece] }] });
  const refused: object[] = [
    content({ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }),
    content({ type: "input_image", image_url: "https://example.com/cat.png" }),
    content({ type: "input_audio", input_audio: { data: "AAAA", format: "wav" } }),
    content({ type: "audio", audio: {} }),
    content({ type: "file", file: { file_id: "f" } }),
    content({ type: "input_file", file_id: "f" }),
    content({ type: "video_url", video_url: { url: "x" } }),
    { messages: [hello], modalities: ["text", "audio"] },
    { messages: [hello], audio: { voice: "alloy", format: "wav" } },
    { messages: [hello, { role: "assistant", content: "x", audio: { id: "a" } }] },
    // Told first, however much else is wrong.
    { ...content({ type: "image_url" }), tools: [{}], temperature: "hot" },
  ];
  for (const value of refused)
    assert.equal(
      codeOf(() => parse(value)),
      "text-only",
      JSON.stringify(value),
    );
});

test("what would change the answer and is not done is refused", () => {
  const refused: object[] = [
    { tools: [{ type: "function", function: { name: "f" } }] },
    { tool_choice: "auto" },
    { functions: [{ name: "f" }] },
    { function_call: "auto" },
    { logprobs: true },
    { top_logprobs: 2 },
    { logit_bias: { "1": 5 } },
    { response_format: { type: "json_object" } },
    { n: 2 },
    { frequency_penalty: 0.5 },
    { presence_penalty: -1 },
    { web_search_options: {} },
    { prediction: { type: "content", content: "x" } },
    { messages: [hello, { role: "tool", content: "x", tool_call_id: "t" }] },
    { messages: [hello, { role: "assistant", content: "x", tool_calls: [{ id: "t" }] }] },
    { messages: [hello, { role: "function", name: "f", content: "x" }] },
  ];
  for (const value of refused) {
    assert.equal(
      codeOf(() => ask(value)),
      "unsupported-parameter",
      JSON.stringify(value),
    );
  }
});

test("hostile and malformed questions are refused by code", () => {
  const many = { messages: Array.from({ length: 1025 }, () => hello) };
  const refused: unknown[] = [
    null,
    [],
    "hello",
    7,
    {},
    { messages: {} },
    { messages: [] },
    { messages: [null] },
    { messages: ["hello"] },
    { messages: [{ role: "root", content: "x" }] },
    { messages: [{ role: "constructor", content: "x" }] },
    { messages: [{ role: "__proto__", content: "x" }] },
    { messages: [{ role: "user" }] },
    { messages: [{ role: "user", content: null }] },
    { messages: [{ role: "user", content: { type: "text", text: "x" } }] },
    { messages: [{ role: "user", content: [{ type: "text" }] }] },
    { messages: [{ role: "user", content: [{ type: "text", text: 7 }] }] },
    { messages: [{ role: "user", content: ["x"] }] },
    { messages: [{ role: "user", content: [{ type: "hologram" }] }] },
    {
      messages: [{ role: "user", content: Array.from({ length: 257 }, () => ({ type: "text", text: "" })) }],
    },
    many,
    ...[
      { model: 7 },
      { model: "m".repeat(257) },
      { stream: "yes" },
      { stream_options: true },
      { max_tokens: 0 },
      { max_tokens: 1.5 },
      { max_completion_tokens: -1 },
      { temperature: 2.1 },
      { temperature: "1" },
      { top_p: 0 },
      { top_p: 1.01 },
      { stop: "" },
      { stop: ["a", "b", "c", "d", "e"] },
      { stop: ["x".repeat(257)] },
      { seed: 0.5 },
    ].map((rest) => ({ messages: [hello], ...rest })),
  ];
  for (const value of refused)
    assert.equal(
      codeOf(() => parse(value)),
      "malformed",
      JSON.stringify(value),
    );
  const texts = ["", "{", '{"messages":[{"role":"user","content":"x"}]} ]', "\ufeff{}", "[".repeat(200_000)];
  for (const text of texts)
    assert.equal(
      codeOf(() => parseChatRequest(encodeUtf8(text))),
      "malformed",
    );
  assert.equal(
    codeOf(() => parseChatRequest(new Uint8Array([0x22, 0xff, 0x22]))),
    "malformed",
  );
  const long = encodeUtf8(
    JSON.stringify({ messages: [{ role: "user", content: "x".repeat(maxChatBytes) }] }),
  );
  assert.equal(
    codeOf(() => parseChatRequest(long)),
    "too-large",
  );
});

test("names that JavaScript gives a meaning are only names", () => {
  const text =
    '{"__proto__":{"stream":true},"constructor":1,"messages":[{"role":"user","content":"x","__proto__":1}]}';
  const request = parseChatRequest(encodeUtf8(text));
  assert.equal(request.stream, false);
  assert.equal(Object.hasOwn(Object.prototype, "stream"), false);
  assert.equal(
    codeOf(() => parseChatRequest(encodeUtf8('{"__proto__":{"messages":[]}}'))),
    "malformed",
  );
});

test("a message of refusal never holds what was sent", () => {
  const canary = "canary-1234";
  const values = [
    { messages: [{ role: canary, content: canary }] },
    { messages: [hello], [canary]: 1, temperature: canary },
    { messages: [{ role: "user", content: [{ type: canary }] }] },
    { messages: [hello], tools: [canary] },
  ];
  for (const value of values) {
    assert.throws(
      () => parse(value),
      (error: unknown) => error instanceof ChatError && !error.message.includes(canary),
    );
  }
});

test("every prefix and every flipped byte of a question is read whole or refused", () => {
  const bytes = encodeUtf8(
    JSON.stringify({
      messages: [{ role: "user", content: [{ type: "text", text: "hé" }] }],
      stop: ["x"],
      seed: 1,
    }),
  );
  for (let length = 0; length < bytes.length; length += 1) {
    assert.equal(
      codeOf(() => parseChatRequest(bytes.subarray(0, length))),
      "malformed",
    );
  }
  for (let index = 0; index < bytes.length; index += 1) {
    for (const bit of [1, 0x80]) {
      const flipped = bytes.slice();
      flipped[index] = (flipped[index] ?? 0) ^ bit;
      codeOf(() => parseChatRequest(flipped));
    }
  }
});

test("any value at all gives a question or a ChatError", () => {
  const key = fc.constantFrom(
    "messages",
    "role",
    "content",
    "type",
    "text",
    "tools",
    "stop",
    "n",
    "audio",
    "modalities",
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom("user", "text", "image_url", "assistant", "tool", "", null, true, 0, 1, 1e300),
      fc.array(tie("any"), { maxLength: 4 }),
      fc.dictionary(key, tie("any"), { maxKeys: 5 }),
    ),
  })).any;
  fc.assert(
    fc.property(value, (given) => void codeOf(() => parse(given))),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void codeOf(() => parseChatRequest(bytes))),
  );
});

test("errors have the body that OpenAI clients read", () => {
  assert.deepEqual(openAiError("text-only", 400, "only text"), {
    error: { message: "only text", type: "invalid_request_error", param: null, code: "text-only" },
  });
  assert.deepEqual(openAiError("engine-failed", 502), {
    error: { message: "engine failed", type: "api_error", param: null, code: "engine-failed" },
  });
});
