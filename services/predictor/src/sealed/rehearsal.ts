// A question that the process asks itself before it has a client: code that runs for the first time takes milliseconds,
// which nobody should have to wait for.
import { encodeUtf8 } from "@sotto/base";
import type { Engine, EngineEvent } from "./engines/engine.ts";
import { createPredictor } from "./predictor.ts";

const question = encodeUtf8(
  JSON.stringify({ stream: true, max_tokens: 8, messages: [{ role: "user", content: "Are you ready?" }] }),
);
const events: readonly EngineEvent[] = [
  { type: "text", text: "I am." },
  { type: "end", finishReason: "stop", usage: { promptTokens: 1, completionTokens: 1 } },
];

/** Asks once, and answers in the place of the engine. */
export async function rehearse(): Promise<void> {
  const engine: Engine = {
    model: "rehearsal",
    async *generate() {
      yield* events;
    },
    close: async () => {},
  };
  const handler = createPredictor({ engine, clock: () => 0, random: (length) => new Uint8Array(length) });
  const { body } = await handler({ method: "POST", path: "/v1/chat/completions", content: question });
  for await (const _piece of body);
}
