// What the tests play on: a simulated chip, a log with two witnesses, and nodes with evidence of any kind.
import assert from "node:assert/strict";
import {
  AttestationError,
  type AttestationErrorCode,
  boundParts,
  createBatch,
  type EvidenceBundle,
  type PeerEvidence,
  type SandboxLayer,
  type SessionBinding,
  sandboxLayers,
  sessionLeaf,
  type TrustPolicy,
  type TrustSettings,
} from "@sotto/attestation";
import {
  createReportSigner,
  createSimulatedAuthority,
  developmentPolicy,
  issueSimulatedChip,
  type ReportOverrides,
  type SimulatedChip,
  simulatedTcb,
} from "@sotto/attestation/software";
import { type Bytes, encodeBase64, encodeHex, encodeUtf8, systemRandom } from "@sotto/base";
import {
  cosign,
  generateSigner,
  HashTree,
  inclusionProof,
  leafHash,
  noteKeyType,
  type ReleaseStatement,
  type Role,
  serializeCheckpoint,
  serializeNote,
  serializeProof,
  serializeStatement,
  serializeVerifier,
  signNote,
} from "@sotto/log";

export const nowMs = Date.UTC(2026, 10, 24, 12);
export const nowSeconds = nowMs / 1000;
export const dayMs = 86_400_000;
export const measurement = "ab".repeat(48);

export const authority = await createSimulatedAuthority(nowMs, systemRandom);
export const chip = await issueSimulatedChip(authority, nowMs, systemRandom);
const log = await generateSigner("log.example", noteKeyType.ed25519);
const otherLog = await generateSigner("other.example", noteKeyType.ed25519);
const witnesses = await Promise.all(
  ["w1.example", "w2.example"].map((name) => generateSigner(name, noteKeyType.cosignature)),
);

/** What policy wants by default; the stage's nodes fit it. */
export const settings: TrustSettings = {
  platform: {
    generations: ["turin"],
    minimumTcb: { turin: simulatedTcb },
    vmpl: 0,
    allowVlek: false,
    allowSmt: true,
    requireAliasCheck: true,
    chips: [encodeHex(chip.hardwareId).padEnd(128, "0")],
  },
  log: [
    `log ${serializeVerifier(log)}`,
    ...witnesses.map((witness, index) => `witness w${index + 1} ${serializeVerifier(witness)}`),
    "group both all w1 w2",
    "quorum both",
  ].join("\n"),
  maxProofAgeMs: dayMs,
  minimumSecurityVersion: 3,
  simulatedRoot: encodeBase64(authority.ark),
};

export const policy = developmentPolicy(settings);

export function policyWith(platform: Partial<TrustSettings["platform"]>): TrustPolicy {
  return developmentPolicy({ ...settings, platform: { ...settings.platform, ...platform } });
}

export function releaseOf(role: Role, changes: Partial<ReleaseStatement> = {}): ReleaseStatement {
  return {
    kind: "release",
    role,
    version: "1.0.0",
    measurements: ["00".repeat(48), measurement],
    code: `sha256:${"00".repeat(32)}`,
    config: `sha256:${"11".repeat(32)}`,
    weights: role !== "orchestrator" ? [`sha256:${"22".repeat(32)}`] : [],
    policies: role === "orchestrator" ? [`sha256:${"33".repeat(32)}`] : [],
    securityVersion: 3,
    issuedAt: nowSeconds - 60,
    expiresAt: nowSeconds + 3600,
    ...changes,
  };
}

export type LogOptions = {
  readonly seenAt?: readonly number[];
  readonly stranger?: boolean;
  readonly unlogged?: boolean;
  readonly wrongKey?: boolean;
};

/** Logs an entry as the fourth of five, with the witnesses' cosignatures. */
export async function prove(entry: Bytes, options: LogOptions = {}): Promise<Bytes> {
  const tree = new HashTree();
  const others = ["a", "b", "c", "e"].map((text) => encodeUtf8(text));
  others.splice(3, 0, options.unlogged === true ? encodeUtf8("d") : entry);
  for (const other of others) tree.append(leafHash(other));
  const signer = options.stranger === true ? otherLog : log;
  const text = serializeCheckpoint({ origin: signer.name, size: tree.size, root: tree.root() });
  const signers = options.wrongKey === true ? [otherLog] : [signer];
  const note = await signNote(text, signers);
  const signatures = [...note.signatures];
  for (const [index, seenAt] of (options.seenAt ?? [nowSeconds, nowSeconds]).entries()) {
    const witness = witnesses[index];
    if (witness !== undefined) signatures.push(await cosign(text, witness, seenAt));
  }
  const path = inclusionProof(3, tree.size, tree.read);
  return serializeProof({ index: 3, path, checkpoint: serializeNote({ ...note, signatures }) });
}

export function bindingOf(role: Role): SessionBinding {
  const [spkiDigest, nonce, exporter, requestDigest] = [1, 2, 3, 4].map(() => systemRandom(32));
  assert.ok(spkiDigest && nonce && exporter && requestDigest);
  return { role, spkiDigest, nonce, exporter, requestDigest };
}

export type NodeOptions = {
  readonly chip?: SimulatedChip;
  readonly overrides?: ReportOverrides;
  readonly release?: Partial<ReleaseStatement>;
  readonly statement?: Bytes;
  readonly log?: LogOptions;
  readonly layers?: readonly SandboxLayer[];
  readonly gpus?: readonly Bytes[];
  readonly peers?: readonly PeerEvidence[];
  readonly batch?: { readonly index: number; readonly size: number };
};

export type Presented = { readonly bundle: EvidenceBundle; readonly binding: SessionBinding };

/** A node of a role, and what it shows to one session. */
export async function present(role: Role, options: NodeOptions = {}): Promise<Presented> {
  const binding = bindingOf(role);
  const statement = options.statement ?? serializeStatement(releaseOf(role, options.release));
  const parts = {
    statement,
    proof: await prove(statement, options.log),
    layers: options.layers ?? sandboxLayers,
    gpus: options.gpus ?? [],
    peers: options.peers ?? [],
  };
  const { index, size } = options.batch ?? { index: 0, size: 1 };
  const leaves = Array.from({ length: size }, () => systemRandom(64));
  leaves[index] = sessionLeaf(binding, boundParts(parts));
  const { reportData, pathFor } = createBatch(leaves);
  const of = options.chip ?? chip;
  const signer = await createReportSigner(of, measurement);
  const report = await signer.sign(reportData, options.overrides);
  return {
    binding,
    bundle: { ...parts, snp: { report, certificates: of.certificates }, batch: pathFor(index) },
  };
}

/** That something throws `AttestationError` with a code, synchronously or later. */
export async function refuses(work: () => unknown, code: AttestationErrorCode): Promise<void> {
  await assert.rejects(
    async () => work(),
    (error: unknown) => {
      assert.ok(error instanceof AttestationError, `${code}: ${error}`);
      assert.equal(error.code, code);
      return true;
    },
    code,
  );
}

/** The little-endian bytes of a number. */
export function le(length: number, value: bigint | number): Bytes {
  const bytes = new Uint8Array(length);
  for (let index = 0, rest = BigInt(value); index < length; index += 1, rest >>= 8n)
    bytes[index] = Number(rest & 0xffn);
  return bytes;
}

/** A copy with some bytes replaced. */
export function patched(bytes: Bytes, offset: number, ...values: readonly number[]): Bytes {
  const copy = bytes.slice();
  copy.set(values, offset);
  return copy;
}
