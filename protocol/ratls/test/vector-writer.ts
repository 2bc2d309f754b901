// Writes spec/vectors/attested-session.json: `node protocol/ratls/test/vector-writer.ts`. What can be computed with
// node:crypto alone is, from the words of the specification and not with the code that the vectors are for.
import { createHash, createHmac, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { serializeEvidenceBundle } from "@sotto/attestation";
import { systemRandom } from "@sotto/base";
import { hourMs, selfSigned } from "./certificates.ts";
import { createStage } from "./stage.ts";
import type { SessionVectors } from "./vector-file.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const sha256 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const sha512 = (...parts: Uint8Array[]): Buffer => createHash("sha512").update(Buffer.concat(parts)).digest();
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const filled = (byte: number, length = 32): Buffer => Buffer.alloc(length, byte);
const frame = (type: number, content: Uint8Array, padding = 0): Buffer =>
  Buffer.concat([Buffer.of(type), u32(content.length), u32(padding), content, Buffer.alloc(padding)]);

function frames(): SessionVectors["frames"] {
  const request = Buffer.concat([Buffer.of(1), filled(7)]);
  const question = Buffer.from("question");
  const taken = [
    { type: 1, content: request, padTo: 0 },
    { type: 3, content: question, padTo: 64 },
    { type: 4, content: Buffer.from("answer"), padTo: 0 },
    { type: 5, content: Buffer.alloc(0), padTo: 64 },
    { type: 6, content: Buffer.from("busy"), padTo: 64 },
    { type: 7, content: Buffer.alloc(0), padTo: 0 },
  ].map(({ type, content, padTo }) => {
    const bytes = frame(type, content, Math.max(0, padTo - content.length));
    return { type, content: hex(content), padTo, bytes: hex(bytes) };
  });
  const heads = (type: number, content: number, padding: number): Buffer =>
    Buffer.concat([Buffer.of(type), u32(content), u32(padding)]);
  const refused: readonly (readonly [string, Buffer, readonly number[], string])[] = [
    ["a type that there is not", frame(8, question), [4, 5, 6], "unknown-frame"],
    ["type zero", frame(0, question), [4, 5, 6], "unknown-frame"],
    ["a request where evidence is asked for", frame(3, question), [1], "out-of-order"],
    ["an answer before the question", frame(4, question), [2, 6], "out-of-order"],
    ["an attest request of 34 bytes", frame(1, Buffer.alloc(34)), [1], "too-large"],
    ["an attest request with padding", frame(1, request, 1), [1], "too-large"],
    ["evidence over 256 KiB, at its head", heads(2, 256 * 1024 + 1, 0), [2, 6], "too-large"],
    ["a request over 1 MiB with its padding, at its head", heads(3, 1, 1024 * 1024), [3], "too-large"],
    ["a piece over 64 KiB, at its head", heads(4, 0xffffffff, 0xffffffff), [4, 5, 6], "too-large"],
    ["padding that is not zero", Buffer.concat([heads(4, 1, 1), Buffer.of(65, 1)]), [4, 5, 6], "malformed"],
    ["content in an accepted frame", frame(7, Buffer.of(0)), [7], "too-large"],
  ];
  return {
    taken,
    refused: refused.map(([why, bytes, expected, code]) => ({ why, bytes: hex(bytes), expected, code })),
  };
}

function attestRequests(): SessionVectors["attestRequests"] {
  return [
    { bytes: `01${"07".repeat(32)}`, nonce: "07".repeat(32) },
    { bytes: `02${"07".repeat(32)}`, code: "malformed" },
    { bytes: `01${"07".repeat(31)}`, code: "malformed" },
    { bytes: "", code: "malformed" },
  ];
}

/** `HKDF-Expand-Label` (RFC 8446 Section 7.1), by hand: one block of output is enough. */
function expandLabel(hash: string, secret: Buffer, label: string, context: Buffer, length: number): Buffer {
  const full = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.of(0, length, full.length), full, Buffer.of(context.length), context]);
  return createHmac(hash, secret).update(info).update(Buffer.of(1)).digest().subarray(0, length);
}

function exporters(): SessionVectors["exporters"] {
  const suites = [
    { suite: "TLS_AES_128_GCM_SHA256", hash: "sha256", length: 32 },
    { suite: "TLS_AES_256_GCM_SHA384", hash: "sha384", length: 48 },
  ];
  return suites.flatMap(({ suite, hash, length }) =>
    (["server", "client"] as const).map((end) => {
      const secret = filled(0x5e, length);
      const request = Buffer.concat([Buffer.of(1), filled(9)]);
      const digest = (bytes: Uint8Array): Buffer => createHash(hash).update(bytes).digest();
      const label = `EXPORTER-sotto-attested-session-1-${end}`;
      const derived = expandLabel(hash, secret, label, digest(Buffer.alloc(0)), length);
      const exporter = expandLabel(hash, derived, "exporter", digest(sha256(request)), 32);
      return {
        suite,
        exporterMasterSecret: hex(secret),
        end,
        attestRequest: hex(request),
        exporter: hex(exporter),
      };
    }),
  );
}

const leafFields = ["spkiDigest", "nonce", "exporter", "requestDigest"] as const;

function leaves(): SessionVectors["leaves"] {
  const roles = { orchestrator: 1, predictor: 2, guard: 3 } as const;
  return (["orchestrator", "predictor", "guard"] as const).map((role, index) => {
    const binding = Object.fromEntries(leafFields.map((name, at) => [name, filled(16 * index + at)]));
    const parts = {
      statement: Buffer.from("{}"),
      layers: Buffer.of(0, 0x7f),
      gpus: Buffer.alloc(0),
      peers: Buffer.alloc(0),
    };
    const fields = [
      ...leafFields.map((name) => binding[name] ?? filled(0)),
      ...Object.values(parts).map((part) => sha256(part)),
    ];
    const joined = fields.flatMap((field) => [u32(32), field]);
    const leaf = sha512(Buffer.from("sotto-attested-session/1\0"), Buffer.of(roles[role]), ...joined);
    const text = (bytes: Readonly<Record<string, Buffer>>) =>
      Object.fromEntries(Object.entries(bytes).map(([name, value]) => [name, hex(value)]));
    return { role, binding: text(binding), parts: text(parts), leaf: hex(leaf) };
  });
}

/** Merkle tree hash (RFC 6962 Section 2.1). */
function rootOf(entries: readonly Buffer[]): Buffer {
  const [only] = entries;
  if (entries.length === 1 && only !== undefined) return sha256(Buffer.of(0), only);
  const split = 2 ** Math.ceil(Math.log2(entries.length) - 1);
  return sha256(Buffer.of(1), rootOf(entries.slice(0, split)), rootOf(entries.slice(split)));
}

/** Audit path (RFC 6962 Section 2.1.1). */
function pathOf(index: number, entries: readonly Buffer[]): Buffer[] {
  if (entries.length === 1) return [];
  const split = 2 ** Math.ceil(Math.log2(entries.length) - 1);
  return index < split
    ? [...pathOf(index, entries.slice(0, split)), rootOf(entries.slice(split))]
    : [...pathOf(index - split, entries.slice(split)), rootOf(entries.slice(0, split))];
}

function batches(): SessionVectors["batches"] {
  return [1, 2, 3, 7].map((size) => {
    const entries = Array.from({ length: size }, (_, index) => filled(index + 1, 64));
    const reportData = sha512(Buffer.from("sotto-attested-batch/1\0"), u32(size), rootOf(entries));
    const sessions = entries.map((leaf, index) => ({
      leaf: hex(leaf),
      path: pathOf(index, entries).map(hex),
    }));
    return { size, reportData: hex(reportData), sessions };
  });
}

function certificates(): SessionVectors["certificates"] {
  const nowMs = Date.UTC(2026, 10, 25);
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const der = (pem: string): Buffer => new X509Certificate(pem).raw;
  const good = der(selfSigned(publicKey, privateKey, nowMs, nowMs + hourMs).cert);
  const spki = publicKey.export({ type: "spki", format: "der" });
  const bent = Buffer.from(good);
  bent.writeUInt8((bent.at(-1) ?? 0) ^ 1, bent.length - 1);
  const code = "bad-certificate";
  const refused: readonly (readonly [string, Buffer])[] = [
    [
      "valid for a second more than an hour",
      der(selfSigned(publicKey, privateKey, nowMs, nowMs + hourMs + 1000).cert),
    ],
    ["six minutes old", der(selfSigned(publicKey, privateKey, nowMs - hourMs, nowMs - 6 * 60_000).cert)],
    [
      "six minutes too early",
      der(selfSigned(publicKey, privateKey, nowMs + 6 * 60_000, nowMs + hourMs).cert),
    ],
    ["signed with another key", der(selfSigned(publicKey, other.privateKey, nowMs, nowMs + hourMs).cert)],
    ["a bit of its signature turned", bent],
    ["a key on P-384", der(selfSigned(p384.publicKey, p384.privateKey, nowMs, nowMs + hourMs).cert)],
    ["a byte after its end", Buffer.concat([good, Buffer.of(0)])],
    ["its last byte missing", good.subarray(0, -1)],
  ];
  return [
    { why: "as it should be", der: hex(good), nowMs, spkiDigest: hex(sha256(spki)) },
    ...refused.map(([why, bytes]) => ({ why, der: hex(bytes), nowMs, code })),
  ];
}

async function evidence(): Promise<SessionVectors["evidence"]> {
  const { attester, settings } = await createStage();
  const nowMs = Date.now();
  const [spkiDigest, nonce, exporter, requestDigest] = [1, 2, 3, 4].map(
    (byte) => new Uint8Array(filled(byte)),
  );
  if (!spkiDigest || !nonce || !exporter || !requestDigest) throw new Error("no binding");
  const binding = { role: "orchestrator", spkiDigest, nonce, exporter, requestDigest } as const;
  const bundle = await attester("orchestrator").attest(binding);
  const bytes = serializeEvidenceBundle(bundle);
  return {
    bytes: hex(bytes),
    settings,
    nowMs,
    role: "orchestrator",
    binding: {
      spkiDigest: hex(spkiDigest),
      nonce: hex(nonce),
      exporter: hex(exporter),
      requestDigest: hex(requestDigest),
    },
    overall: "simulated",
    refused: [
      ...leafFields.map((field) => ({
        why: `another ${field}`,
        binding: { [field]: hex(systemRandom(32)) },
        code: "binding-mismatch",
      })),
      { why: "another role", role: "predictor" as const, code: "binding-mismatch" },
      { why: "a day later", laterMs: 86_400_000, code: "stale-proof" },
      { why: "a byte after its end", append: "00", code: "malformed" },
      { why: "another version", flip: 0, code: "unsupported-version" },
      { why: "a bit of the report's measurement turned", flip: 3 + 0x90, code: "bad-signature" },
      { why: "a bit of the report's signature turned", flip: 3 + 0x2a0, code: "bad-signature" },
    ],
  };
}

const vectors: SessionVectors = {
  about:
    "spec/attested-session.md; bytes as lowercase hexadecimal. `flip` turns the lowest bit of that byte of the bundle",
  frames: frames(),
  attestRequests: attestRequests(),
  exporters: exporters(),
  leaves: leaves(),
  batches: batches(),
  certificates: certificates(),
  evidence: await evidence(),
};
const folder = join(import.meta.dirname, "../../../spec/vectors");
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "attested-session.json"), `${JSON.stringify(vectors, null, 1)}\n`);
