// What happens to one opened question: checked, judged, handed to one predictor, and answered as it comes, each piece
// judged before it leaves.
import { type Clock, concatBytes, encodeHex, type Random } from "@sotto/base";
import {
  ChatError,
  type ChatRequest,
  type CompletionHead,
  completion,
  doneEvent,
  openAiError,
  parseChatRequest,
  serializeChunk,
  serializeUsageChunk,
  type Usage,
} from "@sotto/chat";
import { sendRequest } from "@sotto/exchange";
import type { Guard, Refusal } from "@sotto/guard";
import type { ClientSession } from "@sotto/ratls";
import { filterAnswer, filterStream } from "./answer-filter.ts";

/** Judges a conversation in a way of its own, beside the guard; what it cannot judge it refuses. */
export type SecondOpinion = (question: ChatRequest) => Promise<Pick<Refusal, "hazard"> | undefined>;

export type OrchestratorDependencies = {
  /** The attested predictor session whose evidence this client has been shown. */
  readonly predictor: ClientSession;
  readonly guard: Guard;
  readonly secondOpinion?: SecondOpinion | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Called when a question or an answer was refused; that, and not which. */
  readonly onRefusal: () => void;
};

const endpoint = "/v1/chat/completions";
const nothingUsed: Usage = { promptTokens: 0, completionTokens: 0 };

/** Wires the handler of one attested session; it serves one request. */
export function createOrchestrator(
  dependencies: OrchestratorDependencies,
): (request: Request) => Promise<Response> {
  const { predictor, guard, secondOpinion, onRefusal } = dependencies;
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname !== endpoint) return refuse(404, "unknown-endpoint");
    if (request.method !== "POST") return refuse(405, "method-not-allowed");
    const content = new Uint8Array(await request.arrayBuffer());
    let question: ChatRequest;
    try {
      question = parseChatRequest(content);
    } catch (error) {
      if (error instanceof ChatError) return refuse(400, error.code, error.message);
      throw error;
    }
    const verdict = guard.judgeChat(question.messages);
    const refused = verdict.decision === "refuse" ? verdict : await secondOpinion?.(question);
    if (refused !== undefined) {
      onRefusal();
      return decline(dependencies, question, refused);
    }
    let answer: Response;
    try {
      answer = await sendRequest(predictor, {
        method: "POST",
        authority: "predictor.sotto.invalid",
        path: endpoint,
        contentType: "application/json",
        content,
      });
    } catch {
      return refuse(502, "predictor-failed");
    }
    if (!answer.ok) return answer;
    const filter = { guard, messages: question.messages, onRefusal };
    return question.stream ? filterStream(answer, filter) : filterAnswer(answer, filter);
  };
}

/** A refusal is an ordinary message, so that every client shows it. */
function decline(
  { guard, clock, random }: OrchestratorDependencies,
  question: ChatRequest,
  { hazard }: Pick<Refusal, "hazard">,
): Response {
  const head: CompletionHead = {
    id: `chatcmpl-${encodeHex(random(12))}`,
    model: question.model ?? "default",
    created: Math.floor(clock() / 1000),
  };
  const text = guard.refusal(hazard);
  const filtered = { category: hazard };
  if (!question.stream) {
    return Response.json(completion(head, text, "content_filter", nothingUsed, filtered));
  }
  const events = [
    serializeChunk(head, { role: "assistant", content: text }),
    serializeChunk(head, {}, "content_filter", filtered),
    ...(question.includeUsage ? [serializeUsageChunk(head, nothingUsed)] : []),
    doneEvent,
  ];
  return new Response(concatBytes(...events), {
    headers: { "content-type": "text/event-stream; charset=utf-8" },
  });
}

function refuse(status: number, code: string, message?: string): Response {
  return Response.json(openAiError(code, status, message), { status });
}
