import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8, systemRandom } from "@sotto/base";
import { type ChatRequest, SseParser } from "@sotto/chat";
import OpenAI from "openai";
import { asFetch } from "../../../protocol/exchange/test/exchange.ts";
import { type Engine, EngineError, type EngineEvent } from "../src/sealed/engines/engine.ts";
import { createPredictor } from "../src/sealed/predictor.ts";

const usage = { promptTokens: 3, completionTokens: 2 };
const end: EngineEvent = { type: "end", finishReason: "stop", usage };
const text = (piece: string): EngineEvent => ({ type: "text", text: piece });

type Script = (request: ChatRequest, signal: AbortSignal) => AsyncIterable<EngineEvent>;

const createFixture = (generate: Script) =>
  asFetch(
    createPredictor({
      engine: { model: "scripted", generate, close: async () => {} } satisfies Engine,
      clock: () => 1_234_567,
      random: (length) => new Uint8Array(length).fill(0xab),
    }),
  );
const play = (...events: readonly (EngineEvent | Error)[]): Script =>
  async function* () {
    for (const event of events) {
      if (event instanceof Error) throw event;
      yield event;
    }
  };
const post = (body: object | string): Request =>
  new Request("https://predictor.sotto.invalid/v1/chat/completions", {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
const question = { messages: [{ role: "user", content: "hello" }] };
const dataOf = async (response: Response): Promise<unknown[]> =>
  new SseParser()
    .push(new Uint8Array(await response.arrayBuffer()))
    .map((data): unknown => (data === "[DONE]" ? data : JSON.parse(data)));
const refusalOf = async (response: Response): Promise<string> => {
  const body: { error: { code: string } } = await response.json();
  return `${response.status} ${body.error.code}`;
};

test("answers as a whole", async () => {
  const response = await createFixture(play(text("Hel"), text("lo"), end))(post(question));
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^application\/json/);
  assert.deepEqual(await response.json(), {
    id: `chatcmpl-${"ab".repeat(12)}`,
    object: "chat.completion",
    created: 1234,
    model: "scripted",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "Hello", refusal: null },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  });
});

test("answers as a stream, with counts when they are asked for", async () => {
  const predictor = createFixture(play(text("Hel"), text("lo"), { ...end, finishReason: "length" }));
  const head = {
    id: `chatcmpl-${"ab".repeat(12)}`,
    object: "chat.completion.chunk",
    created: 1234,
    model: "scripted",
  };
  const chunk = (delta: object, reason: string | null = null): object => ({
    ...head,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }],
  });
  const chunks = [
    chunk({ role: "assistant", content: "Hel" }),
    chunk({ content: "lo" }),
    chunk({}, "length"),
  ];
  const plain = await predictor(post({ ...question, stream: true }));
  assert.match(plain.headers.get("content-type") ?? "", /^text\/event-stream/);
  assert.deepEqual(await dataOf(plain), [...chunks, "[DONE]"]);
  const counted = await predictor(
    post({ ...question, stream: true, stream_options: { include_usage: true } }),
  );
  const counts = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  assert.deepEqual(await dataOf(counted), [...chunks, { ...head, choices: [], usage: counts }, "[DONE]"]);
});

test("an answer without text is an answer", async () => {
  const predictor = createFixture(play(end));
  const [first, done] = await dataOf(await predictor(post({ ...question, stream: true })));
  assert.deepEqual(JSON.parse(JSON.stringify(first)).choices[0].delta, { role: "assistant" });
  assert.equal(done, "[DONE]");
});

test("each piece leaves before the engine makes the next", async () => {
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const predictor = createFixture(async function* () {
    yield text("one");
    await gates[0]?.promise;
    yield text("two");
    await gates[1]?.promise;
    yield end;
  });
  const response = await predictor(post({ ...question, stream: true }));
  const reader = response.body?.getReader();
  const read = async (): Promise<string> => new TextDecoder().decode((await reader?.read())?.value);
  assert.match(await read(), /"content":"one"/);
  gates[0]?.resolve();
  assert.match(await read(), /"content":"two"/);
  gates[1]?.resolve();
  assert.match(await read(), /"finish_reason":"stop"/);
});

test("the engine is read to its end, so that it can put things away", async () => {
  for (const stream of [true, false]) {
    const away = Promise.withResolvers<void>();
    const predictor = createFixture(async function* () {
      try {
        yield text("a");
        yield end;
      } finally {
        away.resolve();
      }
    });
    await (await predictor(post({ ...question, stream }))).arrayBuffer();
    await away.promise;
  }
});

test("text only, and only what is supported, here as at the client", async () => {
  let asked = 0;
  const predictor = createFixture((...given) => {
    asked += 1;
    return play(end)(...given);
  });
  const image = {
    messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:," } }] }],
  };
  assert.equal(await refusalOf(await predictor(post(image))), "400 text-only");
  assert.equal(
    await refusalOf(await predictor(post({ ...question, tools: [{}] }))),
    "400 unsupported-parameter",
  );
  assert.equal(await refusalOf(await predictor(post("{"))), "400 malformed");
  assert.equal(await refusalOf(await predictor(post("x".repeat(600_000)))), "400 too-large");
  assert.equal(asked, 0, "the engine was not asked");
});

test("there are two endpoints", async () => {
  const predictor = createFixture(play(end));
  const ask = (method: string, path: string): Promise<Response> =>
    predictor(new Request(`https://predictor.sotto.invalid${path}`, { method }));
  const list = await ask("GET", "/v1/models");
  const model = { id: "scripted", object: "model", created: 0, owned_by: "sotto" };
  assert.deepEqual(await list.json(), { object: "list", data: [model] });
  assert.equal(await refusalOf(await ask("GET", "/v1/chat/completions")), "405 method-not-allowed");
  assert.equal(await refusalOf(await ask("POST", "/v1/models")), "405 method-not-allowed");
  for (const path of ["/", "/v1", "/v1/completions", "/v1/models/x", "/__proto__"]) {
    assert.equal(await refusalOf(await ask("POST", path)), "404 unknown-endpoint", path);
  }
});

test("an engine that fails before its first word gives a status", async () => {
  const overflow = new EngineError("context-overflow", "question is longer than the context");
  for (const stream of [true, false]) {
    const ask = (script: Script): Promise<Response> => createFixture(script)(post({ ...question, stream }));
    assert.equal(await refusalOf(await ask(play(overflow))), "400 context-length-exceeded");
    assert.equal(
      await refusalOf(await ask(play(new EngineError("engine-failed", "x")))),
      "502 engine-failed",
    );
    assert.equal(await refusalOf(await ask(play(new Error("canary")))), "502 engine-failed");
  }
});

test("an engine that fails later gives an error event and no [DONE]", async () => {
  for (const script of [play(text("a"), new Error("canary")), play(text("a"))]) {
    const streamed = await dataOf(await createFixture(script)(post({ ...question, stream: true })));
    assert.equal(streamed.length, 2);
    const error = { message: "engine failed", type: "api_error", param: null, code: "engine-failed" };
    assert.deepEqual(streamed[1], { error });
    assert.equal(await refusalOf(await createFixture(script)(post(question))), "502 engine-failed");
  }
});

test("a reader that leaves stops the engine", async () => {
  for (const pieces of [1, 3]) {
    const heard = Promise.withResolvers<void>();
    let isOver = false;
    const predictor = createFixture(async function* (_request, signal) {
      signal.addEventListener("abort", () => heard.resolve());
      try {
        for (;;) yield text("a");
      } finally {
        isOver = true;
      }
    });
    const response = await predictor(post({ ...question, stream: true }));
    const reader = response.body?.getReader();
    for (let read = 0; read < pieces; read += 1) await reader?.read();
    await reader?.cancel();
    await heard.promise;
    assert.ok(isOver, "its generator was let go");
  }
});

test("the openai package reads both kinds of answer, and the refusals", async () => {
  const predictor = createFixture(play(text("Grüße "), text("👋"), end));
  const openai = new OpenAI({
    apiKey: "unused",
    baseURL: "https://predictor.sotto.invalid/v1",
    maxRetries: 0,
    fetch: (input, init) => predictor(new Request(input instanceof URL ? input.href : input, init)),
  });
  const messages = [{ role: "user" as const, content: "hello" }];
  const whole = await openai.chat.completions.create({ model: "any", messages });
  assert.equal(whole.choices[0]?.message.content, "Grüße 👋");
  const stream = await openai.chat.completions.create({
    model: "any",
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let read = "";
  let total: number | undefined;
  for await (const chunk of stream) {
    read += chunk.choices[0]?.delta.content ?? "";
    total = chunk.usage?.total_tokens ?? total;
  }
  assert.deepEqual([read, total], ["Grüße 👋", 5]);
  assert.equal((await openai.models.list()).data[0]?.id, "scripted");
  await assert.rejects(openai.chat.completions.create({ model: "any", messages, n: 2 }), {
    status: 400,
    code: "unsupported-parameter",
  });
});

test("identifiers are fresh", async () => {
  const predictor = asFetch(
    createPredictor({
      engine: { model: "m", generate: play(end), close: async () => {} },
      clock: Date.now,
      random: systemRandom,
    }),
  );
  const ids = new Set<unknown>();
  for (let index = 0; index < 20; index += 1) {
    const answer: { id: string } = await (await predictor(post(question))).json();
    ids.add(answer.id);
  }
  assert.equal(ids.size, 20);
  assert.ok(encodeUtf8([...ids].join("")).length > 20 * 24);
});
