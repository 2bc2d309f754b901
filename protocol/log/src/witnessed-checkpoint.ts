// A checkpoint that a policy accepts: signed by one of its logs, and seen lately by a quorum of its witnesses.
import type { Bytes } from "@sotto/base";
import { type Cosignature, parseCheckpoint, verifyCosignature } from "./checkpoint.ts";
import type { Verifier } from "./key.ts";
import { LogError } from "./log-error.ts";
import { parseNote, verifyNote } from "./note.ts";
import { isQuorumMet, type LogPolicy } from "./policy.ts";

/** `checkpoint` is the signed note, as it was; `witnesses` are those that count. */
export type WitnessedCheckpoint = {
  readonly origin: string;
  readonly size: number;
  readonly root: Bytes;
  readonly witnesses: readonly Cosignature[];
  readonly checkpoint: string;
};

export type CheckpointClaim = {
  readonly checkpoint: string;
  readonly policy: LogPolicy;
  readonly nowMs: number;
  /** How old the cosignatures that make the quorum may be. */
  readonly maxAgeMs: number;
};

// A witness's clock may run a little ahead of the reader's.
const maxFutureMs = 5 * 60_000;

/**
 * Verifies a checkpoint against a policy. Freshness is that of the cosignatures, so under `quorum none` there is none.
 *
 * Throws `LogError`: `malformed`, `unknown-log`, `bad-signature`, `quorum-not-met`, `stale-checkpoint`.
 */
export async function verifyCheckpoint(claim: CheckpointClaim): Promise<WitnessedCheckpoint> {
  const note = parseNote(claim.checkpoint);
  const { origin, size, root } = parseCheckpoint(note.text);
  const logs = claim.policy.logs.map(({ verifier }) => verifier).filter(({ name }) => name === origin);
  if (logs.length === 0) throw new LogError("unknown-log", "checkpoint: the log is not in the policy");
  if ((await verifyNote(note, logs)).length === 0) {
    throw new LogError("bad-signature", "checkpoint: its log did not sign it");
  }
  const witnesses: Cosignature[] = [];
  const present: Verifier[] = [];
  const fresh: Verifier[] = [];
  for (const { verifier } of claim.policy.witnesses) {
    const cosignature = await verifyCosignature(note, verifier);
    if (cosignature === undefined) continue;
    present.push(verifier);
    const ageMs = claim.nowMs - cosignature.timestampMs;
    if (!(ageMs <= claim.maxAgeMs && ageMs >= -maxFutureMs)) continue;
    fresh.push(verifier);
    witnesses.push(cosignature);
  }
  if (!isQuorumMet(claim.policy, present)) {
    throw new LogError("quorum-not-met", "checkpoint: too few witnesses signed it");
  }
  if (!isQuorumMet(claim.policy, fresh)) {
    throw new LogError("stale-checkpoint", "checkpoint: the witnesses saw it too long ago");
  }
  return { origin, size, root, witnesses, checkpoint: claim.checkpoint };
}
