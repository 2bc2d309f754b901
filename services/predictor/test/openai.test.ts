import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { encodeHex, systemRandom } from "@sotto/base";
import { doneEvent, serializeChunk, serializeUsageChunk } from "@sotto/chat";
import { type Engine, EngineError } from "../src/sealed/engines/engine.ts";
import { openOpenAiEngine } from "../src/sealed/engines/openai.ts";
import { createQuestion, readAnswer } from "./question.ts";

type Play = (response: ServerResponse) => void;

const head = { id: "x", model: "toy", created: 1 };
const piece = (content: string): Uint8Array => serializeChunk(head, { content });
const finish = (reason: "stop" | "length" | "content_filter"): Uint8Array => serializeChunk(head, {}, reason);
const usage = serializeUsageChunk(head, { promptTokens: 3, completionTokens: 2 });
const never = new AbortController().signal;

let server: Server;
let url: string;
let play: Play;
let bodies: string[] = [];
let requests: IncomingMessage[] = [];

before(async () => {
  server = createServer(async (request, response) => {
    requests.push(request);
    let body = "";
    for await (const chunk of request) body += chunk;
    bodies.push(body);
    play(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`; // listening on TCP
});
after(() => {
  server.closeAllConnections();
  server.close();
});

/** An engine of one process: it has one connection, opened by somebody else. */
const openEngine = async (random = systemRandom): Promise<Engine & { readonly connection: Socket }> => {
  const connection = connect(Number(new URL(url).port), "127.0.0.1");
  await new Promise<void>((resolve) => connection.once("connect", () => resolve()));
  return { ...openOpenAiEngine({ url, model: "toy", connection, random }), connection };
};

const ask = async (how: Play, given = {}, random = systemRandom) => {
  play = how;
  bodies = [];
  requests = [];
  const engine = await openEngine(random);
  try {
    return await readAnswer(engine.generate(createQuestion(given), never));
  } finally {
    await engine.close();
  }
};
const stream =
  (...parts: readonly (Uint8Array | string)[]): Play =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const part of parts) response.write(part);
    response.end();
  };

test("sends what was asked, what keeps it from being found again, and nothing else", async () => {
  const given = {
    model: "what the client called it",
    messages: [
      { role: "system", content: "be brief" },
      { role: "user", content: "hé 👋" },
    ],
    maxTokens: 5,
    temperature: 0,
    topP: 0.5,
    seed: 7,
    stop: ["x"],
  };
  const salt = Uint8Array.from({ length: 16 }, (_, index) => index);
  await ask(stream(finish("stop"), doneEvent), given, (length) => {
    assert.equal(length, 16);
    return salt;
  });
  assert.equal(requests[0]?.method, "POST");
  assert.equal(requests[0]?.url, "/v1/chat/completions");
  assert.deepEqual(JSON.parse(bodies[0] ?? ""), {
    model: "toy",
    messages: [
      { role: "system", content: "be brief" },
      { role: "user", content: "hé 👋" },
    ],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 5,
    temperature: 0,
    top_p: 0.5,
    seed: 7,
    stop: ["x"],
    cache_salt: encodeHex(salt),
    cache_prompt: false,
  });
  await ask(stream(finish("stop"), doneEvent));
  const names = ["model", "messages", "stream", "stream_options", "cache_salt", "cache_prompt"];
  assert.deepEqual(Object.keys(JSON.parse(bodies[0] ?? "")), names);
});

test("no two questions have the same salt, the same question twice included", async () => {
  const salts = new Set<unknown>();
  for (let asked = 0; asked < 20; asked += 1) {
    await ask(stream(finish("stop"), doneEvent));
    const body = JSON.parse(bodies[0] ?? "");
    assert.match(body.cache_salt, /^[0-9a-f]{32}$/);
    assert.equal(body.cache_prompt, false);
    salts.add(body.cache_salt);
  }
  assert.equal(salts.size, 20);
});

test("one engine has one connection, and asks for it to be closed afterwards", async () => {
  const sockets = new Set<Socket | undefined>();
  for (let asked = 0; asked < 3; asked += 1) {
    await ask(stream(finish("stop"), doneEvent));
    assert.equal(requests.length, 1);
    assert.equal(requests[0]?.headers.connection, "close");
    sockets.add(requests[0]?.socket);
  }
  assert.equal(sockets.size, 3);
});

test("a second question finds no connection", async () => {
  play = stream(piece("a"), finish("stop"), doneEvent);
  const engine = await openEngine();
  await readAnswer(engine.generate(createQuestion({}), never));
  const known = requests.length;
  await assert.rejects(readAnswer(engine.generate(createQuestion({}), never)), EngineError);
  assert.equal(requests.length, known);
});

test("a server that gives the connection up before anything is asked fails the question, not the process", async () => {
  for (const how of ["end", "resetAndDestroy"] as const) {
    const taken = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket[how]();
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const { port } = taken.address() as AddressInfo; // listening on TCP
    const connection = connect(port, "127.0.0.1");
    const lost = Promise.withResolvers<void>();
    const options = { url, model: "toy", connection, random: systemRandom };
    const engine = openOpenAiEngine({ ...options, onLost: lost.resolve });
    await lost.promise;
    await assert.rejects(readAnswer(engine.generate(createQuestion({}), never)), EngineError, how);
    taken.close();
  }
});

test("passes text on, with the reason of the end and the counts", async () => {
  const answer = await ask(stream(piece("Hel"), piece("lo é"), finish("length"), usage, doneEvent));
  assert.deepEqual(answer, {
    pieces: ["Hel", "lo é"],
    text: "Hello é",
    finishReason: "length",
    usage: { promptTokens: 3, completionTokens: 2 },
  });
  assert.equal(
    (await ask(stream(piece("a"), finish("content_filter"), doneEvent))).finishReason,
    "content_filter",
  );
});

test("understands servers that differ in detail", async () => {
  const events = (...values: readonly object[]): Play =>
    stream(...values.map((value) => `data: ${JSON.stringify(value)}\r\n\r\n`));
  const odd: [string, Play][] = [
    [
      "no [DONE]",
      events({ choices: [{ delta: { content: "a" } }] }, { choices: [{ finish_reason: "stop" }] }),
    ],
    ["no reason", stream(piece("a"), doneEvent)],
    [
      "null and unknown fields",
      events(
        { choices: [{ delta: { role: "assistant", content: null, reasoning: "x" } }], usage: null },
        { choices: [{ delta: { content: "a" }, finish_reason: "eos", index: 0 }] },
      ),
    ],
    ["comments", stream(": keep-alive\n\n", piece("a"), ": keep-alive\n\n", doneEvent)],
    ["text after [DONE]", stream(piece("a"), doneEvent, piece("b"), "data: {nonsense\n\n")],
  ];
  for (const [name, how] of odd) {
    const answer = await ask(how);
    assert.deepEqual([answer.text, answer.finishReason], ["a", "stop"], name);
  }
});

test("the end is told when the server says so, not when it closes", async () => {
  play = (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(piece("a"));
    response.write(doneEvent);
  };
  const engine = await openEngine();
  const events = engine.generate(createQuestion({}), never)[Symbol.asyncIterator]();
  assert.deepEqual((await events.next()).value, { type: "text", text: "a" });
  const end = await events.next();
  assert.ok(end.done !== true && end.value.type === "end");
  await events.return?.();
});

test("a server that fails gives one error, without a word of what it said", async () => {
  const canary = "canary-5678";
  const status =
    (code: number): Play =>
    (response) =>
      response.writeHead(code, { location: "http://example.com/" }).end(canary);
  const failing: [string, Play][] = [
    ["status 400", status(400)],
    ["status 500", status(500)],
    ["a redirect", status(307)],
    ["no answer", (response) => response.destroy()],
    ["an empty answer", stream()],
    ["not an event stream", stream(JSON.stringify({ choices: [{ message: { content: canary } }] }))],
    ["malformed json", stream(piece("a"), `data: {${canary}\n\n`)],
    ["other json", stream('data: {"choices":[{"delta":{"content":7}}]}\n\n')],
    ["impossible counts", stream('data: {"usage":{"prompt_tokens":-1,"completion_tokens":0}}\n\n')],
    ["not utf-8", stream(new Uint8Array([0x64, 0x61, 0xff, 0xfe]))],
    ["an error event", stream(piece("a"), `data: {"error":{"message":"${canary}"}}\n\n`)],
    ["an end without an end", stream(piece("a"))],
    [
      "death in the middle",
      (response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(piece("a"), () => response.destroy());
      },
    ],
  ];
  for (const [name, how] of failing) {
    await assert.rejects(ask(how), (error: unknown) => {
      assert.ok(error instanceof EngineError, name);
      assert.equal(error.code, "engine-failed", name);
      assert.ok(!error.message.includes(canary), name);
      return true;
    });
  }
  const closed = await openEngine();
  await closed.close();
  await assert.rejects(readAnswer(closed.generate(createQuestion({}), never)), EngineError);
});

test("what came before a failure was passed on", async () => {
  play = stream(piece("begun"));
  const seen: string[] = [];
  await assert.rejects(async () => {
    const engine = await openEngine();
    for await (const event of engine.generate(createQuestion({}), never)) {
      if (event.type === "text") seen.push(event.text);
    }
  }, EngineError);
  assert.deepEqual(seen, ["begun"]);
});

test("an abort, or a reader that leaves, ends the request at the server", async () => {
  for (const leave of ["abort", "return"]) {
    const gone = new Promise<void>((resolve) => {
      play = (response) => {
        response.on("close", resolve);
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(piece("a"));
      };
    });
    const abort = new AbortController();
    const engine = await openEngine();
    const events = engine.generate(createQuestion({}), abort.signal)[Symbol.asyncIterator]();
    await events.next();
    if (leave === "abort") {
      const next = events.next();
      abort.abort();
      await assert.rejects(next);
    } else await events.return?.();
    await gone;
  }
});
