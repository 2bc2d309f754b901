// Sessions between nodes: each end shows evidence, and neither says more before it has judged the other's. Numbers are
// rows of the list of audit findings.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import {
  type AttestationErrorCode,
  amdRoots,
  type EvidenceBundle,
  type SessionBinding,
  serializeEvidenceBundle,
} from "@sotto/attestation";
import { type Bytes, CodedError, concatBytes, sha256 } from "@sotto/base";
import { bindChannel } from "../src/attest-request.ts";
import { frameType } from "../src/frame.ts";
import type { RatlsErrorCode } from "../src/index.ts";
import {
  accept,
  acceptNode,
  channelOf,
  collect,
  echo,
  failsWith,
  open,
  openNode,
  question,
  random,
  stage,
} from "./ends.ts";
import { frameReader, goodCertificate, rawClient, rawFrame, rawServer } from "./peer.ts";
import { createLink } from "./stage.ts";

type Link = ReturnType<typeof createLink>;
const nodeProtocol = { ALPNProtocols: ["sotto-node/1"] };
const orchestrator = stage.attester("orchestrator", { peers: [] });
const nothing = new Uint8Array();
const attestRequest = (nonce: Bytes = random(32)): Buffer =>
  rawFrame(frameType.attestRequest, concatBytes(Uint8Array.of(1), nonce));

/** A client of one's own making, up to the moment when it should show evidence. */
async function approach({ client, server }: Link) {
  const accepted = acceptNode(server);
  accepted.catch(() => {});
  const socket = rawClient(client, nodeProtocol);
  const read = frameReader(socket);
  await once(socket, "secureConnect");
  socket.write(attestRequest());
  const [shown, asked] = [await read(), await read()];
  assert.deepEqual([shown?.type, asked?.type], [frameType.attestResponse, frameType.attestRequest]);
  const key = socket.getPeerX509Certificate()?.publicKey ?? assert.fail("no certificate");
  const spkiDigest = sha256(key.export({ type: "spki", format: "der" }));
  const bind = (end: "client" | "server", role: SessionBinding["role"]): SessionBinding =>
    bindChannel(channelOf(socket), { end, role }, spkiDigest, asked?.content ?? nothing);
  return { accepted, socket, read, bind, shown: shown?.content ?? nothing };
}

type Approach = Awaited<ReturnType<typeof approach>>;

/** Shows a predictor this, and expects that it says no, and not why. */
async function nodeRefuses(
  code: RatlsErrorCode | AttestationErrorCode,
  make: (given: Approach) => Promise<EvidenceBundle | Bytes>,
): Promise<void> {
  const link = createLink();
  const given = await approach(link);
  const evidence = await make(given);
  const content = evidence instanceof Uint8Array ? evidence : serializeEvidenceBundle(evidence);
  given.socket.write(rawFrame(frameType.attestResponse, content));
  await assert.rejects(given.accepted, failsWith(code));
  const said = await given.read();
  assert.deepEqual([said?.type, Buffer.from(said?.content ?? nothing).toString()], [6, "not-accepted"]);
  assert.equal(await given.read(), undefined);
  assert.ok(link.server.destroyed);
}

/** A predictor of one's own making, up to the moment when it should show evidence. */
async function greet(link: Link) {
  const identity = goodCertificate();
  const socket = rawServer(link.server, {
    ...nodeProtocol,
    cert: identity.certificate,
    key: identity.key,
  });
  const read = frameReader(socket);
  const opened = openNode(link.client);
  opened.catch(() => {});
  const asked = await read();
  const show = async (end: "client" | "server"): Promise<Buffer> => {
    const role = "predictor";
    const request = asked?.content ?? nothing;
    const binding = bindChannel(channelOf(socket), { end, role }, identity.spkiDigest, request);
    const bundle = await stage.attester(role).attest(binding);
    return rawFrame(frameType.attestResponse, serializeEvidenceBundle(bundle));
  };
  return { opened, socket, read, show };
}

test("both ends know each other before there is a question", async () => {
  for (const role of ["predictor", "guard"] as const) {
    const link = createLink();
    const [client, server] = await Promise.all([
      openNode(link.client, { role }),
      acceptNode(link.server, { role }),
    ]);
    assert.deepEqual([client.node.role, server.client?.role], [role, "orchestrator"]);
    assert.equal(server.client?.verdict.overall, "simulated");
    const [answer] = await Promise.all([collect(client.request(question)), echo(server, 2)]);
    assert.deepEqual(answer, concatBytes(question, question));
  }
});

test("an orchestrator does not ask who its clients are", async () => {
  const link = createLink();
  const [, server] = await Promise.all([open(link.client), accept(link.server)]);
  assert.equal(server.client, undefined);
});

test("who attests is settled by the protocol's name, and neither end takes the other's", async () => {
  const oneWay = createLink();
  await Promise.all([
    assert.rejects(open(oneWay.client), failsWith("wrong-protocol")),
    assert.rejects(acceptNode(oneWay.server), failsWith("wrong-protocol")),
  ]);
  const mutual = createLink();
  await Promise.all([
    assert.rejects(openNode(mutual.client), failsWith("wrong-protocol")),
    assert.rejects(accept(mutual.server), failsWith("wrong-protocol")),
  ]);
});

test("20: a node takes nobody but an orchestrator for its client", async () => {
  for (const role of ["predictor", "guard"] as const) {
    const { attest } = stage.attester(role);
    await nodeRefuses("wrong-role", ({ bind }) => attest(bind("client", "orchestrator")));
    await nodeRefuses("binding-mismatch", ({ bind }) => attest(bind("client", role)));
  }
});

test("7: evidence of the client's over another nonce, key, exporter or request is refused", async () => {
  for (const field of ["nonce", "spkiDigest", "exporter", "requestDigest"] as const) {
    await nodeRefuses("binding-mismatch", ({ bind }) =>
      orchestrator.attest({ ...bind("client", "orchestrator"), [field]: random(32) }),
    );
  }
});

test("7: evidence that the client showed in an earlier session is refused", async () => {
  let earlier: EvidenceBundle | undefined;
  const link = createLink();
  const attester = {
    attest: async (binding: SessionBinding) => {
      earlier = await orchestrator.attest(binding);
      return earlier;
    },
  };
  const [session] = await Promise.all([openNode(link.client, { attester }), acceptNode(link.server)]);
  session.close();
  await nodeRefuses("binding-mismatch", async () => earlier ?? assert.fail("no earlier session"));
});

test("36: role reflected: evidence of one direction is none of the other's", async () => {
  // The node's own evidence, back to it.
  await nodeRefuses("binding-mismatch", async ({ shown }) => shown);
  // An orchestrator's as a server, over the nonce that the node gave, in the very same channel.
  await nodeRefuses("binding-mismatch", ({ bind }) => orchestrator.attest(bind("server", "orchestrator")));
  // A predictor's over the right nonce, channel and role, with the exporter of clients.
  const { opened, socket, read, show } = await greet(createLink());
  socket.write(await show("client"));
  await assert.rejects(opened, failsWith("binding-mismatch"));
  assert.equal(await read(), undefined, "it was shown no evidence in return");
});

test("36: who relays between a node and an orchestrator is no client of the node's", async () => {
  // The thief has an orchestrator attest to it, as to any client, with the nonce that the node gave.
  await nodeRefuses("binding-mismatch", async ({ bind }) => {
    const link = createLink();
    accept(link.server, { attester: orchestrator }).catch(() => {});
    const towards = rawClient(link.client);
    const read = frameReader(towards);
    await once(towards, "secureConnect");
    towards.write(attestRequest(bind("client", "orchestrator").nonce));
    const frame = await read();
    towards.destroy();
    return frame?.content ?? assert.fail("no evidence");
  });
});

test("simulated hardware does not pass a node's production policy", async () => {
  const link = createLink();
  const clientPolicy = { ...stage.policy, profile: "production", roots: amdRoots } as const;
  await Promise.all([
    assert.rejects(openNode(link.client), failsWith("not-accepted")),
    assert.rejects(acceptNode(link.server, { clientPolicy }), failsWith("untrusted-root")),
  ]);
});

test("between nodes neither end may rely on others", async () => {
  const peers = [await stage.peer("guard")];
  await nodeRefuses("malformed", ({ bind }) =>
    stage.attester("orchestrator", { peers }).attest(bind("client", "orchestrator")),
  );
  const link = createLink();
  const accepted = acceptNode(link.server, { attester: stage.attester("predictor", { peers }) });
  await Promise.all([
    assert.rejects(openNode(link.client), failsWith("malformed")),
    assert.rejects(accepted, failsWith("truncated")),
  ]);
});

test("evidence of a client's that cannot be read is refused", async () => {
  await nodeRefuses("malformed", async () => nothing);
  await nodeRefuses("malformed", async () => Uint8Array.of(1, 2, 3));
});

test("a node takes no question from who has not shown evidence, or was not accepted yet", async () => {
  const asking = rawFrame(frameType.request, question);
  const cases: readonly (readonly [RatlsErrorCode, (evidence: Bytes) => Uint8Array])[] = [
    ["out-of-order", () => asking],
    ["out-of-order", () => attestRequest()],
    ["out-of-order", () => rawFrame(frameType.accepted, nothing)],
    ["out-of-order", () => rawFrame(frameType.error, Buffer.from("busy"))],
    ["out-of-order", (evidence) => concatBytes(rawFrame(frameType.attestResponse, evidence), asking)],
    ["too-large", () => rawFrame(frameType.attestResponse, new Uint8Array(256 * 1024 + 1))],
  ];
  for (const [code, make] of cases) {
    const link = createLink();
    const { accepted, socket, bind } = await approach(link);
    const bundle = await orchestrator.attest(bind("client", "orchestrator"));
    socket.write(make(serializeEvidenceBundle(bundle)));
    await assert.rejects(
      accepted.then((session) => session.request),
      failsWith(code),
    );
    assert.ok(link.server.destroyed);
  }
});

test("a client shows nothing to a node that keeps to another order", async () => {
  const accepted = rawFrame(frameType.accepted, nothing);
  const cases: readonly (readonly [RatlsErrorCode, Uint8Array])[] = [
    ["out-of-order", accepted],
    ["out-of-order", rawFrame(frameType.response, question)],
    ["out-of-order", concatBytes(attestRequest(), attestRequest())],
    ["out-of-order", concatBytes(attestRequest(), accepted)], // before it was shown anything
    ["malformed", rawFrame(frameType.attestRequest, Uint8Array.of(2, ...random(32)))],
    ["malformed", rawFrame(frameType.attestRequest, random(5))],
  ];
  for (const [code, after] of cases) {
    const link = createLink();
    const { opened, socket, read, show } = await greet(link);
    socket.write(concatBytes(await show("server"), after));
    await assert.rejects(opened, failsWith(code));
    assert.ok(link.client.destroyed);
    assert.equal(await read(), undefined);
  }
});

class Full extends CodedError<"busy"> {}

test("a client without evidence of its own has no session, and the node is told nothing", async () => {
  const link = createLink();
  const error = new Full("busy", "too many sessions");
  await Promise.all([
    assert.rejects(
      openNode(link.client, { attester: { attest: () => Promise.reject(error) } }),
      (thrown) => thrown === error,
    ),
    assert.rejects(acceptNode(link.server), failsWith("truncated")),
  ]);
});

test("a client that waits for its own evidence can be aborted", async () => {
  const link = createLink();
  const aborting = new AbortController();
  const attester = {
    attest: () => {
      aborting.abort();
      return new Promise<never>(() => {});
    },
  };
  const accepted = acceptNode(link.server);
  await Promise.all([
    assert.rejects(openNode(link.client, { attester, signal: aborting.signal }), failsWith("aborted")),
    assert.rejects(accepted, failsWith("truncated")),
  ]);
});

test("a node without evidence says so before it asks for any", async () => {
  const link = createLink();
  const attester = { attest: () => Promise.reject(new Full("busy", "too many sessions")) };
  const neverAsked = { attest: () => assert.fail("asked") };
  await Promise.all([
    assert.rejects(openNode(link.client, { attester: neverAsked }), failsWith("busy")),
    assert.rejects(acceptNode(link.server, { attester }), { code: "busy" }),
  ]);
});
