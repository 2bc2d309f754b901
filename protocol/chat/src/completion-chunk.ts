// One event of a streamed answer, as servers of the OpenAI API write it.
import { type Fields, readFields } from "@sotto/base";
import { ChatError } from "./chat-request.ts";
import type { CompletionHead, FinishReason, Usage } from "./completion.ts";

/** What an event says, as far as anything here needs it; `failed` is an event that says the answer broke off. */
export type CompletionChunk = {
  readonly head: CompletionHead;
  readonly text: string;
  readonly finishReason: FinishReason | undefined;
  readonly usage: Usage | undefined;
  readonly failed: boolean;
};

const maxCount = Number.MAX_SAFE_INTEGER;
const maxWord = 256;
const maxChoices = 128;

/** Reads an event's data, or a whole answer, which has the same form; throws `ChatError`. */
export function parseCompletionChunk(data: string): CompletionChunk {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new ChatError("malformed", "answer: not json", { cause });
  }
  const fields = readFields(value, malformed);
  const [first] = fields.list("choices", maxChoices) ?? [];
  const choice = first === undefined ? undefined : readFields(first, malformed);
  return {
    head: {
      id: fields.text("id", 0, maxWord) ?? "",
      model: fields.text("model", 0, maxWord) ?? "",
      created: fields.integer("created", 0, maxCount) ?? 0,
    },
    text: textOf(choice?.inner("delta")) ?? textOf(choice?.inner("message")) ?? "",
    finishReason: toFinishReason(choice?.text("finish_reason", 0, maxWord)),
    usage: usageOf(fields.inner("usage")),
    failed: fields.values.error !== undefined && fields.values.error !== null,
  };
}

function textOf(message: Fields | undefined): string | undefined {
  return message?.text("content", 0, Number.POSITIVE_INFINITY);
}

function usageOf(usage: Fields | undefined): Usage | undefined {
  const promptTokens = usage?.integer("prompt_tokens", 0, maxCount);
  const completionTokens = usage?.integer("completion_tokens", 0, maxCount);
  if (usage === undefined) return undefined;
  if (promptTokens === undefined || completionTokens === undefined) throw malformed();
  return { promptTokens, completionTokens };
}

function malformed(): ChatError {
  return new ChatError("malformed", "answer: not as the OpenAI API has it");
}

function toFinishReason(reason: string | undefined): FinishReason | undefined {
  if (reason === undefined) return undefined;
  return reason === "length" || reason === "content_filter" ? reason : "stop";
}
