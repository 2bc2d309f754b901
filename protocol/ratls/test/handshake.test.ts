// What either end refuses before any evidence. Numbers are rows of the list of audit findings.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { ByteReader, type Bytes, ByteWriter, concatBytes, sha256, systemRandom } from "@sotto/base";
import { frameType } from "../src/frame.ts";
import { type ClientSession, openClientSession, RatlsError, type RatlsErrorCode } from "../src/index.ts";
import { acceptServerSession } from "../src/server.node.ts";
import { asByteStream } from "./byte-stream.ts";
import { badCertificates, selfSigned } from "./certificates.ts";
import { rawClient, rawFrame, rawServer, unmetPolicy } from "./peer.ts";
import { createLink } from "./stage.ts";

const random = systemRandom;
const attestFrameLength = 9 + 33;

const neverAttest = { attest: () => new Promise<never>(() => {}) };

/** Opens a session that nothing here can satisfy. */
function open(stream: Duplex, signal?: AbortSignal): Promise<ClientSession> {
  return openClientSession({
    stream: asByteStream(stream),
    policy: unmetPolicy,
    role: "orchestrator",
    clock: Date.now,
    random,
    ...(signal === undefined ? {} : { signal }),
  });
}

function isRefused(code: RatlsErrorCode) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof RatlsError, String(error));
    assert.equal(error.code, code);
    return true;
  };
}

/** Lets a client of any kind meet our server, and expects the server's refusal; returns what the client did. */
async function serverRefuses(
  code: RatlsErrorCode,
  options: ConnectionOptions,
  act: (client: TLSSocket) => void = () => {},
): Promise<TLSSocket> {
  const { client, server } = createLink();
  const accepted = acceptServerSession({
    stream: server,
    role: "orchestrator",
    attester: neverAttest,
    random,
  });
  const peer = rawClient(client, options);
  peer.on("secureConnect", () => act(peer));
  await assert.rejects(accepted, isRefused(code));
  assert.ok(server.destroyed, "what carried the session is closed");
  return peer.destroy();
}

/** Lets our client meet a server of any kind, and expects the client's refusal, and that it asked for nothing. */
async function clientRefuses(
  code: RatlsErrorCode,
  serve: (stream: ReturnType<typeof createLink>["server"]) => TLSSocket | undefined,
  heardBytes = 0,
): Promise<void> {
  const { client, server } = createLink();
  const heard: Buffer[] = [];
  const peer = serve(server)?.on("data", (bytes: Buffer) => {
    heard.push(bytes);
    peer?.write(rawFrame(frameType.attestResponse, new Uint8Array()));
  });
  const opened = open(client);
  await assert.rejects(opened, isRefused(code));
  assert.ok(client.destroyed, "what carried the session is closed");
  assert.equal(Buffer.concat(heard).length, heardBytes, "nothing else was asked");
  peer?.destroy();
}

test("11: the server speaks TLS 1.3 only", async () => {
  await serverRefuses("tls-version", { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" });
});

test("11: the client speaks TLS 1.3 only", async () => {
  await clientRefuses("tls-version", (stream) =>
    rawServer(stream, { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" }),
  );
});

test("11: the server resumes no session that a client offers, and takes no early data", async () => {
  const giver = startTicketServer();
  const first = rawClient(giver.stream);
  const [session]: Buffer[] = await once(first, "session");
  first.destroy();
  giver.stop();

  const hello = Promise.withResolvers<Bytes>();
  const { client, server } = createLink({
    client: (bytes) => {
      hello.resolve(bytes);
      return [bytes];
    },
  });
  const accepted = acceptServerSession({
    stream: server,
    role: "orchestrator",
    attester: neverAttest,
    random,
  });
  const peer = rawClient(client, { session });
  await once(peer, "secureConnect");
  assert.ok(parseClientHello(await hello.promise).has(extension.preSharedKey), "resumption was asked for");
  assert.equal(peer.isSessionReused(), false);
  peer.destroy();
  await assert.rejects(accepted, isRefused("truncated"));
});

test("11: the client refuses a session that brings a ticket", async () => {
  const giver = startTicketServer();
  const opened = open(giver.stream);
  await assert.rejects(opened, isRefused("session-ticket"));
  giver.stop();
});

test("11, 12: what the client offers is TLS 1.3, one hybrid group, no resumption, no early data, no name", async () => {
  const { client, server } = createLink();
  const opened = open(client);
  const [flight]: Buffer[] = await once(server, "data");
  const extensions = parseClientHello(new Uint8Array(flight ?? []));
  const hex = (type: number) => Buffer.from(extensions.get(type) ?? []).toString("hex");
  assert.equal(hex(extension.supportedVersions), "020304");
  assert.equal(hex(extension.supportedGroups), "000211ec");
  assert.match(hex(extension.keyShare), /^04c411ec04c0/); // one share of 1184 + 32 bytes
  assert.equal(hex(extension.signatureAlgorithms), "00020403");
  assert.equal(Buffer.from(extensions.get(extension.alpn) ?? []).toString(), "\0\x08\x07sotto/1");
  for (const type of [extension.preSharedKey, extension.earlyData, extension.serverName]) {
    assert.ok(!extensions.has(type), `extension ${type}`);
  }
  server.destroy();
  await assert.rejects(opened, isRefused("truncated"));
});

test("12: the server has no classical key exchange", async () => {
  await serverRefuses("classical-downgrade", { ecdhCurve: "X25519" });
  await serverRefuses("classical-downgrade", { ecdhCurve: "P-256:X25519" });
});

test("12: the client has none, whether the server only knows that or demands it", async () => {
  await clientRefuses("no-common-parameters", (stream) => rawServer(stream, { ecdhCurve: "X25519" }));
  await clientRefuses("classical-downgrade", (stream) => {
    stream.once("data", (hello: Buffer) => stream.write(demandX25519(hello, true)));
    return undefined;
  });
  await clientRefuses("classical-downgrade", (stream) => {
    stream.once("data", (hello: Buffer) => stream.write(demandX25519(hello, false)));
    return undefined;
  });
});

test("both ends insist on the application protocol", async () => {
  await serverRefuses("wrong-protocol", { ALPNProtocols: ["h2", "sotto/2"] });
  await serverRefuses("wrong-protocol", { ALPNProtocols: [] });
  await clientRefuses("wrong-protocol", (stream) => rawServer(stream, { ALPNProtocols: ["h2"] }));
  await clientRefuses("wrong-protocol", (stream) => rawServer(stream, { ALPNProtocols: [] }));
});

test("suites and signatures outside the profile are refused", async () => {
  await serverRefuses("no-common-parameters", { ciphers: "TLS_CHACHA20_POLY1305_SHA256" });
  await serverRefuses("no-common-parameters", { sigalgs: "rsa_pss_rsae_sha256" });
  const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
  await clientRefuses("no-common-parameters", (stream) =>
    rawServer(stream, { ...selfSigned(p384.publicKey, p384.privateKey), sigalgs: "ecdsa_secp384r1_sha384" }),
  );
});

test("the server is asked for evidence first, in the one form that there is", async () => {
  const nonce = random(32);
  const request = concatBytes(Uint8Array.of(1), nonce);
  const send = (bytes: Uint8Array) => (client: TLSSocket) => void client.write(bytes);
  for (const [code, bytes] of [
    ["out-of-order", rawFrame(frameType.request, Buffer.from("question"))],
    ["out-of-order", rawFrame(frameType.attestResponse, request)],
    ["out-of-order", rawFrame(frameType.end, new Uint8Array())],
    ["unknown-frame", rawFrame(0, request)],
    ["unknown-frame", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["malformed", rawFrame(frameType.attestRequest, Uint8Array.of(1))], // omitted nonce
    ["malformed", rawFrame(frameType.attestRequest, request.subarray(0, 32), new Uint8Array(1))],
    ["malformed", rawFrame(frameType.attestRequest, concatBytes(Uint8Array.of(2), nonce))],
    ["too-large", rawFrame(frameType.attestRequest, concatBytes(request, Uint8Array.of(0)))],
    ["too-large", rawFrame(frameType.attestRequest, request, new Uint8Array(1))],
    // A question that does not wait for the verdict.
    ["out-of-order", concatBytes(rawFrame(1, request), rawFrame(frameType.request, Buffer.from("question")))],
    ["out-of-order", concatBytes(rawFrame(1, request), rawFrame(1, request))],
  ] as const) {
    await serverRefuses(code, {}, send(bytes));
  }
  await serverRefuses("truncated", {}, (client) => client.end());
  await serverRefuses("truncated", {}, (client) => client.end(rawFrame(1, request).subarray(0, 20)));
});

test("the client hears nothing before it has asked", async () => {
  // With Finished, and so before the attest request can have come.
  for (const [code, type] of [
    ["out-of-order", frameType.response],
    ["out-of-order", frameType.attestRequest],
    ["unknown-frame", 8],
  ] as const) {
    const { client, server } = createLink();
    const peer = rawServer(server);
    peer.once("secure", () => peer.write(rawFrame(type, Buffer.from("answer"))));
    const opened = open(client);
    await assert.rejects(opened, isRefused(code));
    peer.destroy();
  }
});

test("32, 34: the client takes a certificate of P-256, an hour at most, valid now, signed by itself", async () => {
  for (const { why, pair } of badCertificates()) {
    // Its signature is checked while the evidence is on its way, all else before that is asked for.
    const heard = why === "not signed by itself" ? attestFrameLength : 0;
    await clientRefuses("bad-certificate", (stream) => rawServer(stream, pair), heard);
  }
});

test("an aborted session ends as such, at once, and with it its stream", async () => {
  for (const when of ["before", "during"]) {
    const aborting = new AbortController();
    if (when === "before") aborting.abort();
    const { client, server } = createLink({ server: () => [] });
    const { signal } = aborting;
    const refused = [
      open(client, signal),
      acceptServerSession({ stream: server, role: "orchestrator", attester: neverAttest, random, signal }),
    ].map((session) => assert.rejects(session, isRefused("aborted")));
    await new Promise(setImmediate);
    aborting.abort();
    await Promise.all(refused);
    assert.ok(client.destroyed && server.destroyed);
  }
});

function startTicketServer() {
  const child = spawn(process.execPath, [join(import.meta.dirname, "ticket-server.ts")], {
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  const stream = child.stdio[3];
  assert.ok(stream instanceof Socket);
  stream.on("error", () => {});
  return { stream, stop: () => child.kill() };
}

const extension = {
  serverName: 0,
  supportedGroups: 10,
  signatureAlgorithms: 13,
  alpn: 16,
  preSharedKey: 41,
  earlyData: 42,
  supportedVersions: 43,
  keyShare: 51,
} as const;

/** Extensions of a ClientHello in one record (RFC 8446 Section 4.1.2). */
function parseClientHello(record: Uint8Array): ReadonlyMap<number, Bytes> {
  const reader = new ByteReader(record);
  reader.bytes(5 + 4 + 2 + 32); // heads of record and message, version, random
  reader.vector(1, 32);
  reader.vector(2, 0xffff);
  reader.vector(1, 0xff);
  const list = new ByteReader(reader.vector(2, 0xffff));
  const extensions = new Map<number, Bytes>();
  while (list.remaining > 0) extensions.set(list.u16(), list.vector(2, 0xffff));
  return extensions;
}

/** A HelloRetryRequest or a ServerHello that picks X25519 against what was offered (RFC 8446 Section 4.1.3). */
function demandX25519(hello: Uint8Array, retry: boolean): Bytes {
  const sessionId = new ByteReader(hello.subarray(5 + 4 + 2 + 32)).vector(1, 32);
  const share = retry ? Uint8Array.of(0, 0x1d) : concatBytes(Uint8Array.of(0, 0x1d, 0, 32), random(32));
  const versions = Uint8Array.of(0, 43, 0, 2, 3, 4);
  const extensions = concatBytes(versions, new ByteWriter().u16(51).vector(2, share).finish());
  const body = new ByteWriter()
    .u16(0x0303)
    .bytes(retry ? sha256(Buffer.from("HelloRetryRequest")) : random(32))
    .vector(1, sessionId)
    .u16(0x1301)
    .u8(0)
    .vector(2, extensions)
    .finish();
  const message = new ByteWriter().u8(2).vector(3, body).finish();
  return new ByteWriter().u8(22).u16(0x0303).vector(2, message).finish();
}
