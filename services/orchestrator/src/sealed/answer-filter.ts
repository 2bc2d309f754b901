// The guard over an answer: nothing leaves before it has been judged with all that came before it.
import { decodeUtf8, readFields, readPieces } from "@sotto/base";
import {
  ChatError,
  type CompletionChunk,
  type CompletionHead,
  completion,
  doneEvent,
  openAiError,
  parseCompletionChunk,
  SseParser,
  serializeChunk,
  serializeEvent,
  serializeUsageChunk,
  type Usage,
} from "@sotto/chat";
import { type ExchangeAnswer, jsonAnswer } from "@sotto/exchange";
import type { Guard, GuardMessage, Refusal } from "@sotto/guard";

export type AnswerFilter = {
  readonly guard: Guard;
  readonly messages: readonly GuardMessage[];
  readonly onRefusal: () => void;
};

/** Content type of answers that are streamed. */
export const eventStream = "text/event-stream; charset=utf-8";
const maxAnswerBytes = 8 * 1024 * 1024;
const nothingUsed: Usage = { promptTokens: 0, completionTokens: 0 };

/** A whole answer, or the refusal in its place. */
export async function filterAnswer(answer: ExchangeAnswer, filter: AnswerFilter): Promise<ExchangeAnswer> {
  const { guard, messages, onRefusal } = filter;
  let whole: CompletionChunk;
  try {
    whole = parseCompletionChunk(await readText(answer));
    if (whole.failed) throw brokenOff();
  } catch {
    return jsonAnswer(502, openAiError("predictor-failed", 502));
  }
  const { head, text, finishReason = "stop", usage = nothingUsed } = whole;
  const watch = guard.watchAnswer(messages);
  const refused = watch.push(text).refused ?? watch.finish().refused;
  if (refused === undefined) return jsonAnswer(200, completion(head, text, finishReason, usage));
  onRefusal();
  const { hazard } = refused;
  const filtered = { category: hazard };
  return jsonAnswer(200, completion(head, guard.refusal(hazard), "content_filter", usage, filtered));
}

/** A streamed answer, cut before the piece that must not leave. */
export function filterStream(answer: ExchangeAnswer, filter: AnswerFilter): ExchangeAnswer {
  return { status: 200, contentType: eventStream, body: events(answer, filter) };
}

async function* events(answer: ExchangeAnswer, { guard, messages, onRefusal }: AnswerFilter) {
  const watch = guard.watchAnswer(messages);
  const parser = new SseParser();
  let head: CompletionHead | undefined;
  let role: { readonly role: "assistant" } | undefined = { role: "assistant" };
  let finished = false;
  const delta = (content?: string) => {
    const first = role ?? {};
    role = undefined;
    return content === undefined ? first : { ...first, content };
  };
  function* refuse(of: CompletionHead, { hazard }: Refusal) {
    onRefusal();
    // What has left by now is harmless, and what follows is set apart from it.
    const words = guard.refusal(hazard);
    yield serializeChunk(of, delta(role === undefined ? `\n\n${words}` : words));
    yield serializeChunk(of, {}, "content_filter", { category: hazard });
    yield doneEvent;
  }
  try {
    for await (const bytes of answer.body) {
      for (const data of parser.push(bytes)) {
        if (data === "[DONE]") {
          if (!finished) throw brokenOff();
          yield doneEvent;
          return;
        }
        const chunk = parseCompletionChunk(data);
        if (chunk.failed) throw brokenOff();
        head ??= chunk.head;
        const watched = chunk.text === "" ? { release: "" } : watch.push(chunk.text);
        if (watched.release !== "") yield serializeChunk(head, delta(watched.release));
        if (watched.refused !== undefined) {
          yield* refuse(head, watched.refused);
          return;
        }
        if (chunk.finishReason !== undefined) {
          const rest = watch.finish();
          if (rest.refused !== undefined) {
            yield* refuse(head, rest.refused);
            return;
          }
          if (rest.release !== "") yield serializeChunk(head, delta(rest.release));
          yield serializeChunk(head, delta(), chunk.finishReason);
          finished = true;
        }
        if (chunk.usage !== undefined) yield serializeUsageChunk(head, chunk.usage);
      }
    }
  } catch {
    // Whatever went wrong, the client is told that the answer broke off, and nothing else.
  }
  yield serializeEvent(openAiError("predictor-failed", 502));
}

function brokenOff(): ChatError {
  return new ChatError("malformed", "answer: broke off");
}

/** The code of an error as the OpenAI API has it; throws where there is none. */
export async function readErrorCode(answer: ExchangeAnswer): Promise<string | undefined> {
  const malformed = (): Error => new TypeError("error is malformed");
  const fields = readFields(JSON.parse(await readText(answer)), malformed);
  return fields.inner("error")?.text("code", 1, 64);
}

async function readText({ body }: ExchangeAnswer): Promise<string> {
  const bytes = await readPieces(body, maxAnswerBytes);
  if (bytes === undefined) throw new RangeError("answer is over its limit");
  return decodeUtf8(bytes);
}
