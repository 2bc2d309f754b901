// Findings about sessions, against the real parts: node:tls, real handshakes, the software TEE's reports.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { connect as connectTcp } from "node:net";
import { Duplex } from "node:stream";
import { after, test } from "node:test";
import { connect, createSecureContext, TLSSocket } from "node:tls";
import {
  boundParts,
  createBatch,
  type EvidenceBundle,
  type SessionBinding,
  sandboxLayers,
  sessionLeaf,
  type TrustPolicy,
} from "@sotto/attestation";
import {
  createReportSigner,
  createSimulatedChip,
  developmentPolicy,
  simulatedTcb,
} from "@sotto/attestation/software";
import { type Bytes, concatBytes, encodeBase64, encodeUtf8, serializePem, systemRandom } from "@sotto/base";
import {
  cosign,
  generateSigner,
  HashTree,
  inclusionProof,
  leafHash,
  noteKeyType,
  type Role,
  serializeCheckpoint,
  serializeNote,
  serializeProof,
  serializeStatement,
  serializeVerifier,
  signNote,
} from "@sotto/log";
import { acceptServerSession, openClientSession } from "@sotto/ratls";

const now = Date.now();
const chip = await createSimulatedChip(now, systemRandom);
const measurement = "ab".repeat(48);
const signer = await createReportSigner(chip, measurement);
const log = await generateSigner("log.example", noteKeyType.ed25519);
const witness = await generateSigner("w.example", noteKeyType.cosignature);
const open = new Set<Duplex>();
after(() => {
  for (const stream of open) stream.destroy();
});

const policy: TrustPolicy = developmentPolicy({
  platform: {
    generations: ["turin"],
    minimumTcb: { turin: simulatedTcb },
    vmpl: 0,
    allowVlek: false,
    allowSmt: true,
    requireAliasCheck: true,
  },
  log: `log ${serializeVerifier(log)}\nwitness w ${serializeVerifier(witness)}\nquorum w\n`,
  maxProofAgeMs: 3_600_000,
  minimumSecurityVersion: 1,
  simulatedRoot: encodeBase64(chip.ark),
});

/** A logged release of a role, with its proof. */
async function release(role: Role): Promise<{ statement: Bytes; proof: Bytes }> {
  const at = Math.floor(now / 1000);
  const digest = `sha256:${"cd".repeat(32)}` as const;
  const statement = serializeStatement({
    kind: "release",
    role,
    version: "1",
    measurements: [measurement],
    code: digest,
    config: digest,
    weights: [],
    policies: [],
    securityVersion: 1,
    issuedAt: at - 60,
    expiresAt: at + 3600,
  });
  const tree = new HashTree();
  tree.append(leafHash(statement));
  const note = await signNote(serializeCheckpoint({ origin: log.name, size: 1, root: tree.root() }), [log]);
  const signatures = [...note.signatures, await cosign(note.text, witness, at)];
  const checkpoint = serializeNote({ ...note, signatures });
  return {
    statement,
    proof: serializeProof({ index: 0, path: inclusionProof(0, 1, tree.read), checkpoint }),
  };
}

const released = { orchestrator: await release("orchestrator"), predictor: await release("predictor") };

async function attest(
  binding: SessionBinding,
  role: "orchestrator" | "predictor" = "orchestrator",
): Promise<EvidenceBundle> {
  const parts = { ...released[role], layers: sandboxLayers, gpus: [], peers: [] };
  const { reportData, pathFor } = createBatch([sessionLeaf(binding, boundParts(parts))]);
  const report = await signer.sign(reportData);
  return { snp: { report, certificates: chip.certificates }, batch: pathFor(0), ...parts };
}

/** Two ends of a byte stream. */
function pair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  for (const other of [1, 0]) {
    const end = new Duplex({
      read() {},
      write(chunk, _encoding, callback) {
        ends[other]?.push(chunk);
        callback();
      },
      final(callback) {
        ends[other]?.push(null);
        callback();
      },
    });
    end.on("error", () => {});
    open.add(end);
    ends.push(end);
  }
  const [left, right] = ends;
  assert.ok(left !== undefined && right !== undefined);
  return [left, right];
}

type AttestFunction = (binding: SessionBinding) => Promise<EvidenceBundle>;

/** A client and a server over one stream, the server's evidence made by `attester`. */
async function session(attester: AttestFunction, role: Role = "orchestrator") {
  const [left, right] = pair();
  const server = acceptServerSession({
    stream: right,
    role,
    attester: { attest: attester },
    random: systemRandom,
  });
  server.catch(() => {});
  const client = await openClientSession({
    stream: left,
    policy,
    role: "orchestrator",
    clock: Date.now,
    random: systemRandom,
    signal: AbortSignal.timeout(5000),
  });
  return { client, server: await server };
}

test("a session with fresh evidence comes up, and carries one request", async () => {
  const { client, server } = await session(attest);
  assert.equal(client.node.verdict.overall, "simulated");
  const asked = (async () => {
    const pieces: Bytes[] = [];
    for await (const piece of client.request(encodeUtf8("question"), { padTo: 4096 })) pieces.push(piece);
    return concatBytes(...pieces);
  })();
  assert.deepEqual(await server.request, encodeUtf8("question"));
  const answer = server.respond();
  await answer.write(encodeUtf8("an "));
  await answer.write(encodeUtf8("answer"));
  await answer.end();
  assert.deepEqual(await asked, encodeUtf8("an answer"));
  assert.throws(() => new (client.node.constructor as new () => unknown)(), TypeError);
});

test("7: evidence of an earlier session, or over another nonce, is refused", async () => {
  let earlier: EvidenceBundle | undefined;
  await session(async (binding) => {
    earlier = await attest(binding);
    return earlier;
  });
  const replayed = earlier;
  assert.ok(replayed !== undefined);
  await assert.rejects(
    session(async () => replayed),
    { code: "binding-mismatch" },
  );
  await assert.rejects(
    session((binding) => attest({ ...binding, nonce: systemRandom(32) })),
    { code: "binding-mismatch" },
  );
});

test("20: a genuine node of another role is refused, whether its session or its release is", async () => {
  await assert.rejects(
    session((binding) => attest(binding, "predictor")),
    { code: "wrong-role" },
  );
  await assert.rejects(
    session((binding) => attest({ ...binding, role: "predictor" })),
    { code: "binding-mismatch" },
  );
});

/** A plain TLS server of one's own making on the far end of a stream. */
function hostileServer(stream: Duplex, options: object): TLSSocket {
  const { privateKey, certificate } = selfSigned();
  const context = { cert: certificate, key: privateKey, ecdhCurve: "X25519MLKEM768:X25519", ...options };
  const socket = new TLSSocket(stream, {
    isServer: true,
    secureContext: createSecureContext(context),
    ALPNProtocols: ["sotto/1"],
    ...options,
  });
  socket.on("error", () => {});
  open.add(socket);
  return socket;
}

/** A P-256 certificate in the form that sessions use; valid for `minutes`. */
function selfSigned(minutes = 50): { privateKey: string; certificate: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const tlv = (tag: number, ...parts: Uint8Array[]): Bytes => {
    const content = concatBytes(...parts);
    const length =
      content.length < 128
        ? [content.length]
        : content.length < 256
          ? [0x81, content.length]
          : [0x82, content.length >> 8, content.length & 255];
    return concatBytes(new Uint8Array([tag, ...length]), content);
  };
  const time = (ms: number): Bytes =>
    tlv(
      0x17,
      encodeUtf8(
        `${new Date(ms)
          .toISOString()
          .replace(/\.\d+Z$|[-:T]/g, "")
          .slice(2)}Z`,
      ),
    );
  const algorithm = new Uint8Array([0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
  const name = tlv(0x30);
  const spki = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  const from = Date.now() - 60_000;
  const validity = tlv(0x30, time(from), time(from + minutes * 60_000));
  const tbs = tlv(0x30, new Uint8Array([0xa0, 3, 2, 1, 2, 2, 1, 1]), algorithm, name, validity, name, spki);
  const der = tlv(0x30, tbs, algorithm, tlv(3, new Uint8Array(1), sign("sha256", tbs, privateKey)));
  const pem = serializePem("CERTIFICATE", der);
  return { certificate: pem, privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

function clientOf(stream: Duplex) {
  const signal = AbortSignal.timeout(5000);
  return openClientSession({
    stream,
    policy,
    role: "orchestrator",
    clock: Date.now,
    random: systemRandom,
    signal,
  });
}

test("11: TLS 1.2 is refused by the client and by the server", async () => {
  const [left, right] = pair();
  hostileServer(right, { minVersion: "TLSv1.2", maxVersion: "TLSv1.2", ecdhCurve: "X25519" });
  await assert.rejects(clientOf(left), { code: "tls-version" });
  const [near, far] = pair();
  const server = acceptServerSession({
    stream: far,
    role: "orchestrator",
    attester: { attest },
    random: systemRandom,
  });
  const old = connect({
    socket: near,
    maxVersion: "TLSv1.2",
    minVersion: "TLSv1.2",
    rejectUnauthorized: false,
  });
  old.on("error", () => {});
  await assert.rejects(server);
});

test("11: a client that gets a session ticket refuses the session", async () => {
  const { certificate, privateKey } = selfSigned();
  // A process of its own, for this one runs under the configuration that sends no tickets.
  const program = `
    const { cert, key } = JSON.parse(process.argv[1]);
    const options = { cert, key, minVersion: "TLSv1.3", ALPNProtocols: ["sotto/1"] };
    const server = require("node:tls").createServer(options, (socket) => socket.on("error", () => {}));
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;
  const child = spawn(process.execPath, [
    "-e",
    program,
    JSON.stringify({ cert: certificate, key: privateKey }),
  ]);
  try {
    const port = await new Promise<number>((resolve) =>
      child.stdout.once("data", (text) => resolve(Number(text))),
    );
    const socket = connectTcp(port, "127.0.0.1");
    socket.on("error", () => {});
    await assert.rejects(clientOf(socket), { code: "session-ticket" });
  } finally {
    child.kill();
  }
});

test("12: a server that offers no post-quantum half is refused, and so is a client", async () => {
  const [left, right] = pair();
  hostileServer(right, { minVersion: "TLSv1.3", ecdhCurve: "X25519" });
  await assert.rejects(clientOf(left), { code: "no-common-parameters" });
  const [near, far] = pair();
  const server = acceptServerSession({
    stream: far,
    role: "orchestrator",
    attester: { attest },
    random: systemRandom,
  });
  const classical = connect({
    socket: near,
    ecdhCurve: "X25519",
    ALPNProtocols: ["sotto/1"],
    rejectUnauthorized: false,
  });
  classical.on("error", () => {});
  await assert.rejects(server);
});

test("34: a session certificate that is valid for more than an hour is refused", async () => {
  const [left, right] = pair();
  const { certificate, privateKey } = selfSigned(61);
  hostileServer(right, { minVersion: "TLSv1.3", cert: certificate, key: privateKey });
  await assert.rejects(clientOf(left), { code: "bad-certificate" });
});

test("36: a relay with a stolen TLS key passes evidence on, and is refused for its channel is another", async () => {
  // The relay ends the client's TLS itself, with the same key as the genuine node, and forwards the attest request.
  // The genuine node can only vouch for the exporter of its own channel.
  const genuineExporter = systemRandom(32);
  await assert.rejects(
    session((binding) => attest({ ...binding, exporter: genuineExporter })),
    { code: "binding-mismatch" },
  );
});

test("36: the leaf of another session of the same batch, and a node taken for a leaf, are refused", async () => {
  await assert.rejects(
    session(async (binding) => {
      const parts = { ...released.orchestrator, layers: sandboxLayers, gpus: [], peers: [] };
      const mine = sessionLeaf(binding, boundParts(parts));
      const other = sessionLeaf({ ...binding, nonce: systemRandom(32) }, boundParts(parts));
      const { reportData, pathFor } = createBatch([other, mine]);
      const report = await signer.sign(reportData);
      return { snp: { report, certificates: chip.certificates }, batch: pathFor(0), ...parts };
    }),
    { code: "binding-mismatch" },
  );
});

test("a server that is asked for anything but evidence first, ends the session", async () => {
  for (const first of [
    [3, 0, 0, 0, 1, 0, 0, 0, 0, 65],
    [1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 1],
    [9, 0, 0, 0, 0, 0, 0, 0, 0],
    [1, 0, 1, 0, 0, 0, 0, 0, 0],
  ]) {
    const [near, far] = pair();
    const server = acceptServerSession({
      stream: far,
      role: "orchestrator",
      attester: { attest },
      random: systemRandom,
    });
    const client = connect({ socket: near, ALPNProtocols: ["sotto/1"], rejectUnauthorized: false });
    client.on("error", () => {});
    client.once("secureConnect", () => client.write(new Uint8Array(first)));
    await assert.rejects(server, (error) => error instanceof Error && error.name === "RatlsError");
  }
});
