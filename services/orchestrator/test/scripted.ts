// A guard and a predictor's session that do what a test says.
import { type Bytes, concatBytes, encodeUtf8 } from "@sotto/base";
import { serializeChunk, serializeUsageChunk } from "@sotto/chat";
import type { AnswerWatch, Guard, GuardMessage, Watched } from "@sotto/guard";
import type { ClientSession } from "@sotto/ratls";
import { parseRequest, ResponseSerializer } from "@sotto/wire";

export const refusalText = "I will not help with that.";
const refused = { decision: "refuse", hazard: "privacy", layer: "rules", score: 1 } as const;

/** Refuses questions with `bad` in them and answers with `HARM`; holds back the word that is being written. */
export function createGuard(given: Partial<Guard> = {}): Guard {
  const judge: Guard["judge"] = (text) => (text.includes("bad") ? refused : { decision: "allow" });
  return {
    version: 1,
    judge,
    judgeChat: (messages) => judge(messages.map(({ content }) => content).join("\n")),
    watchAnswer: createWatch,
    refusal: (hazard) => `${refusalText} (${hazard})`,
    ...given,
  };
}

function createWatch(_messages?: readonly GuardMessage[]): AnswerWatch {
  let all = "";
  let out = 0;
  const release = (end: number): Watched => {
    const text = all.slice(out, end);
    if (all.slice(0, end).includes("HARM")) return { release: "", refused };
    out = end;
    return { release: text };
  };
  const watch = {
    push: (piece: string) => {
      all += piece;
      return release(Math.max(out, all.lastIndexOf(" ") + 1));
    },
    finish: () => release(all.length),
  };
  // Has what the class shows; its private fields are nobody else's business.
  return watch as AnswerWatch;
}

export type Asked = { readonly path: string; readonly content: Bytes };

export type ScriptedPredictor = {
  readonly session: ClientSession;
  readonly asked: Asked[];
  readonly isClosed: () => boolean;
  /** Pieces of the answer that have been taken. */
  readonly taken: () => number;
};

/** A session whose answer has these pieces; one that is an error breaks the session off. */
export function createPredictor(
  pieces: Iterable<Bytes | Error> | AsyncIterable<Bytes | Error>,
  { status = 200, contentType = "application/json" } = {},
): ScriptedPredictor {
  const asked: Asked[] = [];
  let closed = false;
  let taken = 0;
  async function* request(content: Bytes): AsyncGenerator<Bytes, void, undefined> {
    const { path, content: body } = parseRequest(content);
    asked.push({ path, content: body });
    const serializer = new ResponseSerializer();
    try {
      yield serializer.head(status, [["content-type", contentType]]);
      for await (const piece of pieces) {
        if (closed) return;
        if (piece instanceof Error) throw piece;
        taken += 1;
        yield serializer.content(piece);
      }
      yield serializer.end();
    } finally {
      closed = true;
    }
  }
  const close = (): void => {
    closed = true;
  };
  const session: Omit<ClientSession, "node" | "evidence"> = { request, isOpen: () => !closed, close };
  // What was verified about the node is not looked at here, and only verification can make it.
  return { session: session as ClientSession, asked, isClosed: () => closed, taken: () => taken };
}

export const head = { id: "chatcmpl-predictor", model: "toy", created: 7 };
export const usage = { promptTokens: 3, completionTokens: 2 };

/** The events of a streamed answer before its `[DONE]`. */
export const eventsOf = (texts: readonly string[], finish: "stop" | "length" = "stop"): Bytes[] => [
  serializeChunk(head, { role: "assistant" }),
  ...texts.map((content) => serializeChunk(head, { content })),
  serializeChunk(head, {}, finish),
  serializeUsageChunk(head, usage),
];

/** A whole answer with this text. */
export const wholeOf = (content: string, finish = "stop"): Bytes =>
  encodeUtf8(
    JSON.stringify({
      ...head,
      choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: finish }],
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    }),
  );

/** The same bytes in other pieces. */
export function* cutInto(bytes: Bytes, length: number): Generator<Bytes> {
  for (let offset = 0; offset < bytes.length; offset += length) yield bytes.slice(offset, offset + length);
}

export const joinOf = (pieces: readonly Bytes[]): Bytes => concatBytes(...pieces);
