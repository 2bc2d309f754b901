// What the session tests play on: a simulated chip, a log with a witness, releases in it, and links that can be
// listened to, cut and bent.
import { Duplex } from "node:stream";
import {
  boundParts,
  createBatch,
  type EvidenceBundle,
  type SessionBinding,
  sandboxLayers,
  sessionLeaf,
} from "@sotto/attestation";
import {
  createReportSigner,
  createSimulatedChip,
  developmentPolicy,
  type ReportSigner,
} from "@sotto/attestation/software";
import { type Bytes, copyBytes, encodeBase64, systemRandom } from "@sotto/base";
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
import type { SessionAttester } from "../src/index.ts";

const measurement = "5a".repeat(48);
const roles = ["orchestrator", "predictor", "guard"] as const;

type Released = Pick<EvidenceBundle, "statement" | "proof">;

/** Makes hardware, log and policy; takes about a second, for the chip's authorities have RSA keys. */
export async function createStage() {
  const nowMs = Date.now();
  const chip = await createSimulatedChip(nowMs, systemRandom);
  const signer = await createReportSigner(chip, measurement);
  const log = await generateSigner("log.example", noteKeyType.ed25519);
  const witness = await generateSigner("witness.example", noteKeyType.cosignature);
  const nowSeconds = Math.floor(nowMs / 1000);
  const statements = roles.map((role) =>
    serializeStatement({
      kind: "release",
      role,
      version: "1.0.0",
      measurements: [measurement],
      code: `sha256:${"00".repeat(32)}`,
      config: `sha256:${"11".repeat(32)}`,
      weights: role !== "orchestrator" ? [`sha256:${"22".repeat(32)}`] : [],
      policies: [],
      securityVersion: 1,
      issuedAt: nowSeconds - 60,
      expiresAt: nowSeconds + 3600,
    }),
  );
  const tree = new HashTree();
  for (const statement of statements) tree.append(leafHash(statement));
  const text = serializeCheckpoint({ origin: log.name, size: tree.size, root: tree.root() });
  const note = await signNote(text, [log]);
  const checkpoint = serializeNote({
    ...note,
    signatures: [...note.signatures, await cosign(text, witness, nowSeconds)],
  });
  const releases = new Map<Role, Released>();
  for (const [index, role] of roles.entries()) {
    const path = inclusionProof(index, tree.size, tree.read);
    const proof = serializeProof({ index, path, checkpoint });
    releases.set(role, { statement: statements[index] ?? new Uint8Array(), proof });
  }
  const policy = developmentPolicy({
    platform: {
      generations: ["turin"],
      minimumTcb: {},
      vmpl: 0,
      allowVlek: false,
      allowSmt: true,
      requireAliasCheck: true,
    },
    log: [`log ${serializeVerifier(log)}`, `witness w ${serializeVerifier(witness)}`, "quorum w", ""].join(
      "\n",
    ),
    maxProofAgeMs: 3_600_000,
    minimumSecurityVersion: 1,
    simulatedRoot: encodeBase64(chip.ark),
  });
  /** Evidence for sessions, with the release of `role`. */
  const attester = (role: Role): SessionAttester => ({
    attest: (binding) => attest(binding, signer, chip.certificates, releases.get(role)),
  });
  return { policy, attester };
}

export type Stage = Awaited<ReturnType<typeof createStage>>;

async function attest(
  binding: SessionBinding,
  signer: ReportSigner,
  certificates: Bytes,
  released: Released | undefined,
): Promise<EvidenceBundle> {
  if (released === undefined) throw new Error("no such release");
  const parts = { ...released, layers: sandboxLayers, gpus: [], peers: [] };
  const { reportData, pathFor } = createBatch([sessionLeaf(binding, boundParts(parts))]);
  const report = await signer.sign(reportData);
  return { ...parts, snp: { report, certificates }, batch: pathFor(0) };
}

/** Sees what is written at one end, and says what arrives at the other. */
export type Tap = (bytes: Bytes) => readonly (Uint8Array | "end")[];

class LinkEnd extends Duplex {
  other: LinkEnd | undefined;
  readonly #tap: Tap;
  #waiting: (() => void) | undefined;
  #isOver = false;

  constructor(tap: Tap) {
    super();
    this.#tap = tap;
  }

  override _read(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    const bytes = this.#tap(copyBytes(chunk));
    // Not within the write, for the two ends must not run inside each other.
    queueMicrotask(() => this.other?.arrive(bytes, callback));
  }

  override _final(callback: () => void): void {
    queueMicrotask(() => this.other?.arrive(["end"], () => {}));
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    queueMicrotask(() => this.other?.arrive(["end"], () => {}));
    callback(error);
  }

  /** Called by the other end, which goes on when what it wrote has been taken. */
  arrive(items: ReturnType<Tap>, taken: () => void): void {
    let hasRoom = true;
    for (const item of items) {
      if (this.destroyed || this.#isOver) break;
      this.#isOver = item === "end";
      hasRoom = this.push(item === "end" ? null : Buffer.from(item));
    }
    if (hasRoom || this.#isOver) taken();
    else this.#waiting = taken;
  }
}

const straight: Tap = (bytes) => [bytes];

/** Two ends of a byte stream in memory; taps see what the client and what the server writes. */
export function createLink(taps: { readonly client?: Tap; readonly server?: Tap } = {}) {
  const client = new LinkEnd(taps.client ?? straight);
  const server = new LinkEnd(taps.server ?? straight);
  client.other = server;
  server.other = client;
  return { client, server };
}
