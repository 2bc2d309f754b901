// An engine that is a server inside the same machine and speaks the OpenAI API.
import { request as httpRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { encodeHex, type Random } from "@sotto/base";
import {
  type ChatRequest,
  type FinishReason,
  parseCompletionChunk,
  SseParser,
  type Usage,
} from "@sotto/chat";
import { type Engine, EngineError, type EngineEvent } from "./engine.ts";

export type OpenAiOptions = {
  readonly url: string;
  readonly model: string;
  /** An open connection to the server, good for one request; this process could not open one. */
  readonly connection: Duplex;
  readonly random: Random;
  /** Called when the server has given the connection up before anything was asked. */
  readonly onLost?: () => void;
};

const saltLength = 16;

/** Uses a server; what that server keeps of a question is its own affair (SECURITY.md says what to switch off). */
export function openOpenAiEngine(options: OpenAiOptions): Engine {
  const { connection, onLost } = options;
  let asked = false;
  connection.on("error", () => {});
  connection.once("close", () => {
    if (!asked) onLost?.();
  });
  return {
    model: options.model,
    generate: (request, signal) => {
      asked = true;
      return generate(options, request, signal);
    },
    close: async () => void connection.destroy(),
  };
}

async function* generate(
  options: OpenAiOptions,
  request: ChatRequest,
  signal: AbortSignal,
): AsyncGenerator<EngineEvent> {
  const response = await post(options, toBody(options, request), signal).catch((cause: unknown) => {
    throw new EngineError("engine-failed", "model server cannot be reached", { cause });
  });
  if (response.statusCode !== 200) {
    response.destroy();
    throw new EngineError("engine-failed", "model server refused the question");
  }
  let usage: Usage = { promptTokens: 0, completionTokens: 0 };
  let finishReason: FinishReason | undefined;
  let ended = false;
  const parser = new SseParser();
  try {
    for await (const bytes of response) {
      for (const data of ended ? [] : parser.push(bytes)) {
        if (data === "[DONE]") {
          ended = true;
          // At once: when the server closes the connection is its own affair.
          yield { type: "end", finishReason: finishReason ?? "stop", usage };
          break;
        }
        const chunk = parseCompletionChunk(data);
        if (chunk.failed) throw new EngineError("engine-failed", "model server broke off");
        if (chunk.text !== "") yield { type: "text", text: chunk.text };
        finishReason = chunk.finishReason ?? finishReason;
        usage = chunk.usage ?? usage;
      }
    }
  } catch (cause) {
    throw new EngineError("engine-failed", "model server broke off", { cause });
  }
  if (ended) return;
  if (finishReason === undefined) throw new EngineError("engine-failed", "model server broke off");
  yield { type: "end", finishReason, usage };
}

function toBody({ model, random }: OpenAiOptions, request: ChatRequest): object {
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
    // Servers that keep prompts for later ones (vLLM, llama-server) must not find this one again.
    cache_salt: encodeHex(random(saltLength)),
    cache_prompt: false,
  };
}

function post(options: OpenAiOptions, body: object, signal: AbortSignal): Promise<IncomingMessage> {
  const { url, connection } = options;
  return new Promise((resolve, reject) => {
    // The request would wait for ever.
    if (connection.destroyed) throw new Error("connection is closed");
    const target = new URL("chat/completions", url.endsWith("/") ? url : `${url}/`);
    const content = JSON.stringify(body);
    const outgoing = httpRequest(target, {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(content) },
      createConnection: () => connection,
      signal,
    });
    outgoing.once("response", resolve).on("error", reject).end(content);
  });
}
