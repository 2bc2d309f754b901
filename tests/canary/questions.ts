// Questions with canaries in them and in their answers, asked as an app would ask them, all at once.
import { decodeUtf8, systemRandom } from "@sotto/base";
import { sendRequest } from "@sotto/exchange";
import { createPrivateFetch, MemoryTokenStore, type PrivateFetch, SottoError } from "@sotto/sdk";
import { developmentPolicy } from "@sotto/sdk/development";
import { DirectorySource } from "../../clients/sdk/src/directory-source.ts";
import { openPrivateSession } from "../../clients/sdk/src/private-session.ts";
import { Wallet } from "../../clients/sdk/src/wallet.ts";
import { makeCanary } from "./encodings.ts";
import type { Script } from "./model-server.ts";
import type { Stage } from "./stage.ts";

/** How a question is to end. */
export const kinds = ["answered", "refused", "failed", "broken", "abandoned", "too-long"] as const;
export type Kind = (typeof kinds)[number];

export type Question = {
  readonly name: string;
  readonly kind: Kind;
  readonly asked: string;
  readonly answered: string;
  readonly stream: boolean;
};

/** Makes `count` ordinary questions and one of each kind that ends otherwise. */
export function makeQuestions(count: number): Question[] {
  return makeKinds([...Array.from({ length: count }, (): Kind => "answered"), ...kinds.slice(1)]);
}

/** Makes a question of each of these kinds. */
export function makeKinds(wanted: readonly Kind[]): Question[] {
  return wanted.map((kind, index) => ({
    ...{ name: `${kind} ${index + 1}`, kind, stream: kind === "abandoned" || index % 2 === 0 },
    ...{ asked: makeCanary(systemRandom), answered: makeCanary(systemRandom) },
  }));
}

/** All canaries, by whose they are and where they stand. */
export function canariesOf(questions: readonly Question[]): Map<string, string> {
  return new Map(
    questions.flatMap(({ name, asked, answered }) => [
      [`${name}, question`, asked],
      [`${name}, answer`, answered],
    ]),
  );
}

/** What a model server says to one of these questions. */
export function scriptOf(questions: readonly Question[], text: string): Script {
  const question = questions.find(({ asked }) => text.includes(asked));
  const said = question?.answered ?? "nothing";
  const pieces = ["The name of the cat ", `is ${said}, `, "and it likes to sleep in the sun all day."];
  if (question?.kind === "failed") return { pieces, ending: "refuse" };
  if (question?.kind === "broken") return { pieces, ending: "break" };
  const more = Array.from({ length: 200 }, () => " The cat sleeps in the sun, and the dog sleeps beside it.");
  if (question?.kind === "abandoned") return { pieces: [...pieces, ...more], pauseMs: 50 };
  return { pieces };
}

const tooLong = 600 * 1024; // over the 512 KiB of a question, under what a session carries

function textOf({ kind, asked }: Question): string {
  if (kind === "refused") return `My name is ${asked} and I want to kill myself tonight.`;
  if (kind === "too-long") return `My cat is ${asked}. `.repeat(Math.ceil(tooLong / asked.length));
  return `My cat has the name ${asked}. What is a good name for a cat?`;
}

/** How a question ended; `text` is all that came of an answer. */
export type Ending = { readonly question: Question; readonly outcome: string; readonly text: string };

/**
 * Asks all questions at once; resolves when each has ended, and everything of theirs is closed. `inTheMiddle` is called
 * before a question is abandoned.
 */
export async function askAll(
  stage: Stage,
  questions: readonly Question[],
  inTheMiddle: () => void = () => {},
): Promise<Ending[]> {
  const { settings } = stage;
  const policy = developmentPolicy(settings);
  const { relay: relayUrl, issuer: issuerUrl, account, directoryKey } = settings;
  const privateFetch = createPrivateFetch({
    ...{ relayUrl, issuerUrl, account, directoryKey, policy },
    tokens: new MemoryTokenStore(),
    prepareAhead: false,
  });
  try {
    return await Promise.all(
      questions.map(async (question) => {
        const ask = question.kind === "too-long" ? askWithoutChecks(stage) : askBy(privateFetch, inTheMiddle);
        return { question, ...(await askPatiently(ask, question)) };
      }),
    );
  } finally {
    privateFetch.close();
  }
}

type Ask = (body: string, question: Question) => Promise<Omit<Ending, "question">>;

const attempts = 5;

/** As an app does that is told to come back later. */
async function askPatiently(ask: Ask, question: Question): Promise<Omit<Ending, "question">> {
  const { stream } = question;
  const body = JSON.stringify({
    model: "default",
    stream,
    messages: [{ role: "user", content: textOf(question) }],
  });
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ask(body, question);
    } catch (error) {
      if (!(error instanceof SottoError)) throw error;
      if (error.code !== "busy" || attempt === attempts) return { outcome: describe(error), text: "" };
      await new Promise((resolve) => setTimeout(resolve, 500 * attempt));
    }
  }
}

/** Codes alone: of the error and of what led to it. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const code = "code" in error ? String(error.code) : error.name;
  return error.cause === undefined ? code : `${code} for ${describe(error.cause)}`;
}

function askBy(privateFetch: PrivateFetch, inTheMiddle: () => void): Ask {
  return async (body, question) => {
    const abort = new AbortController();
    const response = await privateFetch(`${privateFetch.baseUrl}/chat/completions`, {
      ...{ method: "POST", body, signal: abort.signal },
    });
    if (question.kind !== "abandoned") return endingOf(await response.text());
    const decoder = new TextDecoder();
    let text = "";
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes, { stream: true });
      if (!text.includes(question.answered)) continue;
      inTheMiddle();
      break; // cancels the body, which ends the session
    }
    abort.abort();
    return text.includes(question.answered) ? { outcome: "abandoned", text } : endingOf(text);
  };
}

/** The SDK refuses a question that is too long before it leaves; here it leaves. */
function askWithoutChecks({ settings }: Stage): Ask {
  const policy = developmentPolicy(settings);
  const [relayUrl, issuerUrl] = [new URL("/", settings.relay).href, new URL("/", settings.issuer).href];
  const own = { clock: Date.now, random: systemRandom, fetch, timeoutMs: 30_000 };
  const { account, directoryKey } = settings;
  const { log, maxProofAgeMs } = policy;
  const directory = new DirectorySource({ relayUrl, directoryKey, log, maxProofAgeMs, ...own });
  const wallet = new Wallet({ issuerUrl, account, store: new MemoryTokenStore(), ...own });
  return async (body) => {
    const { session } = await openPrivateSession({
      ...{ relayUrl, directory, wallet, policy, ...own },
    });
    const answer = await sendRequest(session, {
      ...{ method: "POST", authority: "orchestrator.sotto.invalid", path: "/v1/chat/completions" },
      ...{ contentType: "application/json", content: new TextEncoder().encode(body) },
    });
    let text = "";
    for await (const bytes of answer.body) text += decodeUtf8(bytes);
    return endingOf(text);
  };
}

function endingOf(text: string): Omit<Ending, "question"> {
  const code = /"code":"([a-z-]+)"/.exec(text)?.[1];
  if (code !== undefined) return { outcome: code, text };
  return { outcome: /"finish_reason":"([a-z_]+)"/.exec(text)?.[1] ?? "no end", text };
}
