// Findings about evidence and the time, against real handshakes and the simulated chip's reports. The tests run with
// Node's TLS and, in the build for browsers, with ours.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import {
  boundParts,
  createBatch,
  type EvidenceBundle,
  type SessionBinding,
  sandboxLayers,
  serializeEvidenceBundle,
  sessionLeaf,
} from "@sotto/attestation";
import { type Bytes, CodedError, concatBytes, sha256 } from "@sotto/base";
import { nodeHash } from "../../protocol/log/src/merkle.ts";
import {
  accept,
  failsWith,
  open,
  type PuppetOptions,
  random,
  stage,
  startPuppet,
} from "../../protocol/ratls/test/ends.ts";
import { goodCertificate, rawClient, rawFrame, rawServer } from "../../protocol/ratls/test/peer.ts";
import { createLink, createStage, someBinding } from "../../protocol/ratls/test/stage.ts";

const hourMs = 3_600_000;
const attestFrameBytes = 9 + 33;
const { attest } = stage.attester("orchestrator");

/** Meets a puppet, which must be refused with this code after nothing but the attest request. */
async function refused(code: Parameters<typeof failsWith>[0], options: PuppetOptions): Promise<void> {
  const link = createLink();
  const heard = startPuppet(link.server, options);
  await assert.rejects(open(link.client), failsWith(code));
  assert.equal(heard().length, attestFrameBytes, "nothing but the attest request was said");
  assert.ok(link.client.destroyed);
}

test("35: whatever time the host says it is, the client judges by its own", async () => {
  // The host's clock stands in what it makes: the certificate of the session.
  for (const wrongMs of [-2 * hourMs, -hourMs, 11 * 60_000, 24 * hourMs]) {
    const link = createLink();
    accept(link.server, { clock: () => Date.now() + wrongMs }).catch(() => {});
    await assert.rejects(open(link.client), failsWith("bad-certificate"));
  }
  // Evidence that was fresh once, presented as if no time had passed since: the host can set its clock back as it
  // likes, the witnesses' view in the proof and the release stay as old as they are.
  for (const [laterMs, code] of [
    [2 * hourMs, "stale-proof"],
    [-2 * hourMs, "stale-proof"],
  ] as const) {
    const link = createLink();
    const then = (): number => Date.now() + laterMs;
    accept(link.server, { clock: then }).catch(() => {});
    await assert.rejects(open(link.client, { clock: then }), failsWith(code));
  }
  const link = createLink();
  const later = (): number => Date.now() + 2 * hourMs;
  accept(link.server, { clock: later }).catch(() => {});
  const patient = { ...stage.policy, maxProofAgeMs: 24 * hourMs };
  await assert.rejects(open(link.client, { clock: later, policy: patient }), failsWith("release-expired"));
});

test("36: who has stolen a node's TLS key cannot pass its evidence on", async () => {
  const identity = goodCertificate(); // the genuine node's, and the thief's
  const seen: SessionBinding[] = [];
  const genuine = createLink();
  startPuppet(genuine.server, {
    identity,
    attest: (binding) => {
      seen.push(binding);
      return attest(binding);
    },
  });
  // Towards the node the thief is a client that asks with the victim's nonce.
  const towardsNode = rawClient(genuine.client);
  const relay = (binding: SessionBinding): Promise<Uint8Array> => {
    seen.push(binding);
    towardsNode.write(rawFrame(1, concatBytes(Uint8Array.of(1), binding.nonce)));
    return new Promise((resolve) => {
      const answer: Buffer[] = [];
      towardsNode.on("data", (bytes: Buffer) => {
        answer.push(bytes);
        const frame = Buffer.concat(answer);
        if (frame.length >= 9 && frame.length === 9 + frame.readUInt32BE(1)) resolve(frame.subarray(9));
      });
    });
  };
  await refused("binding-mismatch", { identity, attest: relay });
  const [victims, nodes] = seen;
  assert.ok(victims !== undefined && nodes !== undefined);
  // Everything but the exporter is as it should be: it is what gives the thief away.
  assert.deepEqual({ ...victims, exporter: nodes.exporter }, nodes);
  assert.notDeepEqual(victims.exporter, nodes.exporter);
});

test("36: evidence of another genuine machine is refused, whether it is old or made for this client", async () => {
  const other = await createStage();
  // Its chip, log and root are others; then the same chip with another session.
  await refused("untrusted-root", { attest: other.attester("orchestrator").attest });
  const link = createLink();
  let shown: EvidenceBundle | undefined;
  startPuppet(link.server, {
    attest: async (binding) => {
      shown = await attest(binding);
      return shown;
    },
  });
  (await open(link.client)).close();
  const copied = shown ?? assert.fail("nothing was shown");
  await refused("binding-mismatch", { attest: async () => copied });
  // Everything of this session but the report of the other.
  await refused("binding-mismatch", {
    attest: async (binding) => ({ ...(await attest(binding)), snp: copied.snp }),
  });
});

test("36: an exporter that the peer names counts for nothing", async () => {
  // A relay that vouches, with a genuine report, for the exporter of another channel than the client's.
  await refused("binding-mismatch", { attest: (binding) => attest({ ...binding, exporter: random(32) }) });
  await refused("binding-mismatch", {
    attest: (binding) => attest({ ...binding, exporter: new Uint8Array(32) }),
  });
});

test("36: a leaf of another batch, another's place in this one, and a node in the place of a leaf", async () => {
  const parts = { ...(await shown()), layers: sandboxLayers, gpus: [] };
  const leafOf = (binding: SessionBinding): Bytes => sessionLeaf(binding, boundParts(parts));
  const others = (binding: SessionBinding): Bytes[] =>
    [1, 2, 3].map(() => leafOf({ ...binding, nonce: random(32) }));
  const show = async (leaves: readonly Bytes[], place: EvidenceBundle["batch"]): Promise<EvidenceBundle> => {
    const snp = await stage.report(createBatch(leaves).reportData);
    return { ...parts, snp, batch: place };
  };
  // As it must be, so that what follows fails for what it changes.
  const link = createLink();
  startPuppet(link.server, {
    attest: async (binding) => {
      const leaves = [...others(binding), leafOf(binding)];
      return show(leaves, createBatch(leaves).pathFor(3));
    },
  });
  (await open(link.client)).close();

  for (const index of [0, 1, 2]) {
    await refused("binding-mismatch", {
      attest: async (binding) => {
        const leaves = [...others(binding), leafOf(binding)];
        return show(leaves, createBatch(leaves).pathFor(index));
      },
    });
  }
  await refused("binding-mismatch", {
    attest: async (binding) => {
      const leaves = [...others(binding), leafOf(binding)];
      return show(others(binding), createBatch(leaves).pathFor(3));
    },
  });
  // The hash of two leaves looks like one of a leaf to who hashes both alike: here a batch of two is shown as a
  // batch of one, whose only leaf would be the two hashes together.
  await refused("binding-mismatch", {
    attest: async (binding) => {
      const [first] = others(binding);
      const leaves = [first ?? random(64), leafOf(binding)];
      const snp = await stage.report(createBatch(leaves).reportData);
      return { ...parts, snp, batch: { index: 0, size: 1, path: [] } };
    },
  });
  await refused("binding-mismatch", {
    attest: async (binding) => {
      // A tree over a forged leaf: the inner node of a genuine batch, passed off as a session.
      const [left, right] = [sha256(leafOf(binding)), sha256(random(64))];
      const forged = concatBytes(left, right);
      assert.notDeepEqual(nodeHash(left, right), sha256(Uint8Array.of(0), forged));
      return show([forged], { index: 0, size: 2, path: [right] });
    },
  });
});

/** What the stage's orchestrator shows besides its report. */
async function shown(): Promise<Pick<EvidenceBundle, "statement" | "proof" | "peers">> {
  const { statement, proof, peers } = await attest(someBinding("orchestrator"));
  return { statement, proof, peers };
}

/** A server that has shaken hands and been asked for evidence, and now says whatever a test wants. */
async function beginPuppet(options: Parameters<typeof open>[1] = {}) {
  let sent = 0;
  const link = createLink({
    server: (bytes) => {
      if (!link.client.destroyed) sent += bytes.length;
      return [bytes];
    },
  });
  const socket = rawServer(link.server);
  const asked = new Promise((resolve) => socket.once("data", resolve));
  const opened = open(link.client, options);
  opened.catch(() => {});
  await asked;
  const before = sent;
  return { link, socket, opened, sent: () => sent - before };
}

/** Sends what a test says in the place of evidence, and counts what goes out before the client refuses. */
async function takenOf(
  codes: readonly string[],
  send: (socket: TLSSocket, evidence: Uint8Array) => void,
): Promise<number> {
  const { link, socket, opened, sent } = await beginPuppet();
  send(socket, serializeEvidenceBundle(await attest(someBinding("orchestrator"))));
  try {
    await assert.rejects(opened, (error) => error instanceof CodedError && codes.includes(error.code));
    assert.ok(link.client.destroyed);
    return sent();
  } finally {
    socket.destroy();
  }
}

test("38: evidence that is malformed, oversized, reordered or endless is refused, and no more of it taken than is allowed", async () => {
  const limit = 256 * 1024;
  const slack = 64 * 1024; // records, and what was on its way when the client closed
  const head = (content: number, padding = 0): Buffer => {
    const bytes = Buffer.from(rawFrame(2, new Uint8Array()));
    bytes.writeUInt32BE(content, 1);
    bytes.writeUInt32BE(padding, 5);
    return bytes;
  };
  const pour = (socket: TLSSocket, first: Uint8Array): void => {
    socket.write(first);
    const more = (): void => {
      if (!socket.destroyed) socket.write(Buffer.alloc(16 * 1024), more);
    };
    more();
  };
  // Announced as too large: refused at the head, however much follows.
  for (const announced of [head(limit + 1), head(1, limit), head(0xffffffff, 0xffffffff)]) {
    assert.ok((await takenOf(["too-large"], (socket) => pour(socket, announced))) <= limit);
  }
  // As large as allowed, and then without end.
  assert.ok(
    (await takenOf(["unsupported-version"], (socket) => pour(socket, head(limit)))) <= limit + 4 * slack,
  );
  assert.ok((await takenOf(["malformed"], (socket) => pour(socket, head(0, limit)))) <= limit + 4 * slack);
  // Malformed: parts in another order, cut, doubled, random.
  const unreadable = ["malformed", "unsupported-version", "too-large"];
  const bent: readonly ((evidence: Uint8Array) => Uint8Array)[] = [
    (evidence) => concatBytes(evidence.subarray(1200), evidence.subarray(0, 1200)),
    (evidence) => evidence.subarray(0, -1),
    (evidence) => concatBytes(evidence, evidence),
    (evidence) => random(evidence.length).fill(1, 0, 1),
    () => new Uint8Array(),
  ];
  for (const bend of bent) {
    await takenOf(unreadable, (socket, evidence) => void socket.write(rawFrame(2, bend(evidence))));
  }
  // In single bytes, then nothing: it ends when the client's patience does.
  const { link, socket, opened } = await beginPuppet({ signal: AbortSignal.timeout(1000) });
  for (const byte of head(1000)) socket.write(Uint8Array.of(byte));
  await assert.rejects(opened, failsWith("aborted"));
  socket.destroy();
  assert.ok(link.client.destroyed);
});

test("38: the relay has no clock and no randomness to mark a client with", () => {
  const folder = join(import.meta.dirname, "../../services/relay/src");
  const sources = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"));
  assert.ok(sources.length >= 4);
  for (const text of sources) {
    assert.doesNotMatch(text, /setTimeout|setInterval|setImmediate|Math\.random|getRandomValues|randomBytes/);
  }
});
