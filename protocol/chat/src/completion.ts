// Answers in the shape of the OpenAI API: whole, or as server-sent events.
import { type Bytes, encodeUtf8 } from "@sotto/base";

export type Usage = { readonly promptTokens: number; readonly completionTokens: number };
export type FinishReason = "stop" | "length" | "content_filter";

/** What all pieces of one answer share; `created` in seconds. */
export type CompletionHead = { readonly id: string; readonly model: string; readonly created: number };

const usageOf = ({ promptTokens, completionTokens }: Usage): object => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
});

/** Why an answer was filtered: the hazard, by its id in the safety policy. */
export type Filtered = { readonly category: string };

/** A whole answer. */
export function completion(
  head: CompletionHead,
  text: string,
  finishReason: FinishReason,
  usage: Usage,
  filtered?: Filtered,
): object {
  const message = { role: "assistant", content: text, refusal: null };
  return {
    id: head.id,
    object: "chat.completion",
    created: head.created,
    model: head.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason, ...filterOf(filtered) }],
    usage: usageOf(usage),
  };
}

// Clients that do not know it pass it over: the refusal itself is the message.
function filterOf(filtered: Filtered | undefined): object {
  return filtered === undefined ? {} : { content_filter: filtered };
}

/** One event of a streamed answer: the role, a piece of text, or the reason for its end. */
export function serializeChunk(
  head: CompletionHead,
  delta: { readonly role?: "assistant"; readonly content?: string },
  finishReason: FinishReason | null = null,
  filtered?: Filtered,
): Bytes {
  return serializeEvent({
    id: head.id,
    object: "chat.completion.chunk",
    created: head.created,
    model: head.model,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason, ...filterOf(filtered) }],
  });
}

/** The event with the token counts, when it was asked for. */
export function serializeUsageChunk(head: CompletionHead, usage: Usage): Bytes {
  return serializeEvent({
    id: head.id,
    object: "chat.completion.chunk",
    created: head.created,
    model: head.model,
    choices: [],
    usage: usageOf(usage),
  });
}

/** A server-sent event with `value` as its data. */
export function serializeEvent(value: object): Bytes {
  return encodeUtf8(`data: ${JSON.stringify(value)}\n\n`);
}

/** The event that ends a stream. */
export const doneEvent: Bytes = encodeUtf8("data: [DONE]\n\n");
