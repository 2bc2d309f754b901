// Answers one question with the engine: whole, or as server-sent events from the first piece of text on.
import { type Clock, encodeHex, type Random } from "@sotto/base";
import {
  ChatError,
  type ChatRequest,
  type CompletionHead,
  completion,
  doneEvent,
  openAiError,
  parseChatRequest,
  serializeChunk,
  serializeEvent,
  serializeUsageChunk,
} from "@sotto/chat";
import { type Engine, EngineError, type EngineEvent } from "./engines/engine.ts";

export type PredictorDependencies = {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: Random;
};

/** Wires the handler of one session. */
export function createPredictor(
  dependencies: PredictorDependencies,
): (request: Request) => Promise<Response> {
  const { engine, clock, random } = dependencies;
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname !== "/v1/chat/completions") return refuse(404, "unknown-endpoint");
    if (request.method !== "POST") return refuse(405, "method-not-allowed");
    let question: ChatRequest;
    try {
      question = parseChatRequest(new Uint8Array(await request.arrayBuffer()));
    } catch (error) {
      if (error instanceof ChatError) return refuse(400, error.code, error.message);
      throw error;
    }
    const head: CompletionHead = {
      id: `chatcmpl-${encodeHex(random(12))}`,
      model: engine.model,
      created: Math.floor(clock() / 1000),
    };
    const abort = new AbortController();
    const signal = AbortSignal.any([request.signal, abort.signal]);
    const events = engine.generate(question, signal)[Symbol.asyncIterator]();
    // The first event is awaited, so that a question that cannot be answered gets a status of its own.
    const first = await events.next().catch((error: unknown) => error);
    if (isResult(first)) {
      return question.stream ? stream(head, question, first, events, abort) : whole(head, first, events);
    }
    if (first instanceof EngineError && first.code === "context-overflow") {
      return refuse(400, "context-length-exceeded", first.message);
    }
    return refuse(502, "engine-failed");
  };
}

type Result = IteratorResult<EngineEvent>;

function isResult(value: unknown): value is Result {
  return typeof value === "object" && value !== null && "done" in value && !(value instanceof Error);
}

async function whole(
  head: CompletionHead,
  first: Result,
  events: AsyncIterator<EngineEvent>,
): Promise<Response> {
  let text = "";
  try {
    for (let next = first; next.done !== true; next = await events.next()) {
      if (next.value.type === "text") text += next.value.text;
      else return Response.json(completion(head, text, next.value.finishReason, next.value.usage));
    }
  } catch {
    return refuse(502, "engine-failed");
  } finally {
    // An engine is free for the next question only once this one's generator has been let go.
    await events.return?.();
  }
  return refuse(502, "engine-failed");
}

function stream(
  head: CompletionHead,
  question: ChatRequest,
  first: Result,
  events: AsyncIterator<EngineEvent>,
  abort: AbortController,
): Response {
  let pending: Result | undefined = first;
  let begun = false;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const next = pending ?? (await events.next());
          pending = undefined;
          if (next.done === true) controller.close();
          else if (next.value.type === "text") {
            const delta = begun ? {} : ({ role: "assistant" } as const);
            begun = true;
            controller.enqueue(serializeChunk(head, { ...delta, content: next.value.text }));
          } else {
            controller.enqueue(serializeChunk(head, {}, next.value.finishReason));
            if (question.includeUsage) controller.enqueue(serializeUsageChunk(head, next.value.usage));
            controller.enqueue(doneEvent);
            controller.close();
            await events.return?.();
          }
        } catch {
          controller.enqueue(serializeEvent(openAiError("engine-failed", 502)));
          controller.close();
        }
      },
      async cancel() {
        abort.abort();
        await events.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
}

function refuse(status: number, code: string, message?: string): Response {
  return Response.json(openAiError(code, status, message), { status });
}
