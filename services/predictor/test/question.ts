import assert from "node:assert/strict";
import type { ChatRequest, FinishReason, Usage } from "@sotto/chat";
import type { EngineEvent } from "../src/sealed/engines/engine.ts";

/** A question with everything left out but what is given. */
export const createQuestion = (given: Partial<ChatRequest>): ChatRequest => ({
  model: undefined,
  messages: [{ role: "user", content: "Hello, how are you?" }],
  stream: true,
  includeUsage: false,
  maxTokens: undefined,
  temperature: undefined,
  topP: undefined,
  stop: [],
  seed: undefined,
  ...given,
});

export type Answer = {
  readonly pieces: readonly string[];
  readonly text: string;
  readonly finishReason: FinishReason;
  readonly usage: Usage;
};

/** Reads an engine to its end, which must come once and last. */
export const readAnswer = async (events: AsyncIterable<EngineEvent>): Promise<Answer> => {
  const pieces: string[] = [];
  let end: Extract<EngineEvent, { type: "end" }> | undefined;
  for await (const event of events) {
    assert.equal(end, undefined, "nothing comes after the end");
    if (event.type === "text") pieces.push(event.text);
    else end = event;
  }
  assert.ok(end !== undefined, "there is an end");
  return { pieces, text: pieces.join(""), finishReason: end.finishReason, usage: end.usage };
};
