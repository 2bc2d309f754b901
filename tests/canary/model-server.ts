// A server of the OpenAI API that says what a test tells it to. To the stack it is what a model server is: external, in
// the same machine as the predictor, given the text in clear, and no process of the stack.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What is answered to a question: pieces of text, and how it ends. */
export type Script = {
  readonly pieces: readonly string[];
  readonly pauseMs?: number;
  /** `break` closes the connection after the pieces; `refuse` answers with an error that quotes them. */
  readonly ending?: "stop" | "break" | "refuse";
};

export type ModelServer = {
  /** Base URL, as `--model` takes it. */
  readonly url: string;
  readonly asked: () => number;
  readonly close: () => void;
};

/** Listens on loopback; `scriptFor` finds the script of a question by its last message. */
export async function openModelServer(scriptFor: (question: string) => Script): Promise<ModelServer> {
  let asked = 0;
  const server = createServer((incoming, outgoing) => {
    outgoing.on("error", () => {});
    if (incoming.method === "GET") {
      outgoing.end(JSON.stringify({ object: "list", data: [{ id: "scripted" }] }));
      return;
    }
    asked += 1;
    answer(incoming, outgoing, scriptFor).catch(() => outgoing.destroy());
  });
  server.keepAliveTimeout = 120_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // listening on TCP
  return {
    url: `http://127.0.0.1:${port}/v1`,
    asked: () => asked,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  scriptFor: (question: string) => Script,
): Promise<void> {
  let body = "";
  for await (const piece of incoming.setEncoding("utf8")) body += piece;
  const { messages }: { messages: { content: string }[] } = JSON.parse(body);
  const { pieces, pauseMs = 0, ending = "stop" } = scriptFor(messages.at(-1)?.content ?? "");
  if (ending === "refuse") {
    outgoing.writeHead(500, { "content-type": "application/json" });
    outgoing.end(JSON.stringify({ error: { message: pieces.join(""), code: pieces.join("") } }));
    return;
  }
  outgoing.writeHead(200, { "content-type": "text/event-stream" });
  const say = (delta: object, finish: string | null = null): void => {
    const choices = [{ index: 0, delta, finish_reason: finish }];
    outgoing.write(`data: ${JSON.stringify({ id: "x", model: "scripted", created: 1, choices })}\n\n`);
  };
  for (const content of pieces) {
    if (outgoing.destroyed) return;
    say({ content });
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  if (ending === "break") {
    outgoing.destroy();
    return;
  }
  say({}, "stop");
  const usage = { prompt_tokens: 1, completion_tokens: pieces.length };
  outgoing.write(`data: ${JSON.stringify({ choices: [], usage })}\n\n`);
  outgoing.end("data: [DONE]\n\n");
}
