// An engine that is a server inside the same machine and speaks the OpenAI API.
import { type ChatRequest, type FinishReason, SseParser, type Usage } from "@sotto/chat";
import { z } from "zod";
import { type Engine, EngineError, type EngineEvent } from "./engine.ts";

export type OpenAiOptions = { readonly url: string; readonly model: string; readonly fetch?: typeof fetch };

const chunkSchema = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        delta: z.looseObject({ content: z.string().nullish() }).optional(),
        finish_reason: z.string().nullish(),
      }),
    )
    .optional(),
  usage: z.looseObject({ prompt_tokens: z.number(), completion_tokens: z.number() }).nullish(),
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
  let done = false;
  const parser = new SseParser();
  try {
    for await (const bytes of response.body) {
      for (const data of parser.push(bytes)) {
        if (data === "[DONE]") {
          done = true;
          continue;
        }
        const chunk = chunkSchema.parse(JSON.parse(data));
        const choice = chunk.choices?.[0];
        const text = choice?.delta?.content ?? "";
        if (text !== "") yield { type: "text", text };
        const reason = choice?.finish_reason;
        if (reason !== undefined && reason !== null) finishReason = reason === "length" ? "length" : "stop";
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
  if (!done && finishReason === undefined) throw new EngineError("engine-failed", "model server broke off");
  yield { type: "end", finishReason: finishReason ?? "stop", usage };
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
