import assert from "node:assert/strict";
import { connect as connectTcp, type Socket } from "node:net";
import { after, test } from "node:test";
import type { EvidenceBundle } from "@sotto/attestation";
import { decodeUtf8, encodeUtf8 } from "@sotto/base";
import { messageType } from "@sotto/sealed";
import { type Channel, ChannelError } from "@sotto/sealed/child";
import { ResponseParser } from "@sotto/wire";
import { createStage } from "../../../protocol/ratls/test/stage.ts";
import { type Child, createChild, createChildPool } from "../../sealed/test/played-child.ts";
import type { Engine } from "../src/sealed/engines/engine.ts";
import { createSessionWork } from "../src/sealed/session-work.ts";
import type { SessionProcess } from "../src/session-process.ts";
import { type SessionServer, type SessionServerOptions, serveSessions } from "../src/session-server.ts";
import { createTurnQueue } from "../src/turn-queue.ts";
import { RawClient } from "./raw-client.ts";

const [stage, strangers] = await Promise.all([createStage(), createStage()]);
const { policy } = stage;
const orchestrator = stage.attester("orchestrator", { peers: [] });
const usage = { promptTokens: 1, completionTokens: 2 };
const bundle: EvidenceBundle = {
  snp: { report: new Uint8Array(8), certificates: new Uint8Array(8) },
  batch: { index: 0, size: 1, path: [] },
  statement: encodeUtf8("statement"),
  proof: encodeUtf8("proof"),
  layers: [],
  gpus: [],
  peers: [],
};

const servers: SessionServer[] = [];
after(() => Promise.all(servers.map((server) => server.close())));

/** What a child does; its engine does what the test says. */
const answering = (generate: Engine["generate"]) => {
  const engine: Engine = { model: "scripted", generate, close: async () => {} };
  const { serve } = createSessionWork(
    async () => engine,
    () => policy,
    "",
  );
  return (child: Child): void => {
    child.assigned.then(async () =>
      child.finish(await serve({ role: "predictor", policy, engine, takesTurns: true }, child.channel)),
    );
  };
};

type Given = Partial<SessionServerOptions> & { readonly maximum?: number };

const open = async (serve: (child: Child) => void, { maximum, ...given }: Given = {}) => {
  const children: Child[] = [];
  const outcomes: string[] = [];
  const state = { isOpen: true };
  let ended = (): void => {};
  const server = await serveSessions({
    port: 0,
    role: "predictor",
    processes: createChildPool(() => {
      const child = createChild();
      children.push(child);
      serve(child);
      return child;
    }, maximum),
    attest: async () => bundle,
    clock: Date.now,
    turns: createTurnQueue(8),
    isOpen: () => state.isOpen,
    maxConnections: 8,
    attestMs: 60_000,
    lifetimeMs: 60_000,
    onEnd: (outcome) => {
      outcomes.push(outcome);
      ended();
    },
    ...given,
  });
  servers.push(server);
  const outcome = async (): Promise<string | undefined> => {
    if (outcomes.length === 0) await new Promise<void>((resolve) => (ended = resolve));
    return outcomes.shift();
  };
  return { port: Number(new URL(server.address).port), server, outcome, children, state };
};

const unasked = answering(() => assert.fail("asked"));

const plain = (port: number): Socket => {
  const socket = connectTcp(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.resume();
  return socket;
};
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));
const question = { messages: [{ role: "user", content: "hello" }], stream: true };
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once("close", () => resolve()));

test("one connection is one attested session with one question; each piece leaves at once", async () => {
  const gate = Promise.withResolvers<void>();
  const { port, outcome } = await open(
    answering(async function* () {
      yield { type: "text", text: "one" };
      await gate.promise;
      yield { type: "text", text: " two" };
      yield { type: "end", finishReason: "stop", usage };
    }),
  );
  const client = new RawClient(port);
  await client.attest(orchestrator);
  client.ask(question);
  const parser = new ResponseParser();
  let body = "";
  const read = async (): Promise<number | undefined> => {
    const frame = await client.read();
    if (frame === undefined || frame.type !== 4) return frame?.type;
    for (const event of parser.push(frame.content)) {
      if (event.type === "head") assert.equal(event.status, 200);
      if (event.type === "content") body += decodeUtf8(event.bytes);
    }
    return frame.type;
  };
  assert.equal(await read(), 4);
  assert.match(body, /"content":"one"/, "the first piece came while the engine waits");
  gate.resolve();
  let type = await read();
  while (type === 4) type = await read();
  assert.equal(type, 5);
  parser.finish();
  assert.match(body, /"content":" two".*\[DONE\]/s);
  assert.equal(await client.read(), undefined, "the session is over");
  assert.equal(await outcome(), "answered");
});

test("a client that leaves in the middle takes its process with it", async () => {
  const { port, outcome, children } = await open(
    answering(async function* () {
      yield { type: "text", text: "one" };
      await new Promise(() => {});
    }),
  );
  const client = new RawClient(port);
  await client.attest(orchestrator);
  client.ask(question);
  assert.equal((await client.read())?.type, 4);
  client.socket.destroy();
  assert.equal(await outcome(), "failed");
  assert.equal(children.filter((child) => child.wasKilled()).length, 1);
});

test("a malformed question ends the session with a code, and nothing is asked of the engine", async () => {
  const { port } = await open(unasked);
  const client = new RawClient(port);
  await client.attest(orchestrator);
  client.send(3, encodeUtf8("GET / HTTP/1.1\r\n\r\n"));
  assert.equal((await client.read())?.type, 6);
});

test("connections over the limit are not accepted, and make room when they end", async () => {
  const { port, outcome } = await open(unasked, { maxConnections: 2 });
  const held = [new RawClient(port), new RawClient(port)];
  await Promise.all(held.map((client) => client.attest(orchestrator)));
  await closed(plain(port));
  held[0]?.socket.destroy();
  assert.equal(await outcome(), "failed", "it left without a question");
  await new RawClient(port).attest(orchestrator);
});

test("sessions for which there is no process are not accepted, and the others go on", async () => {
  const { port, outcome } = await open(unasked, { maximum: 2 });
  const held = [new RawClient(port), new RawClient(port)];
  await Promise.all(held.map((client) => client.attest(orchestrator)));
  await closed(plain(port));
  held[0]?.socket.destroy();
  assert.equal(await outcome(), "failed");
  await new RawClient(port).attest(orchestrator);
  assert.ok(!held[1]?.socket.destroyed);
});

test("who does not ask for evidence, or for anything after it, is cut in time", async () => {
  const silent = await open(unasked, { attestMs: 20 });
  await closed(plain(silent.port));
  assert.equal(await silent.outcome(), "failed");

  const short = await open(unasked, { lifetimeMs: 1000 });
  const client = new RawClient(short.port);
  await client.attest(orchestrator);
  assert.equal(await client.read(), undefined);
  assert.equal(await short.outcome(), "failed");
});

test("what is not TLS, or not this protocol, is cut", async () => {
  const { port, outcome } = await open(unasked);
  const socket = plain(port);
  socket.write("GET / HTTP/1.1\r\n\r\n");
  await closed(socket);
  assert.equal(await outcome(), "failed");
});

test("no evidence, no session: the client is told that the node is busy, or that it failed", async () => {
  for (const [error, word] of [
    [new ChannelError("busy", "too many wait"), "busy"],
    [new Error("canary"), "attest-failed"],
  ] as const) {
    const { port, outcome } = await open(unasked, { attest: () => Promise.reject(error) });
    const client = new RawClient(port);
    client.send(1, new Uint8Array(33).fill(1));
    const frame = await client.read();
    assert.deepEqual([frame?.type, decodeUtf8(frame?.content ?? new Uint8Array())], [6, word]);
    assert.equal(await outcome(), "failed");
  }
});

test("who is no orchestrator that was released is told so, and asks nothing", async () => {
  for (const attester of [stage.attester("predictor"), strangers.attester("orchestrator", { peers: [] })]) {
    const { port, outcome } = await open(unasked);
    const client = new RawClient(port);
    await client.meet();
    await client.introduce(attester);
    const said = await client.read();
    assert.deepEqual([said?.type, decodeUtf8(said?.content ?? new Uint8Array())], [6, "not-accepted"]);
    client.ask(question);
    assert.equal(await client.read(), undefined);
    assert.equal(await outcome(), "failed");
  }
  const { port, outcome } = await open(unasked);
  const client = new RawClient(port);
  await client.meet();
  client.ask(question); // without having shown anything
  assert.equal((await client.read())?.type, 1);
  assert.equal(await client.read(), undefined);
  assert.equal(await outcome(), "failed");
});

test("evidence is given again while an answer goes on, as often as the parent lets the process ask", async () => {
  const gate = Promise.withResolvers<void>();
  let now = 0;
  const { port, outcome } = await open(
    answering(async function* () {
      yield { type: "text", text: "one" };
      await gate.promise;
    }),
    { clock: () => now },
  );
  const client = new RawClient(port);
  await client.attest(orchestrator);
  client.ask(question);
  assert.equal((await client.read())?.type, 4);
  for (let count = 0; count < 2; count += 1) {
    now += 10_000;
    await client.meet();
  }
  client.send(1, new Uint8Array(33).fill(1)); // at once
  assert.equal(await client.read(), undefined);
  assert.equal(await outcome(), "failed");
});

test("close cuts every session", async () => {
  const { port, server } = await open(unasked);
  const client = new RawClient(port);
  await client.attest(orchestrator);
  await server.close();
  assert.equal(await client.read(), undefined);
});

test("while inference is off nobody is let in, and no process is taken", async () => {
  const { port, state, children, server, outcome } = await open(unasked);
  const client = new RawClient(port);
  await client.attest(orchestrator);
  await soon();
  const known = children.length;
  state.isOpen = false;
  await closed(plain(port));
  assert.equal(children.length, known);
  server.cutAll();
  assert.equal(await client.read(), undefined, "a session that was there is cut");
  assert.equal(await outcome(), "failed");
  state.isOpen = true;
  await new RawClient(port).attest(orchestrator);
});

test("inference that goes off while a connection waits for its process ends both", async () => {
  const gate = Promise.withResolvers<void>();
  const waits = Promise.withResolvers<void>();
  const child = createChild();
  const processes = {
    ...createChildPool(createChild),
    take: async (): Promise<SessionProcess> => {
      waits.resolve();
      await gate.promise;
      return child.process;
    },
  };
  const { port, state } = await open(() => {}, { processes });
  const socket = plain(port);
  await waits.promise;
  state.isOpen = false;
  gate.resolve();
  await closed(socket);
  assert.ok(child.wasKilled());
});

test("answers take turns: one that waits begins when another ends, or when who is before it leaves", async () => {
  const begun: string[] = [];
  const gates = new Map(["a", "b", "c", "d"].map((name) => [name, Promise.withResolvers<void>()]));
  const { port } = await open(
    answering(async function* (request) {
      const name = request.messages[0]?.content ?? "";
      begun.push(name);
      await gates.get(name)?.promise;
      yield { type: "end", finishReason: "stop", usage };
    }),
    { turns: createTurnQueue(1) },
  );
  const ask = async (name: string): Promise<RawClient> => {
    const client = new RawClient(port);
    await client.attest(orchestrator);
    client.ask({ messages: [{ role: "user", content: name }] });
    await soon();
    return client;
  };
  const clients = [await ask("a"), await ask("b"), await ask("c"), await ask("d")];
  assert.deepEqual(begun, ["a"]);
  clients[1]?.socket.destroy(); // while it waits
  await soon();
  gates.get("a")?.resolve();
  assert.equal((await clients[0]?.read())?.type, 4);
  while (begun.length < 2) await soon();
  assert.deepEqual(begun, ["a", "c"]);
  clients[2]?.socket.destroy(); // while it is answered
  while (begun.length < 3) await soon();
  assert.deepEqual(begun, ["a", "c", "d"]);
  gates.get("d")?.resolve();
  assert.equal((await clients[3]?.read())?.type, 4);
});

/** A child that does what the test says once its first bytes have come. */
const raw =
  (act: (channel: Channel, child: Child) => void) =>
  (child: Child): void => {
    child.channel.open("client").once("data", () => act(child.channel, child));
  };
const poke = (port: number): Socket => {
  const socket = plain(port);
  socket.write("x");
  return socket;
};

test("a process that asks for what it must not is ended", async () => {
  const misbehaving: [string, (channel: Channel) => void][] = [
    ["evidence of nothing", (channel) => channel.send(messageType.attest)],
    [
      "two turns",
      (channel) => {
        channel.send(messageType.turn);
        channel.send(messageType.turn);
      },
    ],
    ["a word of the orchestrator's", (channel) => channel.send(messageType.assign)],
  ];
  for (const [name, act] of misbehaving) {
    const { port, outcome, children } = await open(raw(act), { attest: () => assert.fail("asked") });
    await closed(poke(port));
    assert.equal(await outcome(), "failed", name);
    assert.ok(
      children.some((child) => child.wasKilled()),
      name,
    );
  }
});

test("a process that dies in the middle cuts its connection, and no other", async () => {
  const { port, outcome } = await open(
    raw((channel, child) => {
      channel.open("client").write("half");
      setTimeout(() => child.exit(70), 20);
    }),
  );
  const other = plain(port);
  const socket = poke(port);
  const heard: string[] = [];
  socket.on("data", (bytes) => heard.push(String(bytes)));
  await closed(socket);
  assert.equal(await outcome(), "failed");
  assert.deepEqual(heard, ["half"]);
  assert.ok(!other.destroyed);
});

test("a client that does not read makes its process wait, and loses nothing", async () => {
  const total = 32 * 1024 * 1024;
  let written = 0;
  const { port, outcome } = await open(
    raw((channel, child) => {
      const stream = channel.open("client");
      const piece = new Uint8Array(64 * 1024);
      const produce = (): void => {
        while (written < total) {
          written += piece.length;
          if (!stream.write(piece)) return void stream.once("drain", produce);
        }
        child.finish("answered");
      };
      produce();
    }),
  );
  const socket = connectTcp(port, "127.0.0.1");
  socket.write("x");
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(written < total / 2, "most of it has to wait");
  let read = 0;
  socket.on("data", (bytes) => {
    read += bytes.length;
  });
  await closed(socket);
  assert.equal(read, total);
  assert.equal(await outcome(), "answered");
});
