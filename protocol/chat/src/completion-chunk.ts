// One event of a streamed answer, as servers of the OpenAI API write it.
import { z } from "zod";
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

const count = z.number().int().min(0);
const schema = z.looseObject({
  id: z.string().max(256).nullish(),
  model: z.string().max(256).nullish(),
  created: count.nullish(),
  choices: z
    .array(
      z.looseObject({
        delta: z.looseObject({ content: z.string().nullish() }).optional(),
        message: z.looseObject({ content: z.string().nullish() }).optional(),
        finish_reason: z.string().nullish(),
      }),
    )
    .optional(),
  usage: z.looseObject({ prompt_tokens: count, completion_tokens: count }).nullish(),
  error: z.unknown().optional(),
});

/** Reads an event's data, or a whole answer, which has the same form; throws `ChatError`. */
export function parseCompletionChunk(data: string): CompletionChunk {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new ChatError("malformed", "answer: not json", { cause });
  }
  const checked = schema.safeParse(value);
  if (!checked.success) throw new ChatError("malformed", "answer: not as the OpenAI API has it");
  const { id, model, created, choices, usage, error } = checked.data;
  const choice = choices?.[0];
  return {
    head: { id: id ?? "", model: model ?? "", created: created ?? 0 },
    text: choice?.delta?.content ?? choice?.message?.content ?? "",
    finishReason: toFinishReason(choice?.finish_reason),
    usage: usage
      ? { promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens }
      : undefined,
    failed: error !== undefined,
  };
}

function toFinishReason(reason: string | null | undefined): FinishReason | undefined {
  if (reason === undefined || reason === null) return undefined;
  return reason === "length" || reason === "content_filter" ? reason : "stop";
}
