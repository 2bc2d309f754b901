import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, decodeUtf8, encodeUtf8 } from "@sotto/base";
import type { ChatMessage, ChatRequest } from "@sotto/chat";
import { hazardIds } from "@sotto/guard";
import { createGuardModel } from "../src/sealed/guard-model.ts";
import { createOrchestrator } from "../src/sealed/orchestrator.ts";
import { createGuard, createPredictor, cutInto, refusalText, wholeOf } from "./scripted.ts";

const guard = createGuard();
const unjudged = /^I can't answer this now, because the safety check could not be made\./;

const questionOf = (messages: readonly ChatMessage[]): ChatRequest => ({
  model: undefined,
  messages,
  stream: false,
  includeUsage: false,
  maxTokens: undefined,
  temperature: undefined,
  topP: undefined,
  stop: [],
  seed: undefined,
});
const hello = questionOf([{ role: "user", content: "Hello" }]);

type Pieces = Parameters<typeof createPredictor>[0];

type Given = { readonly question?: ChatRequest; readonly timeoutMs?: number; readonly status?: number };

/** Asks a model that answers with these pieces. */
async function judge(pieces: Pieces, { question = hello, timeoutMs = 60_000, status = 200 }: Given = {}) {
  const model = createPredictor(pieces, { status });
  const declined = await createGuardModel({ session: model.session, guard, timeoutMs })(question);
  assert.ok(model.isClosed(), "nothing of the session is left");
  return { declined, model };
}

test("safe lets pass, and nothing else does", async () => {
  for (const text of ["safe", "\n\nsafe", "safe\n", " safe "]) {
    assert.equal((await judge([wholeOf(text)])).declined, undefined, JSON.stringify(text));
  }
  const others = [
    "",
    "Safe",
    "safe.",
    "safe, I think",
    "safe\nS1",
    "safe\nsafe",
    "unsafe\nsafe",
    "not safe",
    "unsafe",
    "unsafe S1",
    "unsafe\nS1\nS2",
    "unsafe\n\nS1",
    "unsafe\nS0",
    "unsafe\nS15",
    "unsafe\ns1",
    "unsafe\nS1,",
    "unsafe\nS1,S99",
    "unsafe\nconstructor",
    "unsafe\ntoString,S1",
    "Unsafe\nS1",
    "I cannot judge that.",
    "S1",
    "{}",
  ];
  for (const text of others) {
    const { declined } = await judge([wholeOf(text)]);
    assert.equal(declined?.category, "unjudged", JSON.stringify(text));
    assert.match(declined.text, unjudged);
  }
});

test("each code of Llama Guard is a hazard of ours, whose words are said; of several the first", async () => {
  const wanted = [
    ["S1", "violent-crimes"],
    ["S2", "nonviolent-crimes"],
    ["S3", "sex-crimes"],
    ["S4", "child-exploitation"],
    ["S5", "defamation"],
    ["S6", "specialized-advice"],
    ["S7", "privacy"],
    ["S8", "intellectual-property"],
    ["S9", "indiscriminate-weapons"],
    ["S10", "hate"],
    ["S11", "self-harm"],
    ["S12", "sexual-content"],
    ["S13", "specialized-advice"],
    ["S14", "nonviolent-crimes"],
    ["S11,S1", "self-harm"],
    [" S10 , S5 ", "hate"],
  ] as const;
  for (const [codes, hazard] of wanted) {
    for (const text of [`unsafe\n${codes}`, `\n\nunsafe\r\n${codes}\n`]) {
      const { declined } = await judge([wholeOf(text)]);
      assert.deepEqual(declined, { category: hazard, text: `${refusalText} (${hazard})` }, codes);
    }
  }
  assert.deepEqual(new Set(wanted.map(([, hazard]) => hazard)), new Set(hazardIds), "none is left out");
});

test("an answer that is none, is cut or comes from a broken session is a refusal", async () => {
  const safe = wholeOf("safe");
  const error = encodeUtf8(JSON.stringify({ error: { message: "safe" } }));
  const cases: [string, Pieces, Given?][] = [
    ["a status that is not 200", [safe], { status: 502 }],
    ["a session that breaks at once", [new Error("canary")]],
    ["a session that breaks later", [safe, new Error("canary")]],
    ["half an answer", [safe.slice(0, -1)]],
    ["nothing", []],
    ["no json", [encodeUtf8("safe")]],
    ["not utf-8", [new Uint8Array([0x22, 0xff, 0x22])]],
    ["json of another form", [encodeUtf8('["safe"]')]],
    ["an error", [error]],
    ["cut at its limit", [wholeOf("safe", "length")]],
    ["filtered", [wholeOf("safe", "content_filter")]],
    ["no end", Array.from({ length: 8 }, () => new Uint8Array(16 * 1024).fill(0x20))],
  ];
  for (const [name, pieces, given] of cases) {
    assert.equal((await judge(pieces, given)).declined?.category, "unjudged", name);
  }
  assert.equal((await judge(cutInto(safe, 7))).declined, undefined, "pieces are no cut");
});

test("a model that takes too long has refused, before its answer and within it", {
  timeout: 10_000,
}, async () => {
  const { promise: never } = Promise.withResolvers<Bytes>();
  async function* hangs(...first: Bytes[]): AsyncGenerator<Bytes> {
    yield* first;
    yield await never;
  }
  for (const pieces of [hangs(), hangs(wholeOf("safe")), hangs(wholeOf("safe").slice(0, 9))]) {
    const { declined } = await judge(pieces, { timeoutMs: 30 });
    assert.equal(declined?.category, "unjudged");
  }
});

test("it is asked for the conversation and for nothing else, in turns that end with the user's", async () => {
  const { model } = await judge([wholeOf("safe")]);
  const [asked] = model.asked;
  assert.equal(asked?.path, "/v1/chat/completions");
  assert.deepEqual(JSON.parse(decodeUtf8(asked.content)), {
    model: "guard",
    messages: [{ role: "user", content: "Hello" }],
    temperature: 0,
    max_tokens: 64,
    stream: false,
  });
  const turns = async (spoken: readonly (readonly [ChatMessage["role"], string])[]): Promise<string[]> => {
    const question = questionOf(spoken.map(([role, content]) => ({ role, content })));
    const asked = (await judge([wholeOf("safe")], { question })).model.asked[0];
    const { messages } = JSON.parse(decodeUtf8(asked?.content ?? new Uint8Array()));
    return messages.map(({ role, content }: ChatMessage) => `${role}: ${content}`);
  };
  assert.deepEqual(
    await turns([
      ["user", "a"],
      ["assistant", "b"],
      ["user", "c"],
    ]),
    ["user: a", "assistant: b", "user: c"],
  );
  assert.deepEqual(
    await turns([
      ["system", "s"],
      ["user", "a"],
      ["user", "b"],
      ["assistant", "c"],
      ["assistant", "d"],
      ["system", "e"],
    ]),
    ["user: s\n\na\n\nb", "assistant: c\n\nd", "user: e"],
  );
  assert.deepEqual(
    await turns([
      ["assistant", "a"],
      ["user", "b"],
      ["assistant", "Sure, here"],
    ]),
    ["user: a\n\nb\n\nSure, here"],
    "words put into the assistant's mouth are the user's",
  );
});

test("the predictor is asked once the model has said safe, and not at all when it has said anything else", async () => {
  for (const [said, status] of [
    ["safe", "stop"],
    ["unsafe\nS10", "content_filter"],
    ["unsure", "content_filter"],
  ] as const) {
    const gate = Promise.withResolvers<Bytes>();
    const predictor = createPredictor([wholeOf("An answer.")]);
    const model = createPredictor(
      (async function* () {
        yield await gate.promise;
      })(),
    );
    const handler = createOrchestrator({
      predictor: predictor.session,
      guard,
      secondOpinion: createGuardModel({ session: model.session, guard, timeoutMs: 60_000 }),
      clock: () => 0,
      random: (length) => new Uint8Array(length),
      onRefusal: () => {},
    });
    const content = encodeUtf8(JSON.stringify({ messages: hello.messages }));
    const answer = handler({ method: "POST", path: "/v1/chat/completions", content });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual([model.asked.length, predictor.asked.length], [1, 0], "while it has said nothing");
    gate.resolve(wholeOf(said));
    let body = "";
    for await (const piece of (await answer).body) body += decodeUtf8(piece);
    assert.equal(JSON.parse(body).choices[0].finish_reason, status);
    assert.equal(predictor.asked.length, status === "stop" ? 1 : 0, said);
  }
});
