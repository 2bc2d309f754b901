// A question that the process asks itself before it has a client: code that runs for the first time takes milliseconds,
// which nobody should have to wait for.
import { Duplex } from "node:stream";
import { encodeUtf8 } from "@sotto/base";
import type { Engine, EngineEvent } from "./engines/engine.ts";
import { openOpenAiEngine } from "./engines/openai.ts";
import { createPredictor } from "./predictor.ts";

const question = encodeUtf8(
  JSON.stringify({ stream: true, max_tokens: 8, messages: [{ role: "user", content: "Are you ready?" }] }),
);
const events: readonly EngineEvent[] = [
  { type: "text", text: "I am." },
  { type: "end", finishReason: "stop", usage: { promptTokens: 1, completionTokens: 1 } },
];
const random = (length: number) => new Uint8Array(length);

/** Asks once, and answers in the place of the embedded engine. */
export function rehearse(): Promise<void> {
  return ask({
    model: "rehearsal",
    async *generate() {
      yield* events;
    },
    close: async () => {},
  });
}

/** Asks once, and answers in the place of a model server. */
export function rehearseServer(): Promise<void> {
  const connection = new AnsweringConnection();
  return ask(openOpenAiEngine({ url: "http://127.0.0.1/v1", model: "rehearsal", connection, random }));
}

async function ask(engine: Engine): Promise<void> {
  const handler = createPredictor({ engine, clock: () => 0, random });
  const { body } = await handler({ method: "POST", path: "/v1/chat/completions", content: question });
  for await (const _piece of body);
  await engine.close();
}

/** Leads nowhere, and answers the first piece that is written to it. */
class AnsweringConnection extends Duplex {
  override _read(): void {
    // The answer is pushed when there is a question.
  }

  override _write(_chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    if (!this.readableEnded && this.readableLength === 0) this.push(serverAnswer);
    callback();
  }
}

const serverAnswer = [
  "HTTP/1.1 200 OK",
  "content-type: text/event-stream",
  "connection: close",
  "",
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "I am." } }] })}`,
  "",
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}`,
  "",
  "data: [DONE]",
  "",
  "",
].join("\r\n");
