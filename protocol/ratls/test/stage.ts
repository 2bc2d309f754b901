// What the session tests play on: a simulated chip, a log with a witness, releases in it, and links that can be
// listened to, cut and bent.
import { Duplex } from "node:stream";
import {
  boundParts,
  createBatch,
  type EvidenceBundle,
  type PeerEvidence,
  type SandboxLayer,
  type SessionBinding,
  sandboxLayers,
  sessionLeaf,
  type TrustSettings,
} from "@sotto/attestation";
import { createReportSigner, createSimulatedChip, developmentPolicy } from "@sotto/attestation/software";
import { type Bytes, copyBytes, encodeBase64, systemRandom } from "@sotto/base";
import { generateSigner, noteKeyType, type Role, serializeStatement, serializeVerifier } from "@sotto/log";
import { proveStatements } from "../../log/test/witnessed-log.ts";
import type { SessionAttester } from "../src/server.node.ts";
import { asByteStream } from "./byte-stream.ts";

const measurements = { first: "5a".repeat(48), second: "a5".repeat(48) } as const;
const roles = ["orchestrator", "predictor", "guard"] as const;

type Released = Pick<EvidenceBundle, "statement" | "proof">;

/** Makes hardware, log and policy; takes about a second, for the chip's authorities have RSA keys. */
export async function createStage() {
  const nowMs = Date.now();
  const chip = await createSimulatedChip(nowMs, systemRandom);
  const signers = {
    first: await createReportSigner(chip, measurements.first),
    second: await createReportSigner(chip, measurements.second),
  };
  const log = await generateSigner("log.example", noteKeyType.ed25519);
  const witness = await generateSigner("witness.example", noteKeyType.cosignature);
  const nowSeconds = Math.floor(nowMs / 1000);
  const versions = ["1.0.0", "1.0.1"] as const;
  const all = roles.flatMap((role) => versions.map((version) => ({ role, version })));
  const statements = all.map(({ role, version }) =>
    serializeStatement({
      kind: "release",
      role,
      version,
      measurements: [measurements.first, measurements.second],
      code: `sha256:${"00".repeat(32)}`,
      config: `sha256:${"11".repeat(32)}`,
      weights: role !== "orchestrator" ? [`sha256:${"22".repeat(32)}`] : [],
      policies: [],
      securityVersion: 1,
      issuedAt: nowSeconds - 60,
      expiresAt: nowSeconds + 3600,
    }),
  );
  const proofs = await proveStatements(statements, { log, witness, seenAt: nowSeconds });
  const releases = new Map<string, Released>();
  for (const [index, { role, version }] of all.entries()) {
    const [statement, proof] = [statements[index], proofs[index]];
    if (statement !== undefined && proof !== undefined)
      releases.set(`${role} ${version}`, { statement, proof });
  }
  const settings: TrustSettings = {
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
  };
  const policy = developmentPolicy(settings);
  /** Evidence for sessions, with a release of `role`; an orchestrator relies on a predictor unless told otherwise. */
  const attester = (role: Role, given: Attesting = {}): SessionAttester => ({
    attest: async (binding) => {
      const { version = "1.0.0", vcpus = "first", layers = sandboxLayers } = given;
      const peers = given.peers ?? (role === "orchestrator" ? [await predictor] : []);
      const released = releases.get(`${role} ${version}`);
      if (released === undefined) throw new Error("no such release");
      const parts = { ...released, layers, gpus: [], peers };
      const { reportData, pathFor } = createBatch([sessionLeaf(binding, boundParts(parts))]);
      const report = await signers[vcpus].sign(reportData);
      return { ...parts, snp: { report, certificates: chip.certificates }, batch: pathFor(0) };
    },
  });
  /** Evidence of a node for some channel, as an orchestrator shows it of whom it would ask. */
  const peer = async (role: "predictor" | "guard"): Promise<PeerEvidence> => {
    const binding = someBinding(role);
    return { binding, bundle: await attester(role).attest(binding) };
  };
  const predictor = peer("predictor");
  /** A report of the chip's over 64 bytes of one's own choosing, which no node would give. */
  const report = async (data: Bytes) => ({
    report: await signers.first.sign(data),
    certificates: chip.certificates,
  });
  return { policy, settings, attester, peer, report };
}

/** What may be different about a node: its release, how many processors it has, whom it relies on, its sandbox. */
export type Attesting = {
  readonly version?: "1.0.0" | "1.0.1";
  readonly vcpus?: "first" | "second";
  readonly peers?: readonly PeerEvidence[];
  readonly layers?: readonly SandboxLayer[];
};

/** Some channel of a node's, of which nobody here holds an end. */
export function someBinding<Of extends Role>(role: Of): SessionBinding & { readonly role: Of } {
  const field = (): Bytes => systemRandom(32);
  return { role, spkiDigest: field(), nonce: field(), exporter: field(), requestDigest: field() };
}

export type Stage = Awaited<ReturnType<typeof createStage>>;

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

/** Two ends of a byte stream in memory; `stream` is the client's as sessions take it, taps see what either end writes. */
export function createLink(taps: { readonly client?: Tap; readonly server?: Tap } = {}) {
  const client = new LinkEnd(taps.client ?? straight);
  const server = new LinkEnd(taps.server ?? straight);
  client.other = server;
  server.other = client;
  return { client, server, stream: asByteStream(client) };
}
