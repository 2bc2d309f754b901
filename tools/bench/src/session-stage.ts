// What an attested session needs around it: a simulated chip, a release in a log with a witness, and the policy that
// holds a node to them.
import { createSimulatedChip, developmentPolicy, serializeSimulatedChip } from "@sotto/attestation/software";
import { type Bytes, encodeBase64, systemRandom } from "@sotto/base";
import { generateSigner, noteKeyType, serializeStatement, serializeVerifier } from "@sotto/log";
import { proveStatements } from "../../../protocol/log/test/witnessed-log.ts";

/** What a node shows, and the chip that vouches for it. */
export type SessionStage = {
  /** As `serializeSimulatedChip` writes it. */
  readonly chip: string;
  readonly measurement: string;
  readonly certificates: Bytes;
  readonly orchestrator: Released;
  readonly predictor: Released;
};

/** A release statement and where it stands in the log. */
export type Released = { readonly statement: Bytes; readonly proof: Bytes };

/** Makes all of it; takes a second or two, for the chip's authorities have RSA keys. */
export async function createSessionStage() {
  const nowMs = Date.now();
  const now = Math.floor(nowMs / 1000);
  const measurement = "5a".repeat(48);
  const chip = await createSimulatedChip(nowMs, systemRandom);
  const log = await generateSigner("log.example", noteKeyType.ed25519);
  const witness = await generateSigner("witness.example", noteKeyType.cosignature);
  const release = (role: "orchestrator" | "predictor"): Bytes =>
    serializeStatement({
      kind: "release",
      role,
      version: "1.0.0",
      measurements: [measurement],
      code: `sha256:${"00".repeat(32)}`,
      config: `sha256:${"11".repeat(32)}`,
      weights: [],
      policies: [],
      securityVersion: 1,
      issuedAt: now - 60,
      expiresAt: now + 86_400,
    });
  const statements = [release("orchestrator"), release("predictor")] as const;
  const [first, second] = await proveStatements(statements, { log, witness, seenAt: now });
  if (first === undefined || second === undefined) throw new Error("not proved");
  const policy = developmentPolicy({
    platform: {
      generations: ["turin"],
      minimumTcb: {},
      vmpl: 0,
      allowVlek: false,
      allowSmt: true,
      requireAliasCheck: true,
    },
    log: `log ${serializeVerifier(log)}\nwitness w ${serializeVerifier(witness)}\nquorum w\n`,
    maxProofAgeMs: 86_400_000,
    minimumSecurityVersion: 1,
    simulatedRoot: encodeBase64(chip.ark),
  });
  const stage: SessionStage = {
    chip: serializeSimulatedChip(chip),
    measurement,
    certificates: chip.certificates,
    orchestrator: { statement: statements[0], proof: first },
    predictor: { statement: statements[1], proof: second },
  };
  return { stage, policy };
}
