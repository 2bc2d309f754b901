// A question that the process asks itself before it has a client: code that runs for the first time takes milliseconds,
// which nobody should have to wait for.
import { type Bytes, encodeUtf8 } from "@sotto/base";
import { doneEvent, serializeChunk, serializeUsageChunk } from "@sotto/chat";
import type { Guard } from "@sotto/guard";
import { ResponseSerializer } from "@sotto/wire";
import { createOrchestrator } from "./orchestrator.ts";

const head = { id: "rehearsal", model: "rehearsal", created: 0 };
const question = encodeUtf8(
  JSON.stringify({
    model: "default",
    stream: true,
    max_tokens: 8,
    messages: [
      { role: "system", content: "You are a helpful assistant." },
      { role: "user", content: "Please summarise this message: dinner moves to seven, bring the salad." },
    ],
  }),
);

/** Asks once, and answers in the place of a predictor. */
export async function rehearse(guard: Guard): Promise<void> {
  const predictor = { request: () => answer(), close: () => {} };
  const handler = createOrchestrator({
    predictor,
    guard,
    clock: () => 0,
    random: (length) => new Uint8Array(length),
    onRefusal: () => {},
  });
  const { body } = await handler({ method: "POST", path: "/v1/chat/completions", content: question });
  for await (const _piece of body);
}

async function* answer(): AsyncGenerator<Bytes, void, undefined> {
  const serializer = new ResponseSerializer();
  yield serializer.head(200, [["content-type", "text/event-stream"]]);
  for (const content of ["Dinner ", "is at ", "seven."]) {
    yield serializer.content(serializeChunk(head, { content }));
  }
  yield serializer.content(serializeChunk(head, {}, "stop"));
  yield serializer.content(serializeUsageChunk(head, { promptTokens: 1, completionTokens: 3 }));
  yield serializer.content(doneEvent);
  yield serializer.end();
}
