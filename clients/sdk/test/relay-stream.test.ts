// Flights to exchanges and back to one stream of bytes: order, ends, failures, and who waits for whom.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, concatBytes, encodeUtf8 } from "@sotto/base";
import type { BinaryRequest } from "@sotto/wire";
import { RelayStream, type RelayStreamOptions } from "../src/relay-stream.ts";
import { SottoError } from "../src/sotto-error.ts";

const session = "0123456789abcdef0123456789abcdef";
const headers: [string, string][] = [["sotto-session", session]];
const hello = Uint8Array.of(22, 3, 1, 0, 4, 1, 2, 3, 4);

type Feed = AsyncGenerator<Bytes, void, undefined>;

/** What the node says to each flight: whole answers first, then streams. */
async function open(
  whole: readonly Bytes[],
  streams: readonly (() => Feed)[] = [],
  then = new SottoError("relay-unreachable", "no answer"),
) {
  const seen: { request: BinaryRequest; padTo?: number }[] = [];
  const signals: (AbortSignal | undefined)[] = [];
  let prepared = 0;
  const [answers, feeds] = [[...whole], [...streams]];
  const transport: RelayStreamOptions["transport"] = {
    exchange: async (request, padTo, signal) => {
      seen.push({ request, padTo });
      signals.push(signal);
      const content = answers.shift();
      if (content === undefined) throw then;
      return { status: 200, headers, content, trailers: [] };
    },
    prepare: async () => {
      prepared += 1;
      return { sealed: envelope };
    },
    stream: async (request, _prepared, signal) => {
      seen.push({ request });
      signals.push(signal);
      const feed = feeds.shift();
      if (feed === undefined) throw new SottoError("relay-unreachable", "no answer");
      return { status: 200, headers: [], content: feed() };
    },
  };
  const stream = new RelayStream({ transport, node: "node-1", authorization: "PrivateToken token=x" });
  return { stream, seen, signals, prepared: () => prepared };
}

// Nothing here opens an envelope; only that one is made for each streamed flight counts.
const envelope = {
  header: new Uint8Array(),
  seal: async () => new Uint8Array(),
  sealFinal: async () => new Uint8Array(),
  createResponseOpener: () => {
    throw new Error("not in this test");
  },
};

const bytes = (text: string): Bytes => encodeUtf8(text);
const text = (read: Bytes | undefined): string | undefined =>
  read === undefined ? undefined : new TextDecoder().decode(read);

async function* saying(...pieces: readonly string[]): Feed {
  for (const piece of pieces) yield bytes(piece);
}

/** Past the handshake. */
async function opened(...streams: readonly (() => Feed)[]) {
  const world = await open([bytes("server hello"), bytes("evidence")], streams);
  await world.stream.write(hello);
  await world.stream.read();
  await world.stream.write(bytes("finished"));
  world.stream.endFlight();
  await world.stream.read();
  await world.stream.prepareStreaming();
  return world;
}

test("the ClientHello leaves when its record is whole, however it is cut; later flights when they are ended", async () => {
  for (let cut = 1; cut < hello.length; cut += 1) {
    const { stream, seen } = await open([bytes("server hello"), bytes("evidence")]);
    await stream.write(hello.slice(0, cut));
    assert.equal(seen.length, 0);
    await stream.write(hello.slice(cut));
    assert.equal(text(await stream.read()), "server hello");
    await stream.write(bytes("fin"));
    await stream.write(bytes("ished"));
    assert.equal(seen.length, 1);
    stream.endFlight();
    assert.equal(text(await stream.read()), "evidence");
    assert.deepEqual(
      seen.map(({ request, padTo }) => [request.path, request.headers, request.content, padTo]),
      [
        ["/sessions", [["authorization", "PrivateToken token=x"]], hello, 3072],
        [`/sessions/${session}`, [], bytes("finished"), 1024],
      ],
    );
    assert.ok(seen.every(({ request }) => request.authority === "node-1.sotto.invalid"));
  }
});

test("a node that has nothing to say yet is asked again, a few times, without the token", async () => {
  const { stream, seen } = await open([new Uint8Array(), bytes("server hello")]);
  await stream.write(hello);
  assert.equal(text(await stream.read()), "server hello");
  assert.deepEqual(
    seen.map(({ request }) => [request.path, request.headers.length, request.content.length]),
    [
      ["/sessions", 1, hello.length],
      [`/sessions/${session}`, 0, 0],
    ],
  );
  const silent = await open(Array.from({ length: 9 }, () => new Uint8Array()));
  await silent.stream.write(hello);
  await assert.rejects(silent.stream.read(), { code: "session-lost" });
  assert.equal(silent.seen.length, 3);
});

test("an answer is pulled, one piece for each read, and no piece before", async () => {
  let said = 0;
  const { stream } = await opened(async function* () {
    for (; said < 100; said += 1) yield bytes(`piece ${said}`);
  });
  await stream.write(bytes("question"));
  stream.endFlight();
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(said, 0);
  for (let index = 0; index < 5; index += 1) {
    assert.equal(text(await stream.read()), `piece ${index}`);
    assert.equal(said, index);
  }
  stream.destroy();
  assert.equal(await stream.read(), undefined);
  assert.equal(said, 4, "the answer was let go");
});

test("a flight may leave while an earlier answer comes; bytes keep the order of the flights", async () => {
  const moved = Promise.withResolvers<void>();
  const { stream, seen, prepared } = await opened(
    async function* () {
      yield* saying("first 1", "first 2");
      await moved.promise; // the node ends this answer when the next flight has reached it
      yield* saying("first 3");
    },
    () => saying("", "second 1", "second 2"),
  );
  await stream.write(bytes("question"));
  stream.endFlight();
  assert.equal(text(await stream.read()), "first 1");
  assert.equal(text(await stream.read()), "first 2");
  const waiting = stream.read();
  await stream.write(bytes("attest again"));
  stream.endFlight();
  await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(seen.length, 4, "the flight did not wait for the answer before it");
  moved.resolve();
  const rest = [text(await waiting)];
  for (let read = await stream.read(); read !== undefined; read = await stream.read()) rest.push(text(read));
  assert.deepEqual(rest, ["first 3", "second 1", "second 2"]);
  assert.equal(stream.failure, undefined);
  assert.deepEqual(
    seen.slice(2).map(({ request }) => [request.path, text(request.content)]),
    [
      [`/sessions/${session}`, "question"],
      [`/sessions/${session}`, "attest again"],
    ],
  );
  assert.equal(prepared(), 2);
});

test("only the end of the last answer ends the stream; what is written then goes nowhere", async () => {
  const { stream, seen } = await opened(() => saying("all"));
  await stream.write(bytes("question"));
  stream.endFlight();
  assert.equal(text(await stream.read()), "all");
  assert.equal(await stream.read(), undefined);
  assert.equal(await stream.read(), undefined);
  await stream.write(bytes("more"));
  stream.endFlight();
  assert.equal(seen.length, 3);
});

test("what breaks an exchange breaks the stream, in its turn, and is kept", async () => {
  const { stream, signals } = await opened(() => saying("first"));
  await stream.write(bytes("question"));
  stream.endFlight();
  await stream.write(bytes("attest again"));
  stream.endFlight(); // refused: there is no second stream
  assert.equal(text(await stream.read()), "first");
  await assert.rejects(stream.read(), { code: "relay-unreachable" });
  assert.ok(stream.failure instanceof SottoError);
  assert.equal(await stream.read(), undefined);
  assert.ok(signals.every((signal) => signal?.aborted === true));
});

test("a node's answer without a session's name, or with another status, opens nothing", async () => {
  const { stream } = await open([]);
  await stream.write(hello);
  await assert.rejects(stream.read(), { code: "relay-unreachable" });
  const cases: [number, [string, string][], string][] = [
    [200, [], "protocol-violation"],
    [200, [["sotto-session", session.toUpperCase()]], "protocol-violation"],
    [200, [["sotto-session", `${session}/..`]], "protocol-violation"],
    [401, headers, "token-refused"],
    [403, headers, "token-refused"],
    [429, headers, "busy"],
    [503, headers, "busy"],
    [404, headers, "session-lost"],
    [204, headers, "session-lost"],
  ];
  for (const [status, told, code] of cases) {
    const exchange = async () => ({ status, headers: told, content: bytes("x"), trailers: [] });
    const unused = () => Promise.reject(new Error("not in this test"));
    const broken = new RelayStream({
      transport: { exchange, prepare: unused, stream: unused },
      node: "node-1",
      authorization: "PrivateToken token=x",
    });
    await broken.write(hello);
    await assert.rejects(broken.read(), { code }, `${status}`);
  }
});

test("a stream that is given up ends the read under way and every exchange, and blames nobody", async () => {
  const { stream, signals } = await open([bytes("server hello")]);
  const waiting = stream.read();
  stream.destroy();
  assert.equal(await waiting, undefined);
  await stream.write(hello);
  assert.equal(signals.length, 0);
  const streaming = await opened(async function* () {
    yield bytes("first");
    await new Promise<void>((_resolve, reject) => {
      streaming.signals.at(-1)?.addEventListener("abort", () => reject(new Error("aborted")));
    });
  });
  await streaming.stream.write(concatBytes(bytes("ques"), bytes("tion")));
  streaming.stream.endFlight();
  await streaming.stream.read();
  const pending = streaming.stream.read();
  streaming.stream.destroy();
  assert.equal(await pending, undefined);
  assert.equal(streaming.stream.failure, undefined);
});

test("a key that goes away costs the session once the token has been seen, and not before", async () => {
  for (const [answers, code] of [
    [[], "stale-key"],
    [[bytes("server hello")], "session-lost"],
  ] as const) {
    const stale = new SottoError("stale-key", "gateway no longer has this request key");
    const { stream } = await open(answers, [], stale);
    await stream.write(hello);
    if (answers.length > 0) {
      await stream.read();
      await stream.write(bytes("finished"));
      stream.endFlight();
    }
    await assert.rejects(stream.read(), (error) => error instanceof SottoError && error.code === code);
    assert.ok(stream.failure === stale || stream.failure?.cause === stale);
  }
});
