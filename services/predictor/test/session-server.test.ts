import assert from "node:assert/strict";
import { connect as connectTcp, type Socket } from "node:net";
import { after, test } from "node:test";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { EvidenceBundle } from "@sotto/attestation";
import {
  ByteReader,
  type Bytes,
  ByteWriter,
  concatBytes,
  decodeUtf8,
  encodeUtf8,
  systemRandom,
} from "@sotto/base";
import { ResponseParser, serializeRequest } from "@sotto/wire";
import type { Engine } from "../src/sealed/engines/engine.ts";
import { createPredictor } from "../src/sealed/predictor.ts";
import { type SessionServer, type SessionServerOptions, serveSessions } from "../src/session-server.ts";

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

const open = async (generate: Engine["generate"], given: Partial<SessionServerOptions> = {}) => {
  const outcomes: string[] = [];
  let ended = (): void => {};
  const server = await serveSessions({
    port: 0,
    attester: { attest: async () => bundle },
    handler: createPredictor({
      engine: { model: "scripted", generate, close: async () => {} },
      clock: Date.now,
      random: systemRandom,
    }),
    random: systemRandom,
    maxSessions: 2,
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
  return { port: Number(new URL(server.address).port), server, outcome };
};

type Frame = { readonly type: number; readonly content: Bytes };

/** The wire as it is, without any verification: what is tested here is the server. */
class RawClient {
  readonly socket: TLSSocket;
  readonly #bytes: AsyncIterator<Uint8Array>;
  #buffer: Bytes = new Uint8Array();

  constructor(port: number) {
    this.socket = connectTls({
      socket: connectTcp(port, "127.0.0.1"),
      ALPNProtocols: ["sotto/1"],
      ecdhCurve: "X25519MLKEM768",
      minVersion: "TLSv1.3",
      rejectUnauthorized: false, // evidence is not what is tested
    });
    this.socket.on("error", () => {});
    this.#bytes = this.socket[Symbol.asyncIterator]();
  }

  send(type: number, content: Bytes): void {
    this.socket.write(new ByteWriter().u8(type).u32(content.length).u32(0).bytes(content).finish());
  }

  async read(): Promise<Frame | undefined> {
    const head = await this.#take(9);
    if (head === undefined) return undefined;
    const reader = new ByteReader(head);
    const [type, length, padding] = [reader.u8(), reader.u32(), reader.u32()];
    const body = await this.#take(length + padding);
    return body === undefined ? undefined : { type, content: body.slice(0, length) };
  }

  async attest(): Promise<void> {
    this.send(1, new Uint8Array(33).fill(1));
    assert.equal((await this.read())?.type, 2);
  }

  ask(question: object): void {
    const request = serializeRequest({
      method: "POST",
      scheme: "https",
      authority: "predictor.sotto.invalid",
      path: "/v1/chat/completions",
      headers: [["content-type", "application/json"]],
      content: encodeUtf8(JSON.stringify(question)),
      trailers: [],
    });
    this.send(3, request);
  }

  async #take(length: number): Promise<Bytes | undefined> {
    while (this.#buffer.length < length) {
      const next = await this.#bytes.next().catch(() => ({ done: true as const, value: undefined }));
      if (next.done === true) return undefined;
      this.#buffer = concatBytes(this.#buffer, next.value);
    }
    const taken = this.#buffer.slice(0, length);
    this.#buffer = this.#buffer.slice(length);
    return taken;
  }
}

const question = { messages: [{ role: "user", content: "hello" }], stream: true };
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once("close", () => resolve()));

test("one connection is one attested session with one question; each piece leaves at once", async () => {
  const gate = Promise.withResolvers<void>();
  const { port, outcome } = await open(async function* () {
    yield { type: "text", text: "one" };
    await gate.promise;
    yield { type: "text", text: " two" };
    yield { type: "end", finishReason: "stop", usage };
  });
  const client = new RawClient(port);
  await client.attest();
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

test("a client that leaves in the middle stops the engine", async () => {
  const stopped = Promise.withResolvers<void>();
  const { port, outcome } = await open(async function* (_request, signal) {
    signal.addEventListener("abort", () => stopped.resolve());
    yield { type: "text", text: "one" };
    await stopped.promise;
    signal.throwIfAborted();
  });
  const client = new RawClient(port);
  await client.attest();
  client.ask(question);
  assert.equal((await client.read())?.type, 4);
  client.socket.destroy();
  await stopped.promise;
  await outcome();
});

test("a malformed question ends the session with a code, and nothing is asked of the engine", async () => {
  const { port } = await open(() => assert.fail("asked"));
  const client = new RawClient(port);
  await client.attest();
  client.send(3, encodeUtf8("GET / HTTP/1.1\r\n\r\n"));
  assert.equal((await client.read())?.type, 6);
});

test("sessions over the limit are not accepted, and make room when they end", async () => {
  const { port, outcome } = await open(() => assert.fail("asked"));
  const held = [new RawClient(port), new RawClient(port)];
  await Promise.all(held.map((client) => client.attest()));
  const refused = connectTcp(port, "127.0.0.1");
  refused.on("error", () => {});
  refused.resume();
  await closed(refused);
  held[0]?.socket.destroy();
  assert.equal(await outcome(), "failed", "it left without a question");
  await new RawClient(port).attest();
});

test("who does not ask for evidence, or for anything after it, is cut in time", async () => {
  const silent = await open(() => assert.fail("asked"), { attestMs: 20 });
  const idle = connectTcp(silent.port, "127.0.0.1");
  idle.on("error", () => {});
  idle.resume();
  await closed(idle);
  assert.equal(await silent.outcome(), "failed");

  const short = await open(() => assert.fail("asked"), { lifetimeMs: 1000 });
  const client = new RawClient(short.port);
  await client.attest();
  assert.equal(await client.read(), undefined);
  assert.equal(await short.outcome(), "failed");
});

test("what is not TLS, or not this protocol, is cut", async () => {
  const { port, outcome } = await open(() => assert.fail("asked"));
  const plain = connectTcp(port, "127.0.0.1");
  plain.on("error", () => {});
  plain.resume();
  plain.write("GET / HTTP/1.1\r\n\r\n");
  await closed(plain);
  assert.equal(await outcome(), "failed");
});

test("close cuts every session", async () => {
  const { port, server } = await open(() => assert.fail("asked"));
  const client = new RawClient(port);
  await client.attest();
  await server.close();
  assert.equal(await client.read(), undefined);
});
