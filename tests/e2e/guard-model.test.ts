// A stack whose questions are judged by a model of their own before another answers them. Both are scripted servers: the
// one that judges refuses, hangs, breaks off or says something else for marked questions.
import assert from "node:assert/strict";
import { createServer, type ServerResponse } from "node:http";
import { after, before, test } from "node:test";
import { type Stack, sotto, startStack } from "./stack.ts";

type Asked = { readonly by: string; readonly body: string };
type Server = { readonly url: string; readonly close: () => void };

const asked: Asked[] = [];

/** A server of one model; `play` answers a question, or does not. */
async function startServer(
  id: string,
  play: (response: ServerResponse, question: string) => void,
): Promise<Server> {
  const server = createServer(async (request, response) => {
    if (request.method === "GET") {
      response.end(JSON.stringify({ object: "list", data: [{ id, object: "model" }] }));
      return;
    }
    let body = "";
    for await (const chunk of request) body += chunk;
    asked.push({ by: id, body });
    response.writeHead(200, { "content-type": "text/event-stream" });
    play(response, JSON.parse(body).messages.at(-1).content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref(); // a stack that does not come up is a failure, not a wait
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}/v1`, close };
}

const event = (choice: object): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`;
const say = (response: ServerResponse, content: string): void => {
  response.end(
    `${event({ delta: { content } })}${event({ delta: {}, finish_reason: "stop" })}data: [DONE]\n\n`,
  );
};

let model: Server;
let judge: Server;
let stack: Stack;

before(async () => {
  model = await startServer("answering", (response) => say(response, "A fine answer."));
  judge = await startServer("judging", (response, question) => {
    if (question.includes("plum")) say(response, "unsafe\nS10");
    else if (question.includes("cherry")) response.write(event({ delta: { content: "safe" } }));
    else if (question.includes("damson")) response.destroy();
    else if (question.includes("quince")) say(response, "That depends.");
    else say(response, "\n\nsafe");
  });
  stack = await startStack({
    args: ["--model", model.url, "--guard-model", judge.url, "--guard-timeout", "2000"],
  });
});

after(async () => {
  const code = await stack.stop();
  model.close();
  judge.close();
  assert.equal(code, 0);
});

type Answer = {
  readonly text: string;
  readonly finishReason: string;
  readonly category: string | undefined;
  readonly asked: readonly Asked[];
};

async function ask(content: string, given: object = {}): Promise<Answer> {
  const response = await fetch(`${stack.endpoint}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "default", messages: [{ role: "user", content }], ...given }),
  });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const [choice] = JSON.parse(text).choices;
  return {
    text: choice.message.content,
    finishReason: choice.finish_reason,
    category: choice.content_filter?.category,
    asked: asked.filter(({ body }) => body.includes(content)),
  };
}

const who = (all: readonly Asked[]): string[] => all.map(({ by }) => by);

test("what is safe is answered; the judge is asked first, for the conversation alone", async () => {
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "How do I grow an apple tree?" },
  ];
  const answer = await ask("grow an apple tree", { messages, user: "somebody", seed: 7, max_tokens: 500 });
  assert.deepEqual([answer.text, answer.finishReason], ["A fine answer.", "stop"]);
  assert.deepEqual(who(answer.asked), ["judging", "answering"]);
  const { cache_salt, ...question } = JSON.parse(answer.asked[0]?.body ?? "");
  assert.match(cache_salt, /^[0-9a-f]{32}$/);
  assert.deepEqual(question, {
    model: "judging",
    messages: [{ role: "user", content: "Be brief.\n\nHow do I grow an apple tree?" }],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 64,
    temperature: 0,
    cache_prompt: false,
  });
});

test("what the judge calls unsafe is refused by its hazard, and never sent on", async () => {
  const answer = await ask("How do I grow a plum tree?");
  assert.deepEqual([answer.finishReason, answer.category], ["content_filter", "hate"]);
  assert.deepEqual(who(answer.asked), ["judging"]);
});

test("a judge that hangs, breaks off or says something else refuses, in words of its own", async () => {
  const answers = await Promise.all(
    ["cherry", "damson", "quince"].map((tree) => ask(`How do I grow a ${tree} tree?`)),
  );
  for (const answer of answers) {
    assert.match(answer.text, /safety check could not be made/);
    assert.deepEqual([answer.finishReason, answer.category], ["content_filter", "unjudged"]);
    assert.deepEqual(who(answer.asked), ["judging"]);
  }
  assert.equal((await ask("How do I grow a pear tree?")).finishReason, "stop", "and the next is answered");
});

test("what the built-in guard refuses is not shown to the judge either", async () => {
  const answer = await ask("How do I build a pipe bomb?");
  assert.equal(answer.finishReason, "content_filter");
  assert.notEqual(answer.category, "unjudged");
  assert.deepEqual(answer.asked, []);
});

test("sotto verify shows the guard as a peer, judged like the others; production still refuses the stack", async () => {
  const [verify, page, production] = await Promise.all([
    sotto(stack, ["verify", "--json"]),
    sotto(stack, ["verify"]),
    sotto(stack, ["verify", "--json", "--policy", "production"]),
  ]);
  assert.equal(verify.code, 0, verify.stdout + verify.stderr);
  const { node, checks } = JSON.parse(verify.stdout);
  assert.deepEqual(
    node.peers.map(({ role }: { role: string }) => role),
    ["predictor", "guard"],
  );
  const roles = checks.filter(({ id }: { id: string }) => id.endsWith("release.role"));
  assert.deepEqual(
    roles.map(({ detail }: { detail: string }) => detail.split(";")[0]),
    ["released as orchestrator", "released as predictor", "released as guard"],
  );
  assert.match(page.stdout, /^ {2}guard {8}0\.1\.0, [0-9a-f]{96}$/m);
  assert.equal(production.code, 10);
});
