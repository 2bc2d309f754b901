// The guard over an answer: nothing leaves before it has been judged with all that came before it.
import { decodeUtf8 } from "@sotto/base";
import {
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
import type { Guard, GuardMessage, Refusal } from "@sotto/guard";

export type AnswerFilter = {
  readonly guard: Guard;
  readonly messages: readonly GuardMessage[];
  readonly onRefusal: () => void;
};

const nothingUsed: Usage = { promptTokens: 0, completionTokens: 0 };

/** A whole answer, or the refusal in its place. */
export async function filterAnswer(answer: Response, filter: AnswerFilter): Promise<Response> {
  const { guard, messages, onRefusal } = filter;
  let whole: CompletionChunk;
  try {
    whole = parseCompletionChunk(decodeUtf8(new Uint8Array(await answer.arrayBuffer())));
  } catch {
    return Response.json(openAiError("predictor-failed", 502), { status: 502 });
  }
  const { head, text, finishReason = "stop", usage = nothingUsed } = whole;
  const watch = guard.watchAnswer(messages);
  const refused = watch.push(text).refused ?? watch.finish().refused;
  if (refused === undefined) return Response.json(completion(head, text, finishReason, usage));
  onRefusal();
  const { hazard } = refused;
  return Response.json(
    completion(head, guard.refusal(hazard), "content_filter", usage, { category: hazard }),
  );
}

/** A streamed answer, cut before the piece that must not leave. */
export function filterStream(answer: Response, filter: AnswerFilter): Response {
  const body = toStream(events(answer, filter));
  return new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
}

async function* events(answer: Response, { guard, messages, onRefusal }: AnswerFilter) {
  const watch = guard.watchAnswer(messages);
  const parser = new SseParser();
  let head: CompletionHead | undefined;
  let role: { readonly role: "assistant" } | undefined = { role: "assistant" };
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
    for await (const bytes of answer.body ?? []) {
      for (const data of parser.push(bytes)) {
        if (data === "[DONE]") {
          yield doneEvent;
          return;
        }
        const chunk = parseCompletionChunk(data);
        if (chunk.failed) break;
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
        }
        if (chunk.usage !== undefined) yield serializeUsageChunk(head, chunk.usage);
      }
    }
  } catch {
    // Whatever went wrong, the client is told that the answer broke off, and nothing else.
  }
  yield serializeEvent(openAiError("predictor-failed", 502));
}

// Asks for the next piece only when the last has been taken.
function toStream(pieces: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      async pull(controller) {
        const next = await pieces.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: async () => void (await pieces.return(undefined)),
    },
    { highWaterMark: 0 },
  );
}
