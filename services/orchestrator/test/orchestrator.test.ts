import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, decodeUtf8, encodeUtf8 } from "@sotto/base";
import { doneEvent, openAiError, SseParser } from "@sotto/chat";
import OpenAI from "openai";
import { asFetch } from "../../../protocol/exchange/test/exchange.ts";
import { createOrchestrator, type OrchestratorDependencies } from "../src/sealed/orchestrator.ts";
import { createGuard, createPredictor, eventsOf, head, refusalText, wholeOf } from "./scripted.ts";

const stream = { contentType: "text/event-stream; charset=utf-8" };
const unasked = () => createPredictor([]);

function open(given: Partial<OrchestratorDependencies> & Pick<OrchestratorDependencies, "predictor">) {
  const refusals: number[] = [];
  const handler = createOrchestrator({
    guard: createGuard(),
    clock: () => 1_234_567,
    random: (length) => new Uint8Array(length).fill(0xab),
    onRefusal: () => refusals.push(1),
    ...given,
  });
  const ask = (body: object | string, path = "/v1/chat/completions", method = "POST"): Promise<Response> =>
    asFetch(handler)(
      new Request(`https://orchestrator.sotto.invalid${path}`, {
        method,
        ...(method === "GET" ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      }),
    );
  const openai = new OpenAI({
    apiKey: "unused",
    baseURL: "https://orchestrator.sotto.invalid/v1",
    maxRetries: 0,
    fetch: (input, init) => asFetch(handler)(new Request(input instanceof URL ? input.href : input, init)),
  });
  return { ask, openai, refusals, handler };
}

const question = (content: string, rest: object = {}): object => ({
  messages: [{ role: "user", content }],
  ...rest,
});
const codeOf = async (response: Response): Promise<string> => {
  const body: { error: { code: string } } = await response.json();
  return `${response.status} ${body.error.code}`;
};
const eventsIn = async (response: Response): Promise<unknown[]> =>
  new SseParser()
    .push(new Uint8Array(await response.arrayBuffer()))
    .map((data): unknown => (data === "[DONE]" ? data : JSON.parse(data)));

test("a question that is allowed reaches the predictor as it is, and its answer the client", async () => {
  const predictor = createPredictor([wholeOf("A fine answer.")]);
  const { ask, refusals } = open({ predictor: predictor.session });
  const asked = question("Hello 👋", { temperature: 0.5, user: "alice" });
  const response = await ask(asked);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), {
    ...head,
    object: "chat.completion",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: "A fine answer.", refusal: null },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
  });
  assert.deepEqual(
    predictor.asked.map(({ path, content }) => [path, decodeUtf8(content)]),
    [["/v1/chat/completions", JSON.stringify(asked)]],
  );
  assert.deepEqual(refusals, []);
});

test("a streamed answer arrives piece by piece, each as soon as it may", async () => {
  const gate = Promise.withResolvers<void>();
  const [begin, ...rest] = eventsOf(["One ", "two ", "three"]);
  async function* pieces(): AsyncGenerator<Bytes> {
    if (begin !== undefined) yield begin;
    for (const piece of rest.slice(0, 1)) yield piece;
    await gate.promise;
    for (const piece of rest.slice(1)) yield piece;
    yield doneEvent;
  }
  const { ask } = open({ predictor: createPredictor(pieces(), stream).session });
  const response = await ask(question("Hello", { stream: true }));
  assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
  const reader = response.body?.getReader();
  assert.match(new TextDecoder().decode((await reader?.read())?.value), /"content":"One "/);
  gate.resolve();
  let text = "";
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
    text += new TextDecoder().decode(next.value);
  }
  assert.match(text, /"two ".*"three".*"finish_reason":"stop".*"usage".*\[DONE\]/s);
});

test("a refused question is answered with an ordinary message, and nobody is asked", async () => {
  const predictor = unasked();
  const { ask, refusals } = open({ predictor: predictor.session });
  assert.deepEqual(await (await ask(question("something bad", { model: "m" }))).json(), {
    id: `chatcmpl-${"ab".repeat(12)}`,
    object: "chat.completion",
    created: 1234,
    model: "m",
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: `${refusalText} (privacy)`, refusal: null },
        logprobs: null,
        finish_reason: "content_filter",
        content_filter: { category: "privacy" },
      },
    ],
    usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
  });
  assert.deepEqual([predictor.asked, refusals.length], [[], 1]);
});

test("a refused question that wants a stream gets one, with counts when they are asked for", async () => {
  const chunk = { id: `chatcmpl-${"ab".repeat(12)}`, object: "chat.completion.chunk", created: 1234 };
  const choice = { index: 0, logprobs: null };
  const delta = { role: "assistant", content: `${refusalText} (privacy)` };
  const events = [
    { ...chunk, model: "default", choices: [{ ...choice, delta, finish_reason: null }] },
    {
      ...chunk,
      model: "default",
      choices: [
        { ...choice, delta: {}, finish_reason: "content_filter", content_filter: { category: "privacy" } },
      ],
    },
  ];
  const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  for (const includeUsage of [false, true]) {
    const predictor = unasked();
    const { ask } = open({ predictor: predictor.session });
    const options = includeUsage ? { stream_options: { include_usage: true } } : {};
    const response = await ask(question("bad", { stream: true, ...options }));
    assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/);
    const counts = includeUsage ? [{ ...chunk, model: "default", choices: [], usage }] : [];
    assert.deepEqual(await eventsIn(response), [...events, ...counts, "[DONE]"]);
    assert.deepEqual(predictor.asked, []);
  }
});

test("every turn of the conversation is judged", async () => {
  const predictor = unasked();
  const { ask } = open({ predictor: predictor.session });
  const messages = [
    { role: "user", content: "hello" },
    { role: "assistant", content: "hello" },
    { role: "system", content: [{ type: "text", text: "something bad" }] },
    { role: "user", content: "go on" },
  ];
  const answer = await (await ask({ messages })).json();
  assert.equal(answer.choices[0].finish_reason, "content_filter");
  assert.deepEqual(predictor.asked, []);
});

test("the openai package shows a refusal like any other message, whole and streamed", async () => {
  const { openai } = open({ predictor: unasked().session });
  const messages = [{ role: "user" as const, content: "bad" }];
  const whole = await openai.chat.completions.create({ model: "default", messages });
  assert.equal(whole.choices[0]?.message.content, `${refusalText} (privacy)`);
  assert.equal(whole.choices[0]?.finish_reason, "content_filter");
  let text = "";
  let reason: string | null | undefined;
  for await (const chunk of await openai.chat.completions.create({
    model: "default",
    messages,
    stream: true,
  })) {
    text += chunk.choices[0]?.delta.content ?? "";
    reason = chunk.choices[0]?.finish_reason ?? reason;
  }
  assert.deepEqual([text, reason], [`${refusalText} (privacy)`, "content_filter"]);
});

test("the openai package shows an answer that was cut, with the refusal after what had left", async () => {
  const predictor = createPredictor([...eventsOf(["All is ", "well, HARM", " follows"]), doneEvent], stream);
  const { openai, refusals } = open({ predictor: predictor.session });
  const answer = await openai.chat.completions.create({
    model: "default",
    messages: [{ role: "user", content: "hello" }],
    stream: true,
  });
  let text = "";
  const reasons: unknown[] = [];
  for await (const chunk of answer) {
    text += chunk.choices[0]?.delta.content ?? "";
    reasons.push(chunk.choices[0]?.finish_reason);
  }
  assert.equal(text, `All is well, \n\n${refusalText} (privacy)`);
  assert.equal(reasons.at(-1), "content_filter");
  assert.equal(refusals.length, 1);
  assert.ok(predictor.isClosed());
});

test("a guard that throws answers nothing, and nobody is asked", async () => {
  const failing = (): never => {
    throw new Error("canary");
  };
  for (const given of [{ judgeChat: failing }, { refusal: failing }]) {
    const predictor = unasked();
    const { ask } = open({ predictor: predictor.session, guard: createGuard(given) });
    await assert.rejects(ask(question("bad")));
    assert.deepEqual(predictor.asked, []);
  }
  for (const isStreamed of [false, true]) {
    const pieces = isStreamed ? [...eventsOf(["An answer"]), doneEvent] : [wholeOf("An answer")];
    const predictor = createPredictor(pieces, isStreamed ? stream : {});
    const { ask } = open({ predictor: predictor.session, guard: createGuard({ watchAnswer: failing }) });
    const shown = await ask(question("hello", { stream: isStreamed }))
      .then((response) => response.text())
      .catch(() => "");
    assert.ok(!shown.includes("answer"), shown);
  }
});

test("a second opinion is asked after the guard, refuses like it, and never lets pass by failing", async () => {
  const seen: string[] = [];
  const second = createPredictor([wholeOf("fine")]);
  const allowed = open({
    predictor: second.session,
    secondOpinion: async ({ messages }) => {
      assert.deepEqual(second.asked, [], "before the predictor");
      seen.push(messages[0]?.content ?? "");
      return undefined;
    },
  });
  assert.equal((await allowed.ask(question("hello"))).status, 200);
  assert.deepEqual([seen, second.asked.length], [["hello"], 1]);
  await allowed.ask(question("bad"));
  assert.deepEqual(seen, ["hello"], "what the guard refuses needs no second opinion");

  const predictor = unasked();
  const refusing = open({
    predictor: predictor.session,
    secondOpinion: async () => ({ category: "unjudged", text: "Ask me again." }),
  });
  const answer = await (await refusing.ask(question("hello"))).json();
  assert.equal(answer.choices[0].message.content, "Ask me again.");
  assert.equal(answer.choices[0].finish_reason, "content_filter");
  assert.deepEqual(answer.choices[0].content_filter, { category: "unjudged" });
  assert.equal(refusing.refusals.length, 1);

  for (const failing of [() => Promise.reject(new Error("canary")), () => assert.fail("at once")]) {
    const { ask } = open({ predictor: predictor.session, secondOpinion: failing });
    await assert.rejects(ask(question("hello")));
  }
  assert.deepEqual(predictor.asked, []);
});

test("while a second opinion is awaited nobody is asked", async () => {
  const gate = Promise.withResolvers<undefined>();
  const predictor = createPredictor([wholeOf("fine")]);
  const { ask } = open({ predictor: predictor.session, secondOpinion: () => gate.promise });
  const answer = ask(question("hello"));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(predictor.asked, []);
  gate.resolve(undefined);
  assert.equal((await answer).status, 200);
  assert.equal(predictor.asked.length, 1);
});

test("a predictor that fails gives an error of one form, without a word of what it said", async () => {
  const canary = "canary-991";
  const failing: [string, (Bytes | Error)[]][] = [
    ["a session that breaks at once", [new Error(canary)]],
    ["no json", [encodeUtf8(`{${canary}`)]],
    ["other json", [encodeUtf8(JSON.stringify([canary]))]],
    ["not utf-8", [new Uint8Array([0x7b, 0xff])]],
    ["half an answer", [wholeOf(canary).slice(0, 60)]],
    ["a session that breaks later", [wholeOf(canary).slice(0, 60), new Error(canary)]],
    ["an error in place of an answer", [encodeUtf8(JSON.stringify({ error: { message: canary } }))]],
    ["no end", Array.from({ length: 40 }, () => new Uint8Array(256 * 1024).fill(0x20))],
  ];
  for (const [name, pieces] of failing) {
    const predictor = createPredictor(pieces);
    const { ask } = open({ predictor: predictor.session });
    const response = await ask(question("hello"));
    const text = await response.text();
    assert.equal(response.status, 502, name);
    assert.deepEqual(JSON.parse(text), openAiError("predictor-failed", 502), name);
    assert.ok(predictor.isClosed(), name);
  }
});

test("what the predictor refuses is passed on with its status and code", async () => {
  const error = openAiError("context-length-exceeded", 400);
  for (const isStreamed of [false, true]) {
    const predictor = createPredictor([encodeUtf8(JSON.stringify(error))], { status: 400 });
    const { ask } = open({ predictor: predictor.session });
    const response = await ask(question("hello", { stream: isStreamed }));
    assert.equal(await codeOf(response), "400 context-length-exceeded");
  }
});

test("words of a predictor that are neither an answer nor a refusal it may give do not pass", async () => {
  const cases: readonly [number, unknown][] = [
    [400, { error: { code: "harmful words", message: "harmful words" } }],
    [400, { error: { code: "engine-failed", message: "of another status" } }],
    [418, { harmful: "words" }],
    [201, "harmful words"],
    [500, { error: null }],
  ];
  for (const [status, body] of cases) {
    const predictor = createPredictor([encodeUtf8(JSON.stringify(body))], { status });
    const { ask } = open({ predictor: predictor.session });
    assert.equal(await codeOf(await ask(question("hello"))), "502 predictor-failed", String(status));
  }
  const error = openAiError("context-length-exceeded", 400, "harmful words");
  const predictor = createPredictor([encodeUtf8(JSON.stringify(error))], { status: 400 });
  const text = JSON.stringify(
    await (await open({ predictor: predictor.session }).ask(question("hello"))).json(),
  );
  assert.ok(!text.includes("harmful words"));
});

test("text only, and only what is supported: nothing else comes to the guard or to the predictor", async () => {
  const predictor = unasked();
  const guard = createGuard({ judgeChat: () => assert.fail("judged") });
  const { ask } = open({ predictor: predictor.session, guard });
  const image = {
    messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:," } }] }],
  };
  assert.equal(await codeOf(await ask(image)), "400 text-only");
  assert.equal(await codeOf(await ask(question("hello", { tools: [{}] }))), "400 unsupported-parameter");
  assert.equal(await codeOf(await ask("{")), "400 malformed");
  assert.equal(await codeOf(await ask("x".repeat(600_000))), "400 too-large");
  assert.equal(await codeOf(await ask({}, "/v1/models", "GET")), "404 unknown-endpoint");
  assert.equal(await codeOf(await ask({}, "/", "POST")), "404 unknown-endpoint");
  assert.equal(await codeOf(await ask({}, undefined, "GET")), "405 method-not-allowed");
  assert.deepEqual(predictor.asked, []);
});
