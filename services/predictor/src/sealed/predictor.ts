// Answers one question with the engine: whole, or as server-sent events from the first piece of text on.
import { type Bytes, type Clock, encodeHex, type Random } from "@sotto/base";
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
import { type ExchangeAnswer, jsonAnswer, type RequestHandler } from "@sotto/exchange";
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
export function createPredictor(dependencies: PredictorDependencies): RequestHandler {
  const { engine, clock, random } = dependencies;
  return async ({ method, path, content }) => {
    const expected = methods[path];
    if (expected === undefined) return refuse(404, "unknown-endpoint");
    if (method !== expected) return refuse(405, "method-not-allowed");
    if (method === "GET") return listModels(engine.model);
    let question: ChatRequest;
    try {
      question = parseChatRequest(content);
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
    const events = engine.generate(question, abort.signal)[Symbol.asyncIterator]();
    // The first event is awaited, so that a question that cannot be answered gets a status of its own.
    const first = await events.next().catch((error: unknown) => error);
    if (isResult(first)) {
      const answer: Answer = { head, first, events, abort };
      return question.stream ? stream(answer, question.includeUsage) : whole(answer);
    }
    if (first instanceof EngineError && first.code === "context-overflow") {
      return refuse(400, "context-length-exceeded", first.message);
    }
    return refuse(502, "engine-failed");
  };
}

type Result = IteratorResult<EngineEvent>;

type Answer = {
  readonly head: CompletionHead;
  readonly first: Result;
  readonly events: AsyncIterator<EngineEvent>;
  readonly abort: AbortController;
};

function isResult(value: unknown): value is Result {
  return typeof value === "object" && value !== null && "done" in value && !(value instanceof Error);
}

async function whole({ head, first, events }: Answer): Promise<ExchangeAnswer> {
  let text = "";
  try {
    for (let next = first; next.done !== true; next = await events.next()) {
      if (next.value.type === "text") text += next.value.text;
      else {
        settle(events);
        return jsonAnswer(200, completion(head, text, next.value.finishReason, next.value.usage));
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

function stream(answer: Answer, includeUsage: boolean): ExchangeAnswer {
  return {
    status: 200,
    contentType: "text/event-stream; charset=utf-8",
    body: serializeEvents(answer, includeUsage),
  };
}

async function* serializeEvents(
  { head, first, events, abort }: Answer,
  includeUsage: boolean,
): AsyncGenerator<Bytes, void, undefined> {
  let delta: { readonly role?: "assistant" } = { role: "assistant" };
  try {
    for (let next = first; ; next = await events.next()) {
      if (next.done === true) throw new EngineError("engine-failed", "answer has no end");
      if (next.value.type === "text") {
        yield serializeChunk(head, { ...delta, content: next.value.text });
        delta = {};
        continue;
      }
      settle(events);
      yield serializeChunk(head, delta, next.value.finishReason);
      if (includeUsage) yield serializeUsageChunk(head, next.value.usage);
      yield doneEvent;
      return;
    }
  } catch {
    yield serializeEvent(openAiError("engine-failed", 502));
  } finally {
    // Also when who reads has left in the middle.
    abort.abort();
    await events.return?.();
  }
}

// After its last event an engine may still have to put things away; nobody waits for that.
function settle(events: AsyncIterator<EngineEvent>): void {
  events.next().catch(() => {});
}

function listModels(id: string): ExchangeAnswer {
  return jsonAnswer(200, { object: "list", data: [{ id, object: "model", created: 0, owned_by: "sotto" }] });
}

function refuse(status: number, code: string, message?: string): ExchangeAnswer {
  return jsonAnswer(status, openAiError(code, status, message));
}
