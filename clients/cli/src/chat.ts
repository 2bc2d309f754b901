// `sotto chat [QUESTION]`: one question, or a conversation that is gone when the command ends.
import { createInterface } from "node:readline/promises";
import { type PrivateFetch, SottoError, SseParser, verdictOf } from "@sotto/sdk";
import { Command, Option } from "commander";
import { connect } from "./connection.ts";
import { note, paint, reportFailure } from "./terminal.ts";

type ChatOptions = {
  readonly stack?: string;
  readonly json?: boolean;
  readonly policy: "development" | "production";
  readonly maxTokens?: string;
};
type Message = { readonly role: "user" | "assistant"; readonly content: string };

export function chatCommand(): Command {
  return new Command("chat")
    .description("ask one question, or talk when no question is given; nothing is kept")
    .argument("[question...]", "the question; - reads it from standard input")
    .option("--stack <folder>", "state folder of a running stack")
    .addOption(
      new Option("--policy <name>", "what to accept")
        .choices(["development", "production"])
        .default("development"),
    )
    .option("--max-tokens <number>", "longest answer")
    .option("--json", "print the whole answer as one line of JSON")
    .action(async (words: string[], options: ChatOptions) => {
      const privateFetch = connect(options);
      try {
        const text = words.length === 1 && words[0] === "-" ? await readInput() : words.join(" ");
        if (text !== "") await answer(privateFetch, [{ role: "user", content: text }], options);
        else await talk(privateFetch, options);
      } finally {
        privateFetch.close();
      }
    });
}

async function talk(privateFetch: PrivateFetch, options: ChatOptions): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const messages: Message[] = [];
  note("talk away; an empty line or ctrl-d ends it, and nothing is kept");
  try {
    for (;;) {
      // The session comes up while the user types.
      privateFetch.prepare().catch(() => {});
      const content = (await terminal.question("> ")).trim();
      if (content === "") return;
      messages.push({ role: "user", content });
      try {
        messages.push({ role: "assistant", content: await answer(privateFetch, messages, options) });
      } catch (error) {
        messages.pop();
        reportFailure(error);
        if (error instanceof SottoError && error.advice === "stop") throw error;
      }
    }
  } finally {
    terminal.close();
  }
}

async function answer(
  privateFetch: PrivateFetch,
  messages: readonly Message[],
  options: ChatOptions,
): Promise<string> {
  const stream = options.json !== true;
  const response = await privateFetch(`${privateFetch.baseUrl}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "default",
      messages,
      stream,
      ...(options.maxTokens === undefined ? {} : { max_tokens: Number(options.maxTokens) }),
    }),
  });
  if (!response.ok) throw await refusalOf(response);
  const overall = verdictOf(response)?.overall ?? "refused";
  if (!stream) {
    const completion: unknown = await response.json();
    process.stdout.write(`${JSON.stringify({ overall, completion })}\n`);
    return "";
  }
  let text = "";
  const parser = new SseParser();
  for await (const chunk of response.body ?? []) {
    for (const data of parser.push(chunk)) {
      const piece = data === "[DONE]" ? "" : deltaOf(data);
      text += piece;
      process.stdout.write(printable(piece));
    }
  }
  process.stdout.write("\n");
  if (process.stderr.isTTY && overall === "simulated") note(paint("simulated hardware", "warn"));
  return text;
}

function deltaOf(data: string): string {
  const chunk: unknown = JSON.parse(data);
  if (typeof chunk !== "object" || chunk === null) return "";
  if ("error" in chunk) throw new SottoError("session-lost", "the model broke off");
  if (!("choices" in chunk) || !Array.isArray(chunk.choices)) return "";
  const content: unknown = chunk.choices[0]?.delta?.content;
  return typeof content === "string" ? content : "";
}

async function refusalOf(response: Response): Promise<SottoError> {
  const body: unknown = await response.json().catch(() => undefined);
  const error = typeof body === "object" && body !== null && "error" in body ? body.error : undefined;
  const message =
    typeof error === "object" && error !== null && "message" in error
      ? String(error.message)
      : "request refused";
  return new SottoError(response.status < 500 ? "unsupported-request" : "session-lost", printable(message));
}

// A model's text must not drive the terminal.
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => (character === "\n" || character === "\t" ? character : ""));
}

async function readInput(): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) text += chunk;
  return text.trim();
}
