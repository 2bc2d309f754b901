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

const methods: Readonly<Record<string, "GET" | "POST" | undefined>> = {
  "/v1/chat/completions": "POST",
  "/v1/models": "GET",
};

/** Wires the handler of one session. */
export function createPredictor(
  dependencies: PredictorDependencies,
): (request: Request) => Promise<Response> {
  const { engine, clock, random } = dependencies;
  return async (request) => {
    const { pathname } = new URL(request.url);
    const method = methods[pathname];
    if (method === undefined) return refuse(404, "unknown-endpoint");
    if (request.method !== method) return refuse(405, "method-not-allowed");
    if (method === "GET") return listModels(engine.model);
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
      else {
        settle(events);
        return Response.json(completion(head, text, next.value.finishReason, next.value.usage));
      }
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
          if (next.done === true) throw new EngineError("engine-failed", "answer has no end");
          const delta = begun ? {} : ({ role: "assistant" } as const);
          begun = true;
          if (next.value.type === "text") {
            controller.enqueue(serializeChunk(head, { ...delta, content: next.value.text }));
          } else {
            settle(events);
            controller.enqueue(serializeChunk(head, delta, next.value.finishReason));
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

// After its last event an engine may still have to put things away; nobody waits for that.
function settle(events: AsyncIterator<EngineEvent>): void {
  events.next().catch(() => {});
}

function listModels(id: string): Response {
  return Response.json({ object: "list", data: [{ id, object: "model", created: 0, owned_by: "sotto" }] });
}

function refuse(status: number, code: string, message?: string): Response {
  return Response.json(openAiError(code, status, message), { status });
}
