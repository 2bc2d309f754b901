// A second opinion on questions, by a model that was trained to judge them, in a predictor of role `guard`. It answers as
// Llama Guard does: `safe`, or `unsafe` and a line with codes of MLCommons' hazards. Whatever else it does is a refusal.
import { decodeUtf8, encodeUtf8, readPieces } from "@sotto/base";
import { type ChatMessage, parseCompletionChunk } from "@sotto/chat";
import { sendRequest } from "@sotto/exchange";
import type { Guard, HazardId } from "@sotto/guard";
import type { ClientSession } from "@sotto/ratls";
import type { Declined, SecondOpinion } from "./orchestrator.ts";

export type GuardModelOptions = {
  /** The attested guard session whose evidence this client has been shown; good for one question. */
  readonly session: Pick<ClientSession, "request" | "close">;
  /** Knows the words of each refusal. */
  readonly guard: Pick<Guard, "refusal">;
  /** How long the model may take. */
  readonly timeoutMs: number;
};

const maxTokens = 64; // `unsafe` and every code
const maxAnswerBytes = 64 * 1024;
const unjudged: Declined = {
  category: "unjudged",
  text: "I can't answer this now, because the safety check could not be made. Please try again in a moment.",
};

const hazards: Readonly<Record<string, HazardId>> = {
  S1: "violent-crimes",
  S2: "nonviolent-crimes",
  S3: "sex-crimes",
  S4: "child-exploitation",
  S5: "defamation",
  S6: "specialized-advice",
  S7: "privacy",
  S8: "intellectual-property",
  S9: "indiscriminate-weapons",
  S10: "hate",
  S11: "self-harm",
  S12: "sexual-content",
  S13: "specialized-advice", // elections
  S14: "nonviolent-crimes", // code interpreter abuse
};

/** Wires the opinion of one session; it never rejects. */
export function createGuardModel({ session, guard, timeoutMs }: GuardModelOptions): SecondOpinion {
  return async ({ messages }) => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), timeoutMs);
    });
    const said = await Promise.race([ask(session, messages).catch(() => undefined), late]);
    clearTimeout(timer);
    session.close(); // who is late is not waited for
    const verdict = said === undefined ? undefined : readVerdict(said);
    if (verdict === "safe") return undefined;
    return verdict === undefined ? unjudged : { category: verdict, text: guard.refusal(verdict) };
  };
}

/** What the model said, to its end; throws where there is no such answer. */
async function ask(session: GuardModelOptions["session"], messages: readonly ChatMessage[]): Promise<string> {
  const question = {
    model: "guard",
    messages: takeTurns(messages),
    temperature: 0,
    max_tokens: maxTokens,
    stream: false,
  };
  const answer = await sendRequest(session, {
    method: "POST",
    authority: "guard.sotto.invalid",
    path: "/v1/chat/completions",
    contentType: "application/json",
    content: encodeUtf8(JSON.stringify(question)),
  });
  if (answer.status !== 200) throw new RangeError("guard: no answer");
  const bytes = await readPieces(answer.body, maxAnswerBytes);
  if (bytes === undefined) throw new RangeError("guard: answer is over its limit");
  const { text, failed, finishReason } = parseCompletionChunk(decodeUtf8(bytes));
  if (failed || finishReason !== "stop") throw new RangeError("guard: answer broke off");
  return text;
}

/**
 * The conversation as such models know it: user and assistant in turn, and what is asked last. Who asks writes the system's
 * words as well, and the assistant's where they begin or end a conversation, so all of these are judged as the user's.
 */
function takeTurns(messages: readonly ChatMessage[]): ChatMessage[] {
  const turns: ChatMessage[] = [];
  for (const [index, { role: given, content }] of messages.entries()) {
    const isInside = index > 0 && index < messages.length - 1;
    const role = given === "assistant" && isInside && turns.length > 0 ? "assistant" : "user";
    const last = turns.at(-1);
    if (last?.role !== role) turns.push({ role, content });
    else turns[turns.length - 1] = { role, content: `${last.content}\n\n${content}` };
  }
  return turns;
}

/** `safe`, or the first hazard that is named; undefined for every other answer. */
function readVerdict(text: string): "safe" | HazardId | undefined {
  const [verdict, codes, ...rest] = text.trim().split("\n");
  if (rest.length > 0) return undefined;
  if (codes === undefined) return verdict === "safe" ? "safe" : undefined;
  const named = codes
    .split(",")
    .map((code) => (Object.hasOwn(hazards, code.trim()) ? hazards[code.trim()] : undefined));
  if (verdict?.trimEnd() !== "unsafe" || named.includes(undefined)) return undefined;
  return named[0];
}
