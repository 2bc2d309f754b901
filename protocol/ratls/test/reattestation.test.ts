// Fresh evidence during a long answer: when it is asked for, what must come, and what happens when it does not.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import {
  type AttestationErrorCode,
  type EvidenceBundle,
  type SessionBinding,
  serializeEvidenceBundle,
} from "@sotto/attestation";
import { type Bytes, CodedError, concatBytes } from "@sotto/base";
import { bindChannel } from "../src/attest-request.ts";
import { frameType } from "../src/frame.ts";
import type { RatlsErrorCode, SessionAttester } from "../src/index.ts";
import { Reattestation } from "../src/reattestation.ts";
import type { ServerSession } from "../src/server.node.ts";
import {
  accept,
  acceptNode,
  channelOf,
  collect,
  failsWith,
  open,
  openNode,
  question,
  random,
  stage,
} from "./ends.ts";
import { frameReader, goodCertificate, rawClient, rawFrame, rawServer } from "./peer.ts";
import { type Attesting, createLink } from "./stage.ts";

const minute = 60_000;
const due = 5 * minute;
const never = { everyMs: Number.MAX_SAFE_INTEGER, everyBytes: Number.MAX_SAFE_INTEGER };
const orchestrator = stage.attester("orchestrator");
const nothing = new Uint8Array();
const piece = (text: string): Buffer => rawFrame(frameType.response, Buffer.from(text));
const end = rawFrame(frameType.end, nothing);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A clock that stands still unless it is moved. */
function createClock() {
  let now = Date.now();
  return {
    clock: () => now,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

/** An attester that remembers what it was asked, and may be told what to do before each answer. */
function createWitness(role: "orchestrator" | "predictor", before = async (_count: number) => {}) {
  const bindings: SessionBinding[] = [];
  let made = 0;
  const attester: SessionAttester = {
    attest: async (binding) => {
      bindings.push(binding);
      await before(bindings.length);
      const bundle = await stage.attester(role).attest(binding);
      made += 1;
      return bundle;
    },
  };
  const untilAsked = async (count: number): Promise<void> => {
    while (bindings.length < count) await turn();
  };
  /** Resolves when so many have been given, and sent. */
  const until = async (count: number): Promise<void> => {
    while (made < count) await turn();
    for (let turns = 0; turns < 5; turns += 1) await turn();
  };
  return { attester, bindings, until, untilAsked };
}

/** What a client reads until something goes wrong, and what that is. */
async function readAll(
  pieces: AsyncIterable<Bytes>,
): Promise<{ readonly text: string; readonly error: unknown }> {
  let text = "";
  try {
    for await (const bytes of pieces) text += Buffer.from(bytes).toString();
  } catch (error) {
    return { text, error };
  }
  return { text, error: undefined };
}

/** Answers with pieces that are read one after the other. */
async function startAnswer(pieces: AsyncIterator<Bytes>, server: ServerSession) {
  let reading: Promise<unknown> | undefined = pieces.next();
  await server.request;
  const answer = server.respond();
  const say = async (bytes: Uint8Array): Promise<void> => {
    await answer.write(bytes);
    await (reading ?? pieces.next());
    reading = undefined;
  };
  return { say, answer };
}

test("after five minutes the next piece of an answer makes the client ask, and the answer goes on", async () => {
  const { clock, pass } = createClock();
  const { attester, bindings, until } = createWitness("orchestrator");
  let flights = 0;
  const onFlight = (): void => {
    flights += 1;
  };
  const link = createLink();
  const [client, server] = await Promise.all([
    open(link.client, { clock, onFlight }),
    accept(link.server, { attester }),
  ]);
  const pieces = client.request(question);
  const { say, answer } = await startAnswer(pieces, server);
  for (const [ms, attested] of [
    [due - 1, 1],
    [1, 2],
    [due - 1, 2],
    [1, 3],
  ] as const) {
    pass(ms);
    await say(Buffer.from("x"));
    await until(attested);
    await say(Buffer.from("y"));
    assert.equal(bindings.length, attested);
  }
  await Promise.all([answer.end(), collect(pieces)]);
  assert.equal(flights, 4, "two before the answer, and two during it");
  const different = (field: "nonce" | "exporter" | "spkiDigest"): number =>
    new Set(bindings.map((binding) => Buffer.from(binding[field]).toString("hex"))).size;
  assert.deepEqual([different("nonce"), different("exporter"), different("spkiDigest")], [3, 3, 1]);
});

test("so does so much of an answer, and between nodes it is the client that asks as well", async () => {
  const reattest = { ...never, everyBytes: 1000 };
  for (const role of ["orchestrator", "predictor"] as const) {
    const { attester, bindings, until } = createWitness(role);
    const link = createLink();
    const [client, server] = await (role === "predictor"
      ? Promise.all([openNode(link.client, { reattest }), acceptNode(link.server, { attester })])
      : Promise.all([open(link.client, { reattest }), accept(link.server, { attester })]));
    const pieces = client.request(question);
    const { say, answer } = await startAnswer(pieces, server);
    await say(new Uint8Array(999));
    assert.equal(bindings.length, 1);
    await say(new Uint8Array(1));
    await until(2);
    await say(new Uint8Array(10));
    await Promise.all([answer.end(), collect(pieces)]);
    assert.equal(bindings.length, 2);
  }
});

test("a short answer has nothing to attest anew", async () => {
  const { attester, bindings } = createWitness("orchestrator");
  const link = createLink();
  const [client, server] = await Promise.all([open(link.client), accept(link.server, { attester })]);
  const answered = collect(client.request(question));
  await server.request;
  const answer = server.respond();
  for (let count = 0; count < 15; count += 1) await answer.write(new Uint8Array(1024 * 1024));
  await answer.end();
  assert.equal((await answered).length, 15 * 1024 * 1024);
  assert.equal(bindings.length, 1);
});

/** An answer whose first piece makes the client ask anew. */
async function beginAnswer(attester: SessionAttester, text: string) {
  const link = createLink();
  const [client, server] = await Promise.all([
    open(link.client, { reattest: { ...never, everyBytes: 1 } }),
    accept(link.server, { attester }),
  ]);
  const answered = readAll(client.request(question));
  await server.request;
  const answer = server.respond();
  await answer.write(Buffer.from(text));
  return { answered, answer };
}

test("the end of an answer waits for the evidence that was asked for before it", async () => {
  const gate = Promise.withResolvers<void>();
  const { attester, untilAsked } = createWitness("orchestrator", (count) =>
    count === 2 ? gate.promise : Promise.resolve(),
  );
  const { answered, answer } = await beginAnswer(attester, "all of it");
  await untilAsked(2);
  const ended = answer.end();
  gate.resolve();
  assert.deepEqual(await answered, { text: "all of it", error: undefined });
  await ended;
});

/** A server of one's own making that attests as it should, and what it can do. */
function startServer(stream: Parameters<typeof rawServer>[0], given: Attesting = {}) {
  const identity = goodCertificate();
  const socket = rawServer(stream, { cert: identity.certificate, key: identity.key });
  const read = frameReader(socket);
  /** The channel as the next attest request asks about it. */
  const bind = async (): Promise<SessionBinding> => {
    const request = await read();
    assert.equal(request?.type, frameType.attestRequest);
    const attesting = { end: "server", role: "orchestrator" } as const;
    return bindChannel(channelOf(socket), attesting, identity.spkiDigest, request?.content ?? nothing);
  };
  const show = (bundle: EvidenceBundle | Uint8Array): Buffer => {
    const content = bundle instanceof Uint8Array ? bundle : serializeEvidenceBundle(bundle);
    return rawFrame(frameType.attestResponse, content);
  };
  const begin = async (): Promise<EvidenceBundle> => {
    const first = await stage.attester("orchestrator", given).attest(await bind());
    socket.write(show(first));
    assert.equal((await read())?.type, frameType.request);
    return first;
  };
  return { socket, bind, show, begin };
}

/** What the second evidence of a session is, in the place of the right one. */
type Second = (binding: SessionBinding, first: EvidenceBundle) => Promise<EvidenceBundle | Uint8Array>;

/** Has a client asked anew, and returns how that ends. */
async function attestTwice(second: Second, given: Attesting = {}) {
  const link = createLink();
  const { socket, bind, show, begin } = startServer(link.server, given);
  const serve = async (): Promise<void> => {
    const first = await begin();
    socket.write(piece("before "));
    const shown = show(await second(await bind(), first));
    socket.write(concatBytes(piece("then "), shown, piece("after"), end));
  };
  const served = serve();
  const client = await open(link.client, { reattest: { ...never, everyBytes: 7 } });
  return { ...(await readAll(client.request(question))), served, link };
}

test("evidence that is bad, or of another node, ends the answer, and nothing that comes after it is used", async () => {
  const [peer, other] = [await stage.peer("predictor"), await stage.peer("predictor")];
  const of =
    (given: Attesting): Second =>
    (binding) =>
      stage.attester("orchestrator", given).attest(binding);
  const cases: readonly (readonly [string, RatlsErrorCode | AttestationErrorCode, Second, Attesting?])[] = [
    ["of before", "binding-mismatch", async (_binding, first) => first],
    ["nonce", "binding-mismatch", (binding) => orchestrator.attest({ ...binding, nonce: random(32) })],
    ["channel", "binding-mismatch", (binding) => orchestrator.attest({ ...binding, exporter: random(32) })],
    ["role", "wrong-role", (binding) => stage.attester("predictor").attest(binding)],
    ["none", "malformed", async () => nothing],
    ["release", "reattestation-mismatch", of({ version: "1.0.1" })],
    ["measurement", "reattestation-mismatch", of({ vcpus: "second" })],
    ["a peer more", "reattestation-mismatch", of({ peers: [peer] })],
    ["a peer less", "reattestation-mismatch", of({}), { peers: [peer] }],
    ["another peer", "reattestation-mismatch", of({ peers: [other] }), { peers: [peer] }],
  ];
  for (const [name, code, second, given] of cases) {
    const { text, error, served, link } = await attestTwice(second, given);
    assert.equal(text, "before then ", name);
    assert.ok(failsWith(code)(error), name);
    assert.ok(link.client.destroyed, name);
    await served;
  }
  const same = await attestTwice(of({ peers: [peer] }), { peers: [peer] });
  assert.deepEqual([same.text, same.error], ["before then after", undefined]);
});

/** A session whose client asks anew after the first piece, as it has, with a server of one's own making. */
async function askedAgain(options: Parameters<typeof open>[1]) {
  const link = createLink();
  const server = startServer(link.server);
  const opened = open(link.client, options);
  const begun = server.begin();
  const pieces = (await opened).request(question);
  const first = pieces.next();
  await begun;
  server.socket.write(piece("first"));
  assert.equal(Buffer.from((await first).value ?? nothing).toString(), "first");
  return { ...server, pieces, link };
}

const afterFirst = { ...never, everyBytes: 5 };

test("who is asked and does not attest has a minute and so many bytes, or until the end", async () => {
  // By the clock, though pieces go on.
  const { clock, pass } = createClock();
  const timed = await askedAgain({ clock, reattest: afterFirst });
  const wait = (ms: number, then: Uint8Array) => {
    const next = timed.pieces.next();
    pass(ms);
    timed.socket.write(then);
    return next;
  };
  pass(10 * minute); // in which nobody wanted to read
  assert.equal((await wait(minute, piece("x"))).done, false);
  await assert.rejects(wait(1, piece("y")), failsWith("reattestation-missing"));
  assert.ok(timed.link.client.destroyed);
  // By bytes, though no time passes.
  const counted = await askedAgain({ clock: createClock().clock, reattest: afterFirst });
  counted.socket.write(piece("12345"));
  assert.equal((await counted.pieces.next()).value?.length, 5);
  counted.socket.write(piece("6"));
  await assert.rejects(counted.pieces.next(), failsWith("reattestation-missing"));
  // An answer that ends before that may have been said before it was asked.
  const over = await askedAgain({ reattest: afterFirst });
  over.socket.write(concatBytes(piece("x"), end));
  over.socket.end();
  const { text, error } = await readAll(over.pieces);
  assert.deepEqual([text, error], ["x", undefined]);
});

test("an answer that has come whole is read to its end, however late", async () => {
  const { clock, pass } = createClock();
  const { socket, pieces } = await askedAgain({ clock, reattest: { ...never, everyMs: minute } });
  socket.write(concatBytes(piece("x"), piece("y"), end));
  socket.end();
  await once(socket, "close");
  pass(10 * minute);
  const { text, error } = await readAll(pieces);
  assert.deepEqual([text, error], ["xy", undefined]);
});

test("evidence that comes late is as good as none, in time it is good", async () => {
  for (const [ms, isLate] of [
    [minute, false],
    [minute + 1, true],
  ] as const) {
    const { clock, pass } = createClock();
    const { socket, bind, show, pieces } = await askedAgain({ clock, reattest: afterFirst });
    const evidence = show(await orchestrator.attest(await bind()));
    const answered = readAll(pieces);
    pass(ms);
    socket.write(concatBytes(evidence, piece("x"), end));
    const { text, error } = await answered;
    if (isLate) assert.ok(failsWith("reattestation-missing")(error));
    else assert.equal(error, undefined);
    assert.equal(text, isLate ? "" : "x");
  }
});

test("evidence comes once for each time that it was asked for, and a server asks for none", async () => {
  const { socket, bind, show, pieces } = await askedAgain({ reattest: afterFirst });
  const evidence = show(await orchestrator.attest(await bind()));
  socket.write(concatBytes(evidence, evidence, piece("x"), end));
  await assert.rejects(pieces.next(), failsWith("out-of-order"));
  const request = rawFrame(frameType.attestRequest, concatBytes(Uint8Array.of(1), random(32)));
  for (const unasked of [evidence, request]) {
    const session = await askedAgain({ reattest: never });
    session.socket.write(concatBytes(unasked, end));
    await assert.rejects(session.pieces.next(), failsWith("out-of-order"));
  }
});

/** A client of one's own making that has asked its question. */
async function pester() {
  const witness = createWitness("orchestrator");
  const link = createLink();
  const accepted = accept(link.server, witness);
  const socket: TLSSocket = rawClient(link.client);
  const read = frameReader(socket);
  const ask = (): void =>
    void socket.write(rawFrame(frameType.attestRequest, concatBytes(Uint8Array.of(1), random(32))));
  await once(socket, "secureConnect");
  ask();
  await read();
  const server = await accepted;
  socket.write(rawFrame(frameType.request, question));
  await server.request;
  return { ...witness, answer: server.respond(), socket, read, ask, link };
}

test("a server answers sixteen such requests in a session, one at a time", async () => {
  const { answer, read, ask, bindings, link } = await pester();
  await answer.write(question);
  assert.equal((await read())?.type, frameType.response);
  for (let count = 0; count < 16; count += 1) {
    ask();
    assert.equal((await read())?.type, frameType.attestResponse);
  }
  ask();
  assert.equal(await read(), undefined);
  assert.ok(link.server.destroyed);
  await assert.rejects(answer.write(question), failsWith("out-of-order"));
  assert.equal(bindings.length, 17);

  const flood = await pester();
  flood.socket.cork();
  flood.ask();
  flood.ask();
  flood.socket.uncork();
  await once(flood.link.server, "close");
  await assert.rejects(flood.answer.write(question), failsWith("out-of-order"));
  assert.ok(flood.bindings.length <= 2);
});

test("a request that is none ends the answer as failed", async () => {
  const { socket, read, answer } = await pester();
  socket.write(rawFrame(frameType.attestRequest, random(3)));
  assert.equal((await read())?.type, frameType.error);
  await assert.rejects(answer.write(question), failsWith("out-of-order"));
});

class Full extends CodedError<"busy"> {}

test("a server that cannot attest anew ends its answer as failed", async () => {
  const { attester } = createWitness("orchestrator", async (count) => {
    if (count === 2) throw new Full("busy", "too many sessions");
  });
  const { answered, answer } = await beginAnswer(attester, "some");
  const { text, error } = await answered;
  assert.equal(text, "some");
  assert.ok(failsWith("busy")(error));
  await assert.rejects(answer.write(question), failsWith("out-of-order"));
  await assert.rejects(answer.end(), failsWith("out-of-order"));
});

test("the interval begins anew with each evidence, and with a clock that was set back", () => {
  const again = new Reattestation({ everyMs: 1000, everyBytes: 100 }, 5000);
  assert.equal(again.receive(99, 5999), false);
  assert.equal(again.receive(1, 5999), true);
  again.ask(5999);
  again.wait(minute, 6000);
  again.settle(6000);
  assert.equal(again.receive(99, 6999), false);
  assert.equal(again.receive(0, 7000), true);
  again.ask(7000);
  again.wait(minute, 7000);
  assert.throws(() => again.wait(1, 7000), failsWith("reattestation-missing"));
  again.ask(7000);
  again.wait(0, 9000);
  assert.throws(() => again.wait(0, 9001), failsWith("reattestation-missing"), "read slowly");
  again.settle(7000);
  assert.equal(again.receive(1, 1000), false, "set back");
  assert.equal(again.receive(1, 1999), false);
  assert.equal(again.receive(1, 2000), true);
});
