// One client of the soak: asks one question with a known answer, and says how that ended.
import type { Agent } from "node:http";
import { CodedError, decodeUtf8, encodeUtf8, systemRandom } from "@sotto/base";
import { sendRequest } from "@sotto/exchange";
import { openClientSession } from "@sotto/ratls";
import type { TrustPolicy } from "@sotto/sdk";
import type { Script } from "../canary/model-server.ts";
import { FlightError, OrchestratorStream } from "./orchestrator-stream.ts";

/** `answered` whole; a code of an error; or a fault: `hung`, `cut short`, `error without a code`. */
export type Ending = { readonly outcome: string; readonly isFault: boolean; readonly tookMs: number };

export type ClientOptions = {
  readonly orchestrator: string;
  readonly agent: Agent;
  readonly policy: TrustPolicy;
  readonly limitMs: number;
};

const pieces = 12;

/** What the model says to question `number`. */
export function scriptOf(question: string): Script {
  const number = /number (\d+)/.exec(question)?.[1] ?? "none";
  return { pieces: piecesOf(number), pauseMs: 15 };
}

function piecesOf(number: string): string[] {
  const middle = Array.from({ length: pieces }, (_, index) => ` The cat sleeps for ${index} hours.`);
  return [`This is about cat number ${number}.`, ...middle, ` That is all about cat number ${number}.`];
}

// What says that somebody is not who they should be must never come of a process that was killed.
const alarming =
  /refused$|mismatch|wrong-role|downgrade|^bad-|ticket|resumed|malformed|unknown-(?!session)|internal/;

/** Asks; resolves in any case, and within the limit. */
export async function ask(number: number, options: ClientOptions): Promise<Ending> {
  const startedAt = performance.now();
  const stream = new OrchestratorStream(options.orchestrator, options.agent);
  let flightError: Error | undefined;
  stream.on("error", (error) => {
    flightError = error;
  });
  let timer: NodeJS.Timeout | undefined;
  const hung = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve("hung"), options.limitMs);
  });
  const outcome = await Promise.race([
    converse(number, stream, options).catch((error: unknown) => codeOf(flightError ?? error)),
    hung,
  ]);
  clearTimeout(timer);
  stream.destroy();
  const isFault = faults.has(outcome) || alarming.test(outcome);
  return { outcome, isFault, tookMs: performance.now() - startedAt };
}

const faults: ReadonlySet<string> = new Set(["hung", "cut short", "other answer", "error without a code"]);

function codeOf(error: unknown): string {
  if (error instanceof FlightError && error.code === "refused") return error.message;
  return error instanceof CodedError ? error.code : "error without a code";
}

async function converse(
  number: number,
  stream: OrchestratorStream,
  { policy, limitMs }: ClientOptions,
): Promise<string> {
  const session = await openClientSession({
    ...{ stream, policy, role: "orchestrator", clock: Date.now, random: systemRandom },
    ...{ onFlight: () => stream.endFlight(), signal: AbortSignal.timeout(limitMs) },
  });
  const isStreamed = number % 2 === 0;
  const messages = [{ role: "user", content: `Tell me about cat number ${number}` }];
  const answer = await sendRequest(session, {
    ...{ method: "POST", authority: "orchestrator.sotto.invalid", path: "/v1/chat/completions" },
    ...{
      contentType: "application/json",
      content: encodeUtf8(JSON.stringify({ messages, stream: isStreamed })),
    },
  });
  let body = "";
  for await (const bytes of answer.body) body += decodeUtf8(bytes);
  const error = /"error":\{.*"code":"([a-z-]+)"/.exec(body)?.[1];
  if (error !== undefined) return error;
  if (/"finish_reason":"content_filter"/.test(body)) return "filtered";
  const ended = /"finish_reason":"stop"/.test(body) && (!isStreamed || body.endsWith("data: [DONE]\n\n"));
  if (!ended) return "cut short";
  return textOf(body, isStreamed) === piecesOf(String(number)).join("") ? "answered" : "other answer";
}

function textOf(body: string, isStreamed: boolean): string {
  const events = isStreamed ? body.split("\n\n").map((event) => event.replace(/^data: /, "")) : [body];
  const texts = events
    .filter((event) => event.startsWith("{"))
    .map((event) => {
      const { choices }: { choices: { delta?: { content?: string }; message?: { content?: string } }[] } =
        JSON.parse(event);
      return choices[0]?.delta?.content ?? choices[0]?.message?.content ?? "";
    });
  return texts.join("");
}
