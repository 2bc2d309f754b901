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
import {
  type ExchangeAnswer,
  jsonAnswer,
  type RequestHandler,
  sendRequest,
  wholeAnswer,
} from "@sotto/exchange";
import type { Guard, HazardId } from "@sotto/guard";
import type { ClientSession } from "@sotto/ratls";
import { eventStream, filterAnswer, filterStream, readErrorCode } from "./answer-filter.ts";

/** What is said in the place of an answer, and why: a hazard, or that the question could not be judged. */
export type Declined = { readonly text: string; readonly category: HazardId | "unjudged" };

/** Judges a conversation in a way of its own, beside the guard; what it cannot judge it declines. */
export type SecondOpinion = (question: ChatRequest) => Promise<Declined | undefined>;

export type OrchestratorDependencies = {
  /** The attested predictor session whose evidence this client has been shown. */
  readonly predictor: Pick<ClientSession, "request" | "close">;
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
export function createOrchestrator(dependencies: OrchestratorDependencies): RequestHandler {
  const { predictor, guard, secondOpinion, onRefusal } = dependencies;
  return async ({ method, path, content }) => {
    if (path !== endpoint) return refuse(404, "unknown-endpoint");
    if (method !== "POST") return refuse(405, "method-not-allowed");
    let question: ChatRequest;
    try {
      question = parseChatRequest(content);
    } catch (error) {
      if (error instanceof ChatError) return refuse(400, error.code, error.message);
      throw error;
    }
    const declined = judge(guard, question) ?? (await secondOpinion?.(question));
    if (declined !== undefined) {
      onRefusal();
      return decline(dependencies, question, declined);
    }
    let answer: ExchangeAnswer;
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
    if (answer.status !== 200) return passRefusal(answer);
    const filter = { guard, messages: question.messages, onRefusal };
    return question.stream ? filterStream(answer, filter) : filterAnswer(answer, filter);
  };
}

// What a predictor may say besides an answer; its words are said here, so that none of a model's pass unjudged.
const predictorRefusals: Readonly<Record<string, readonly [status: number, message: string]>> = {
  "context-length-exceeded": [400, "question is longer than the context"],
  "engine-failed": [502, "engine failed"],
};

async function passRefusal(answer: ExchangeAnswer): Promise<ExchangeAnswer> {
  const code = await readErrorCode(answer).catch(() => undefined);
  const known = code === undefined ? undefined : predictorRefusals[code];
  if (code === undefined || known?.[0] !== answer.status) return refuse(502, "predictor-failed");
  return refuse(known[0], code, known[1]);
}

function judge(guard: Guard, { messages }: ChatRequest): Declined | undefined {
  const verdict = guard.judgeChat(messages);
  if (verdict.decision === "allow") return undefined;
  return { text: guard.refusal(verdict.hazard), category: verdict.hazard };
}

/** A refusal is an ordinary message, so that every client shows it. */
function decline(
  { clock, random }: OrchestratorDependencies,
  question: ChatRequest,
  { text, category }: Declined,
): ExchangeAnswer {
  const head: CompletionHead = {
    id: `chatcmpl-${encodeHex(random(12))}`,
    model: question.model ?? "default",
    created: Math.floor(clock() / 1000),
  };
  const filtered = { category };
  if (!question.stream) {
    return jsonAnswer(200, completion(head, text, "content_filter", nothingUsed, filtered));
  }
  const events = [
    serializeChunk(head, { role: "assistant", content: text }),
    serializeChunk(head, {}, "content_filter", filtered),
    ...(question.includeUsage ? [serializeUsageChunk(head, nothingUsed)] : []),
    doneEvent,
  ];
  return wholeAnswer(200, eventStream, concatBytes(...events));
}

function refuse(status: number, code: string, message?: string): ExchangeAnswer {
  return jsonAnswer(status, openAiError(code, status, message));
}
