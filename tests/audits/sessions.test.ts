// Findings about sessions, against real handshakes and the simulated chip's reports. The tests run with Node's TLS and,
// in the build for browsers, with ours as the client's.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { EvidenceBundle } from "@sotto/attestation";
import { badCertificates, hourMs, selfSigned } from "../../protocol/ratls/test/certificates.ts";
import {
  accept,
  collect,
  echo,
  failsWith,
  open,
  openNode,
  type PuppetOptions,
  question,
  random,
  stage,
  startPuppet,
} from "../../protocol/ratls/test/ends.ts";
import { rawClient, rawFrame, rawServer } from "../../protocol/ratls/test/peer.ts";
import { createLink } from "../../protocol/ratls/test/stage.ts";

type Code = Parameters<typeof failsWith>[0];

/** Meets a puppet with evidence of a test's making, and nothing but the attest request is said to it. */
async function evidenceIsRefused(code: Code, options: PuppetOptions): Promise<void> {
  const link = createLink();
  const heard = startPuppet(link.server, options);
  await assert.rejects(open(link.client), failsWith(code));
  assert.equal(heard().length, 9 + 33);
}

/** Meets a TLS server of any kind, which hears nothing before it is refused. */
async function serverIsRefused(code: Code, options: Parameters<typeof rawServer>[1]): Promise<void> {
  const link = createLink();
  const heard: Buffer[] = [];
  const server = rawServer(link.server, options).on("data", (bytes: Buffer) => heard.push(bytes));
  await assert.rejects(open(link.client), failsWith(code));
  assert.equal(heard.length, 0);
  server.destroy();
}

/** Meets a TLS client of any kind. */
async function clientIsRefused(code: Code, options: Parameters<typeof rawClient>[1]): Promise<void> {
  const link = createLink();
  const accepted = accept(link.server);
  const client = rawClient(link.client, options);
  await assert.rejects(accepted, failsWith(code));
  client.destroy();
}

test("a session with fresh evidence comes up, and carries one request", async () => {
  const link = createLink();
  const [client, server] = await Promise.all([open(link.client), accept(link.server)]);
  assert.equal(client.node.verdict.overall, "simulated");
  const [answer] = await Promise.all([collect(client.request(question, { padTo: 4096 })), echo(server)]);
  assert.deepEqual(answer, question);
  assert.throws(() => new (client.node.constructor as new () => unknown)(), TypeError);
});

test("7: evidence of an earlier session, or over another nonce, is refused", async () => {
  const { attest } = stage.attester("orchestrator");
  let earlier: EvidenceBundle | undefined;
  const link = createLink();
  startPuppet(link.server, {
    attest: async (binding) => {
      earlier = await attest(binding);
      return earlier;
    },
  });
  (await open(link.client)).close();
  await evidenceIsRefused("binding-mismatch", { attest: async () => earlier ?? assert.fail("none") });
  await evidenceIsRefused("binding-mismatch", {
    attest: (binding) => attest({ ...binding, nonce: random(32) }),
  });
});

test("11: TLS 1.2 is refused by the client and by the server", async () => {
  const old = { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
  await serverIsRefused("tls-version", { ...old, ecdhCurve: "X25519" });
  await clientIsRefused("tls-version", old);
});

test("11: a client that gets a session ticket refuses the session", async () => {
  // A process of its own, for this one runs under the configuration that sends no tickets.
  const program = join(import.meta.dirname, "../../protocol/ratls/test/ticket-server.ts");
  const child = spawn(process.execPath, [program], { stdio: ["ignore", "ignore", "inherit", "pipe"] });
  try {
    const stream = child.stdio[3];
    assert.ok(stream instanceof Socket);
    await assert.rejects(open(stream), failsWith("session-ticket"));
  } finally {
    child.kill();
  }
});

test("12: a server that offers no post-quantum half is refused, and so is a client", async () => {
  await serverIsRefused("no-common-parameters", { minVersion: "TLSv1.3", ecdhCurve: "X25519" });
  await clientIsRefused("classical-downgrade", { ecdhCurve: "X25519" });
});

test("20: a genuine node of another role is refused, whether its session or its release is", async () => {
  const predictor = stage.attester("predictor");
  await evidenceIsRefused("wrong-role", { attest: predictor.attest });
  await evidenceIsRefused("binding-mismatch", { role: "predictor" });
  // A predictor's own clients are no orchestrator's: the two have other protocol names.
  const link = createLink();
  startPuppet(link.server);
  await assert.rejects(openNode(link.client), failsWith("wrong-protocol"));
});

test("32, 34: a session certificate is signed by itself, and good for an hour at most", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const now = Date.now();
  await serverIsRefused("bad-certificate", selfSigned(publicKey, privateKey, now, now + hourMs + 1000));
  for (const { why, pair } of badCertificates()) {
    const link = createLink();
    // Whoever shows it shakes hands with a key of its own, and then shows no evidence.
    const server = rawServer(link.server, pair);
    server.on("data", () => server.write(rawFrame(2, new Uint8Array())));
    await assert.rejects(open(link.client), failsWith("bad-certificate"), why);
    server.destroy();
  }
});

test("a server that is asked for anything but evidence first, ends the session", async () => {
  const request = new Uint8Array(33).fill(1, 0, 1);
  const firsts: readonly (readonly [Code, Uint8Array])[] = [
    ["out-of-order", rawFrame(3, question)],
    ["out-of-order", rawFrame(2, request)],
    ["unknown-frame", rawFrame(9, request)],
    ["malformed", rawFrame(1, request.subarray(0, 2))],
    ["too-large", rawFrame(1, request, new Uint8Array(1))],
  ];
  for (const [code, first] of firsts) {
    const link = createLink();
    const accepted = accept(link.server);
    const client = rawClient(link.client);
    client.once("secureConnect", () => client.write(first));
    await assert.rejects(accepted, failsWith(code));
    client.destroy();
  }
});
