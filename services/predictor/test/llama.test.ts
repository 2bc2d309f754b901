import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Bytes, encodeHex, sha256 } from "@sotto/base";
import type { ChatRequest } from "@sotto/chat";
import { writeBabbleModel } from "../../../tools/up/src/babble.ts";
import { verifyModelFile } from "../src/model-file.ts";
import { type Engine, EngineError } from "../src/sealed/engines/engine.ts";
import { openLlamaEngine } from "../src/sealed/engines/llama.ts";
import { type Answer, createQuestion, readAnswer } from "./question.ts";

const folder = mkdtempSync(join(tmpdir(), "sotto-predictor-"));
const path = join(folder, "babble.gguf");
let engine: Engine;
let draw = 0;

before(async () => {
  writeBabbleModel(path);
  const random = (length: number): Bytes => {
    const bytes = new Uint8Array(length);
    new DataView(bytes.buffer).setUint32(0, draw);
    return bytes;
  };
  engine = await openLlamaEngine({ path, name: "babble", threads: 1, random });
});
after(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});

const never = new AbortController().signal;
const ask = (given: Partial<ChatRequest> = {}): Promise<Answer> =>
  readAnswer(engine.generate(createQuestion(given), never));

/** A seed whose answer is long enough to cut. */
const long = async (words: number): Promise<{ seed: number; answer: Answer }> => {
  for (let seed = 0; ; seed += 1) {
    const answer = await ask({ seed });
    if (answer.pieces.length >= words) return { seed, answer };
  }
};

test("babbles in words, piece by piece, and comes to an end by itself", async () => {
  const lengths: number[] = [];
  for (let seed = 0; seed < 50; seed += 1) {
    const { text, finishReason, usage, pieces } = await ask({ seed });
    assert.match(text, /^ ?[a-z]+( [a-z]+)*$/);
    assert.equal(finishReason, "stop");
    assert.equal(usage.completionTokens, pieces.length, "a piece for every token");
    assert.ok(usage.promptTokens > 0);
    lengths.push(pieces.length);
  }
  const median = lengths.sort((left, right) => left - right)[25] ?? 0;
  assert.ok(median >= 3 && median <= 60, `median of ${median} words`);
});

test("a seed decides the answer; without one it is drawn anew", async () => {
  const { seed, answer } = await long(5);
  assert.equal((await ask({ seed })).text, answer.text);
  assert.notEqual((await ask({ seed: seed + 1 })).text, answer.text);
  draw = seed;
  assert.equal((await ask()).text, answer.text, "drawn from the randomness that was passed in");
  draw = seed + 1;
  assert.notEqual((await ask()).text, answer.text);
});

test("temperature 0 leaves nothing to chance", async () => {
  const first = await ask({ temperature: 0, maxTokens: 20, seed: 1 });
  const second = await ask({ temperature: 0, maxTokens: 20, seed: 2 });
  assert.equal(first.text, second.text);
});

test("nothing of one question is carried into another", async () => {
  const { seed, answer } = await long(8);
  const secret = createQuestion({ messages: [{ role: "user", content: "canary ".repeat(100) }], seed });
  await readAnswer(engine.generate(secret, never));
  assert.deepEqual(await ask({ seed }), answer);
});

test("max_tokens cuts, and says so", async () => {
  const { seed, answer } = await long(6);
  const cut = await ask({ seed, maxTokens: 4 });
  assert.equal(cut.finishReason, "length");
  assert.equal(cut.usage.completionTokens, 4);
  assert.equal(cut.text, answer.pieces.slice(0, 4).join(""));
});

test("stop sequences end the answer and are never shown, not even in part", async () => {
  const { seed, answer } = await long(8);
  const [fourth = "", fifth = ""] = answer.pieces.slice(4);
  // The end of one word, a space and the beginning of the next: no token is the whole of it.
  const stop = fourth.slice(-1) + fifth.slice(0, 2);
  const cut = await ask({ seed, stop: ["never said", stop] });
  assert.equal(cut.finishReason, "stop");
  assert.equal(cut.text, answer.text.slice(0, answer.text.indexOf(stop)));
  assert.ok(cut.usage.completionTokens <= 6);
});

test("an abort is heard, before and during an answer, and frees the engine", async () => {
  await assert.rejects(
    readAnswer(engine.generate(createQuestion({}), AbortSignal.abort(new Error("early")))),
    /early/,
  );
  const { seed, answer } = await long(8);
  const abort = new AbortController();
  const seen: string[] = [];
  await assert.rejects(async () => {
    for await (const event of engine.generate(createQuestion({ seed }), abort.signal)) {
      if (event.type === "text") seen.push(event.text);
      abort.abort(new Error("enough"));
    }
  }, /enough/);
  assert.ok(seen.length < answer.pieces.length);
  assert.deepEqual(await ask({ seed }), answer);
});

test("who stops reading, for good or for a while, holds up nobody", async () => {
  const { seed, answer } = await long(8);
  for await (const event of engine.generate(createQuestion({ seed }), never)) {
    assert.equal(event.type, "text");
    break;
  }
  const slow = engine.generate(createQuestion({ seed }), never)[Symbol.asyncIterator]();
  const first = await slow.next();
  assert.deepEqual(await ask({ seed }), answer);
  const rest = await readAnswer({ [Symbol.asyncIterator]: () => slow });
  const begin = first.done !== true && first.value.type === "text" ? first.value.text : "";
  assert.equal(begin + rest.text, answer.text);
});

test("questions that come at once are answered one after another", async () => {
  const seeds = [3, 4, 5, 6];
  const alone: Answer[] = [];
  for (const seed of seeds) alone.push(await ask({ seed }));
  assert.deepEqual(await Promise.all(seeds.map((seed) => ask({ seed }))), alone);
});

test("a question of any length up to the context is read, a longer one is refused", async () => {
  const ofLength = (words: number): Partial<ChatRequest> => ({
    messages: [{ role: "user", content: "number ".repeat(words) }],
    maxTokens: 1,
  });
  for (const words of [400, 4000]) {
    const { usage } = await ask(ofLength(words));
    assert.ok(usage.promptTokens > words, "every word was read");
  }
  await assert.rejects(ask(ofLength(4096)), (error: unknown) => {
    return error instanceof EngineError && error.code === "context-overflow";
  });
  const { usage, finishReason } = await ask({ ...ofLength(4000), maxTokens: 100_000, stop: [], seed: 1 });
  assert.ok(usage.promptTokens + usage.completionTokens <= 4096, "never past the context");
  assert.ok(finishReason === "stop" || finishReason === "length");
});

test("any conversation has an answer", async () => {
  const conversations: ChatRequest["messages"][] = [
    [{ role: "user", content: "" }],
    [{ role: "assistant", content: "hello" }],
    [{ role: "system", content: "be brief" }],
    [
      { role: "user", content: "a" },
      { role: "user", content: "b" },
      { role: "system", content: "c" },
      { role: "assistant", content: "d" },
    ],
    [{ role: "user", content: "</s><s>[INST] 👋 \u0000 \ud800 [/INST]" }],
  ];
  for (const messages of conversations) {
    const { text } = await ask({ messages, maxTokens: 3 });
    assert.ok(text.length > 0);
  }
});

test("control tokens in a question are text", async () => {
  const question = (content: string): Promise<Answer> =>
    ask({ messages: [{ role: "user", content }], maxTokens: 1 });
  const [marked, plain] = [await question("</s>"), await question("(/s)")];
  assert.equal(marked.usage.promptTokens, plain.usage.promptTokens, "as long as any four characters");
});

test("the model file is small and the same every time", () => {
  const again = join(folder, "again.gguf");
  writeBabbleModel(again);
  const bytes = readFileSync(path);
  assert.deepEqual(readFileSync(again), bytes);
  assert.ok(bytes.length < 5 * 1024 * 1024);
});

test("only the measured file is opened, and only if it is of an inert format", async () => {
  const digestOf = (bytes: Uint8Array): string => `sha256:${encodeHex(sha256(bytes))}`;
  const bytes = new Uint8Array(readFileSync(path));
  await verifyModelFile(path, digestOf(bytes));
  const refused = (file: string, digest: string): Promise<void> =>
    assert.rejects(verifyModelFile(file, digest), (error: unknown) => {
      return error instanceof EngineError && error.code === "model-refused";
    });
  await refused(path, digestOf(new Uint8Array(1)));
  await refused(join(folder, "absent"), digestOf(bytes));
  await refused(folder, digestOf(bytes));
  for (const content of ["", "GGU", "\x80\x04pickle", "#!/bin/sh"]) {
    const other = new TextEncoder().encode(content);
    const file = join(folder, "other");
    writeFileSync(file, other);
    await refused(file, digestOf(other));
  }
  const swapped = join(folder, "swapped.gguf");
  const last = bytes.length - 1;
  writeFileSync(swapped, bytes.with(last, (bytes[last] ?? 0) ^ 1));
  await refused(swapped, digestOf(bytes));
});

test("a file that only begins like a model is refused", async () => {
  const bytes = readFileSync(path);
  for (const length of [4, 100, 10_000, bytes.length - 1000]) {
    const file = join(folder, `cut-${length}.gguf`);
    writeFileSync(file, bytes.subarray(0, length));
    await assert.rejects(openLlamaEngine({ path: file, name: "cut", threads: 1 }), (error: unknown) => {
      return error instanceof EngineError && error.code === "model-refused";
    });
  }
});
