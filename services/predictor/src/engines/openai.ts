// An engine that is a server inside the same machine and speaks the OpenAI API.
import { type ChatRequest, type FinishReason, SseParser, type Usage } from "@sotto/chat";
import { z } from "zod";
import { type Engine, EngineError, type EngineEvent } from "./engine.ts";

export type OpenAiOptions = { readonly url: string; readonly model: string; readonly fetch?: typeof fetch };

const count = z.number().int().min(0);
const chunkSchema = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        delta: z.looseObject({ content: z.string().nullish() }).optional(),
        finish_reason: z.string().nullish(),
      }),
    )
    .optional(),
  usage: z.looseObject({ prompt_tokens: count, completion_tokens: count }).nullish(),
});

/** Uses a server; prefix caching and logs of that server are its operator's to switch off. */
export function openOpenAiEngine(options: OpenAiOptions): Engine {
  const send = options.fetch ?? fetch;
  const url = new URL("chat/completions", options.url.endsWith("/") ? options.url : `${options.url}/`);
  return {
    model: options.model,
    generate: (request, signal) => generate(send, url, options.model, request, signal),
    close: async () => {},
  };
}

async function* generate(
  send: typeof fetch,
  url: URL,
  model: string,
  request: ChatRequest,
  signal: AbortSignal,
): AsyncGenerator<EngineEvent> {
  const response = await send(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(toBody(model, request)),
    redirect: "error",
    signal,
  }).catch((cause: unknown) => {
    throw new EngineError("engine-failed", "model server cannot be reached", { cause });
  });
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw new EngineError("engine-failed", "model server refused the question");
  }
  let usage: Usage = { promptTokens: 0, completionTokens: 0 };
  let finishReason: FinishReason | undefined;
  let ended = false;
  const parser = new SseParser();
  try {
    for await (const bytes of response.body) {
      for (const data of ended ? [] : parser.push(bytes)) {
        if (data === "[DONE]") {
          ended = true;
          // At once: when the server closes the connection is its own affair.
          yield { type: "end", finishReason: finishReason ?? "stop", usage };
          break;
        }
        const chunk = chunkSchema.parse(JSON.parse(data));
        const choice = chunk.choices?.[0];
        const text = choice?.delta?.content ?? "";
        if (text !== "") yield { type: "text", text };
        finishReason = toFinishReason(choice?.finish_reason) ?? finishReason;
        if (chunk.usage) {
          usage = {
            promptTokens: chunk.usage.prompt_tokens,
            completionTokens: chunk.usage.completion_tokens,
          };
        }
      }
    }
  } catch (cause) {
    throw new EngineError("engine-failed", "model server broke off", { cause });
  }
  if (ended) return;
  if (finishReason === undefined) throw new EngineError("engine-failed", "model server broke off");
  yield { type: "end", finishReason, usage };
}

function toFinishReason(reason: string | null | undefined): FinishReason | undefined {
  if (reason === undefined || reason === null) return undefined;
  return reason === "length" || reason === "content_filter" ? reason : "stop";
}

function toBody(model: string, request: ChatRequest): object {
  const optional = {
    max_tokens: request.maxTokens,
    temperature: request.temperature,
    top_p: request.topP,
    seed: request.seed,
    stop: request.stop.length === 0 ? undefined : request.stop,
  };
  return {
    model,
    messages: request.messages,
    stream: true,
    stream_options: { include_usage: true },
    ...optional,
  };
}
