// Whole sessions with evidence of simulated hardware, and attacks on them. Numbers are rows of the list of audit
// findings.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import {
  AttestationError,
  type AttestationErrorCode,
  amdRoots,
  type EvidenceBundle,
  serializeEvidenceBundle,
  verifyNode,
} from "@sotto/attestation";
import { type Bytes, CodedError, concatBytes, copyBytes } from "@sotto/base";
import { connectChannel } from "#connect";
import { bindChannel } from "../src/attest-request.ts";
import { frameType } from "../src/frame.ts";
import { type ClientSession, openClientSession, type RatlsErrorCode } from "../src/index.ts";
import type { ServerSession } from "../src/server.node.ts";
import { TlsChannel } from "../src/tls-channel.browser.ts";
import { isBrowserBuild, skippedInBrowser } from "./byte-stream.ts";
import {
  accept,
  channelOf,
  collect,
  echo,
  failsWith,
  open,
  type PuppetOptions,
  question,
  random,
  stage,
  startPuppet,
} from "./ends.ts";
import { goodCertificate, rawClient, rawFrame, rawServer } from "./peer.ts";
import { createLink, type Tap } from "./stage.ts";

const attestFrameLength = 9 + 33;

async function puppetIsRefused(
  code: RatlsErrorCode | AttestationErrorCode,
  options: PuppetOptions,
  client: Parameters<typeof open>[1] = {},
): Promise<unknown> {
  const link = createLink();
  const heard = startPuppet(link.server, options);
  let refusal: unknown;
  await assert.rejects(open(link.client, client), (error) => {
    refusal = error;
    return failsWith(code)(error);
  });
  assert.ok(link.client.destroyed);
  assert.equal(heard().length, attestFrameLength, "nothing but the attest request was said");
  return refusal;
}

test("a question goes in and its answer comes out, from a node that was verified", async () => {
  const link = createLink();
  const [client, server] = await Promise.all([open(link.client), accept(link.server)]);
  assert.equal(client.node.role, "orchestrator");
  assert.equal(client.node.verdict.overall, "simulated");
  assert.ok(client.isOpen());
  const again = { ...client.evidence, policy: stage.policy, nowMs: Date.now() };
  assert.equal((await verifyNode(again)).role, "orchestrator");
  const served = echo(server, 3);
  const answer = await collect(client.request(question, { padTo: 4096 }));
  assert.equal(Buffer.from(answer).toString(), Buffer.from(question).toString().repeat(3));
  await served;
  assert.ok(!client.isOpen());
  await assert.rejects(collect(client.request(question)), failsWith("out-of-order"));
});

test("an orchestrator that shows no predictor is asked nothing", async () => {
  const guard = await stage.peer("guard");
  for (const peers of [[], [guard]]) {
    const { attest } = stage.attester("orchestrator", { peers });
    await puppetIsRefused("predictor-refused", { attest });
  }
  const link = createLink();
  startPuppet(link.server, stage.attester("orchestrator", { peers: [guard, await stage.peer("predictor")] }));
  (await open(link.client)).close();
});

test("each platform's client stands on its own TLS", () => {
  const { stream } = createLink();
  const options = { alpn: "x", allowClassical: false, random, judgeCertificate: (der: Bytes) => der };
  const channel = connectChannel(stream, options);
  assert.equal(channel instanceof TlsChannel, isBrowserBuild);
  channel.handle({ secure: () => {}, data: () => {}, fail: () => {} });
  channel.destroy();
  assert.ok(channel.isDestroyed());
});

test("in Node a session takes Node's streams as they are", {
  skip: skippedInBrowser("there are none there"),
}, async () => {
  const link = createLink();
  const own = { policy: stage.policy, role: "orchestrator", clock: Date.now, random } as const;
  const opened = openClientSession({ stream: link.client, ...own });
  const [client, server] = await Promise.all([opened, accept(link.server)]);
  const [answer] = await Promise.all([collect(client.request(question)), echo(server)]);
  assert.deepEqual(answer, question);
  assert.ok(link.client.destroyed);
});

test("the largest question and a long answer arrive whole", async () => {
  const link = createLink();
  const [client, server] = await Promise.all([open(link.client), accept(link.server)]);
  const large = random(65536).fill(7, 100);
  const content = concatBytes(...Array.from({ length: 16 }, () => large));
  const [answer] = await Promise.all([collect(client.request(content)), echo(server, 2)]);
  assert.deepEqual(answer, concatBytes(content, content));

  const other = createLink();
  const [second] = await Promise.all([open(other.client), accept(other.server)]);
  await assert.rejects(collect(second.request(new Uint8Array(1024 * 1024 + 1))), failsWith("too-large"));
});

test("a client that does not read on makes its server wait, and loses nothing", async () => {
  let written = 0;
  const link = createLink({
    server: (bytes) => {
      written += bytes.length;
      return [bytes];
    },
  });
  const [client, server] = await Promise.all([open(link.client), accept(link.server)]);
  const pieces = client.request(new Uint8Array(512 * 1024).fill(1));
  const served = pieces.next().then(() => undefined);
  const answered = echo(server, 16);
  await served;
  for (let turns = 0; turns < 500; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(written < 2 * 1024 * 1024, `${written} bytes were sent to nobody`);
  const [rest] = await Promise.all([collect(pieces), answered]);
  assert.equal(rest.length, 16 * 512 * 1024 - 64 * 1024);
});

test("sessions do not mix", async () => {
  const runs = Array.from({ length: 8 }, async (_, index) => {
    const link = createLink();
    const [client, server] = await Promise.all([open(link.client), accept(link.server)]);
    const content = new Uint8Array(100).fill(index);
    const [answer] = await Promise.all([collect(client.request(content)), echo(server)]);
    assert.deepEqual(answer, content);
    return Buffer.from(client.evidence.binding.exporter).toString("hex");
  });
  assert.equal(new Set(await Promise.all(runs)).size, 8);
});

test("three flights each way, and the server knows when each of its own is whole", async () => {
  const events: string[] = [];
  const note =
    (name: string): Tap =>
    (bytes) => {
      if (events.at(-1) !== name) events.push(name);
      return [bytes];
    };
  const link = createLink({ client: note("client"), server: note("server") });
  const onFlight = () => events.push("whole");
  const [client, server] = await Promise.all([open(link.client), accept(link.server, { onFlight })]);
  const served = echo(server, 3);
  await collect(client.request(question));
  await served;
  // Finished and the attest request are one flight of the client's.
  assert.deepEqual(events, [
    "client",
    "server",
    "whole",
    "client",
    "server",
    "whole",
    "client",
    "server",
    "whole",
  ]);
});

test("lengths show in steps only, and a failed answer's as an ended one's", async () => {
  const written = async (size: number, act: (session: ServerSession) => Promise<void>): Promise<number> => {
    let total = 0;
    const link = createLink({
      server: (bytes) => {
        total += bytes.length;
        return [bytes];
      },
    });
    const [client, server] = await Promise.all([open(link.client), accept(link.server)]);
    total = 0;
    const answered = collect(client.request(new Uint8Array(size).fill(1)));
    await Promise.allSettled([answered, act(server)]);
    return total;
  };
  assert.equal(await written(1, echo), await written(256, echo));
  assert.notEqual(await written(256, echo), await written(257, echo));
  const end = (session: ServerSession) => session.respond().end();
  const fail = (code: string) => (session: ServerSession) => session.respond().fail(code);
  assert.equal(await written(1, end), await written(1, fail("x")));
  assert.equal(await written(1, end), await written(1, fail("model-is-unavailable")));
});

test("7: evidence of an earlier session is refused", async () => {
  let earlier: EvidenceBundle | undefined;
  const link = createLink();
  startPuppet(link.server, {
    attest: async (binding) => {
      earlier = await stage.attester("orchestrator").attest(binding);
      return earlier;
    },
  });
  (await open(link.client)).close();
  const replay = async () => earlier ?? assert.fail("no earlier session");
  const refusal = await puppetIsRefused("binding-mismatch", { attest: replay });
  assert.ok(refusal instanceof AttestationError);
  const failed = refusal.verdict?.checks.filter(({ status }) => status === "fail").map(({ id }) => id);
  assert.deepEqual(failed, ["binding.report-data"]);
});

test("7: evidence for another nonce, key, exporter or request is refused", async () => {
  const { attest } = stage.attester("orchestrator");
  for (const field of ["nonce", "spkiDigest", "exporter", "requestDigest"] as const) {
    await puppetIsRefused("binding-mismatch", {
      attest: (binding) => attest({ ...binding, [field]: random(32) }),
    });
  }
});

test("20: a genuine node of another role is refused", async () => {
  const predictor = stage.attester("predictor");
  await puppetIsRefused("binding-mismatch", { role: "predictor" });
  await puppetIsRefused("wrong-role", { attest: predictor.attest }); // claims the role, shows its own release
});

test("simulated hardware does not pass a production policy", async () => {
  const policy = { ...stage.policy, profile: "production", roots: amdRoots } as const;
  await puppetIsRefused("untrusted-root", {}, { policy });
});

test("evidence that cannot be read is refused", async () => {
  await puppetIsRefused("malformed", { attest: async () => new Uint8Array() });
  await puppetIsRefused("malformed", { attest: async () => Uint8Array.of(1, 2, 3) });
  await puppetIsRefused("too-large", { attest: async () => new Uint8Array(256 * 1024 + 1) });
  const { attest } = stage.attester("orchestrator");
  await puppetIsRefused("malformed", {
    attest: async (binding) => concatBytes(serializeEvidenceBundle(await attest(binding)), Uint8Array.of(0)),
  });
});

test("12: classical key exchange happens only where both ends ask for it", async () => {
  const link = createLink();
  startPuppet(link.server, { group: "X25519" });
  assert.equal(
    (await open(link.client, { policy: { ...stage.policy, allowClassical: true } })).node.role,
    "orchestrator",
  );
  const hybrid = createLink();
  accept(hybrid.server, { allowClassical: true }).catch(() => {});
  assert.equal((await open(hybrid.client)).node.role, "orchestrator");
  const both = createLink();
  accept(both.server, { allowClassical: true }).catch(() => {});
  const peer = rawClient(both.client, { ecdhCurve: "X25519" });
  await new Promise((resolve) => peer.once("secureConnect", resolve));
  assert.deepEqual(peer.getEphemeralKeyInfo(), { type: "ECDH", name: "X25519", size: 253 });
  peer.destroy();
});

test("an answer that is not one is refused, and what came of it before is not lost", async () => {
  const piece = rawFrame(frameType.response, Buffer.from("so far"));
  const end = rawFrame(frameType.end, new Uint8Array());
  const cases: readonly (readonly [RatlsErrorCode, Uint8Array, boolean])[] = [
    ["truncated", new Uint8Array(), true],
    ["truncated", end.subarray(0, 8), true],
    ["truncated", rawFrame(frameType.response, Buffer.from("more")).subarray(0, 12), true],
    ["peer-failed", rawFrame(frameType.error, Buffer.from("internal")), false],
    ["unknown-frame", rawFrame(8, Buffer.from("?")), false],
    ["out-of-order", rawFrame(frameType.accepted, new Uint8Array()), false],
    ["unknown-frame", rawFrame(255, Buffer.from("?")), false],
    ["out-of-order", rawFrame(frameType.attestResponse, Buffer.from("again")), false],
    ["out-of-order", rawFrame(frameType.request, Buffer.from("again")), false],
    ["out-of-order", concatBytes(end, piece), false],
    ["out-of-order", concatBytes(end, end), false],
    ["malformed", rawFrame(frameType.end, Buffer.from("end")), false],
    ["malformed", rawFrame(frameType.response, Buffer.from("x"), Uint8Array.of(0, 1)), false],
    ["too-large", rawFrame(frameType.response, new Uint8Array(64 * 1024 + 1)), false],
    ["too-large", rawFrame(frameType.response, new Uint8Array(1), new Uint8Array(64 * 1024)), false],
  ];
  for (const [code, bytes, closes] of cases) {
    const link = createLink();
    startPuppet(link.server, {
      onRequest: (socket) => {
        socket.write(piece, () => {
          socket.write(bytes);
          if (closes) socket.end();
        });
      },
    });
    const client = await open(link.client);
    let heard = "";
    const reading = (async () => {
      for await (const chunk of client.request(question)) heard += Buffer.from(chunk).toString();
    })();
    await assert.rejects(reading, failsWith(code));
    assert.equal(heard, "so far");
    assert.ok(link.client.destroyed);
  }
});

test("a node that speaks before it is asked loses its session", async () => {
  const link = createLink();
  const server = await new Promise<{ client: ClientSession; socket: TLSSocket }>((resolve) => {
    const identity = goodCertificate();
    const socket = rawServer(link.server, { cert: identity.certificate, key: identity.key });
    socket.once("data", async (bytes: Buffer) => {
      const binding = bindChannel(
        channelOf(socket),
        { end: "server", role: "orchestrator" },
        identity.spkiDigest,
        copyBytes(bytes.subarray(9)),
      );
      const bundle = await stage.attester("orchestrator").attest(binding);
      socket.write(rawFrame(frameType.attestResponse, serializeEvidenceBundle(bundle)));
    });
    open(link.client).then((client) => resolve({ client, socket }));
  });
  assert.ok(server.client.isOpen());
  server.socket.write(rawFrame(frameType.response, Buffer.from("unasked")));
  await new Promise((resolve) => link.client.once("close", resolve));
  assert.ok(!server.client.isOpen());
  await assert.rejects(collect(server.client.request(question)), failsWith("out-of-order"));
});

test("a second question is refused, with the first or after it", async () => {
  const questions = async () => {
    const link = createLink();
    const accepted = accept(link.server);
    const peer = rawClient(link.client);
    await new Promise((resolve) => peer.once("secureConnect", resolve));
    peer.write(rawFrame(frameType.attestRequest, concatBytes(Uint8Array.of(1), random(32))));
    return { server: await accepted, peer, frame: rawFrame(frameType.request, question), link };
  };
  const together = await questions();
  together.peer.write(concatBytes(together.frame, together.frame));
  await assert.rejects(together.server.request, failsWith("out-of-order"));
  assert.ok(together.link.server.destroyed);

  const apart = await questions();
  apart.peer.write(apart.frame);
  assert.deepEqual(await apart.server.request, question);
  apart.peer.write(apart.frame);
  await new Promise((resolve) => apart.link.server.once("close", resolve));
  await assert.rejects(apart.server.respond().write(question), failsWith("out-of-order"));
});

test("a node without evidence says so, and throws what kept it from attesting", async () => {
  class Full extends CodedError<"busy" | "guard-refused"> {}
  for (const [code, error] of [
    ["busy", new Full("busy", "too many sessions")],
    ["guard-refused", new Full("guard-refused", "no guard could be verified")],
    ["peer-failed", new Error("device is gone")],
  ] as const) {
    const link = createLink();
    let flights = 0;
    const attest = () => Promise.reject(error);
    const onFlight = () => {
      flights += 1;
    };
    const accepted = accept(link.server, { attester: { attest }, onFlight });
    await Promise.all([
      assert.rejects(open(link.client), failsWith(code)),
      assert.rejects(accepted, (thrown) => thrown === error),
    ]);
    assert.equal(flights, 2);
  }
});

test("who leaves is missed, on either side, and no stream stays open", async () => {
  const link = createLink();
  const [client, server] = await Promise.all([open(link.client), accept(link.server)]);
  client.close();
  await assert.rejects(server.request, failsWith("truncated"));
  assert.ok(link.client.destroyed && link.server.destroyed);

  const other = createLink();
  const [asking, leaving] = await Promise.all([open(other.client), accept(other.server)]);
  const answer = collect(asking.request(question));
  await leaving.request;
  leaving.close();
  await assert.rejects(answer, failsWith("truncated"));
  assert.ok(other.client.destroyed && other.server.destroyed);

  const third = createLink();
  const [impatient, slow] = await Promise.all([open(third.client), accept(third.server)]);
  const iterator = impatient.request(question);
  const first = iterator.next();
  await slow.request;
  await slow.respond().write(question);
  await first;
  await iterator.return();
  await assert.rejects(slow.respond().write(question), failsWith("truncated"));
});

test("an abort ends a server's session at any time, a client's only while it opens", async () => {
  const aborting = new AbortController();
  const { signal } = aborting;
  const link = createLink();
  const [client, server] = await Promise.all([open(link.client, { signal }), accept(link.server)]);
  aborting.abort();
  const [answer] = await Promise.all([collect(client.request(question)), echo(server)]);
  assert.deepEqual(answer, question);

  const stopping = new AbortController();
  const other = createLink();
  const [asking, stopped] = await Promise.all([
    open(other.client),
    accept(other.server, { signal: stopping.signal }),
  ]);
  stopping.abort();
  await assert.rejects(stopped.request, failsWith("aborted"));
  await assert.rejects(collect(asking.request(question)), failsWith("truncated"));
});
