// Proofs that travel: index, audit path and checkpoint as text (C2SP tlog-proof), and their whole verification.
import { type Bytes, decodeBase64, decodeUtf8, encodeBase64, encodeUtf8 } from "@sotto/base";
import { type Cosignature, parseCheckpoint, verifyCosignature } from "./checkpoint.ts";
import { LogError, strictly } from "./log-error.ts";
import { leafHash, verifyInclusion } from "./merkle.ts";
import { parseNote, verifyNote } from "./note.ts";
import { isQuorumMet, type LogPolicy } from "./policy.ts";

/** `checkpoint` is the signed note, as it is. */
export type TlogProof = {
  readonly index: number;
  readonly path: readonly Bytes[];
  readonly checkpoint: string;
};

const magic = "c2sp.org/tlog-proof@v1";
const maxProofBytes = 64 * 1024;

export function serializeProof(proof: TlogProof): Bytes {
  const path = proof.path.map((hash) => `${encodeBase64(hash)}\n`).join("");
  return encodeUtf8(`${magic}\nindex ${proof.index}\n${path}\n${proof.checkpoint}`);
}

/** Reads a proof; unauthenticated `extra` lines are refused. Throws `LogError`. */
export function parseProof(bytes: Uint8Array): TlogProof {
  return strictly("log proof", () => {
    if (bytes.length > maxProofBytes) throw new LogError("too-large", "log proof: over its limit");
    const text = decodeUtf8(bytes);
    const split = text.indexOf("\n\n");
    const [first, second = "", ...hashes] = split < 0 ? [] : text.slice(0, split).split("\n");
    const index = /^index (0|[1-9]\d{0,14})$/.exec(second)?.[1];
    if (first !== magic || index === undefined || hashes.length > 63) {
      throw new LogError("malformed", "log proof: not in its form");
    }
    const path = hashes.map((line) => decodeBase64(line));
    if (path.some((hash) => hash.length !== 32)) throw new LogError("malformed", "log proof: not a hash");
    return { index: Number(index), path, checkpoint: text.slice(split + 2) };
  });
}

/** An entry that was found in a log, and who vouches for the tree it is in. */
export type LoggedEntry = {
  readonly origin: string;
  readonly index: number;
  readonly size: number;
  readonly root: Bytes;
  readonly witnesses: readonly Cosignature[];
};

export type LoggedEntryClaim = {
  readonly entry: Bytes;
  readonly proof: Uint8Array;
  readonly policy: LogPolicy;
  readonly nowMs: number;
  /** How old the cosignatures that make the quorum may be. */
  readonly maxAgeMs: number;
};

// A witness's clock may run a little ahead of the client's.
const maxFutureMs = 5 * 60_000;

/**
 * Verifies that an entry stands in a log that the policy knows, in a tree that a quorum of witnesses has
 * seen lately. Throws `LogError`: `malformed`, `unknown-log`, `bad-signature`, `quorum-not-met`,
 * `stale-checkpoint`, `not-included`.
 */
export async function verifyLoggedEntry(claim: LoggedEntryClaim): Promise<LoggedEntry> {
  const proof = parseProof(claim.proof);
  const note = parseNote(proof.checkpoint);
  const checkpoint = parseCheckpoint(note.text);
  const log = claim.policy.logs.find(({ verifier }) => verifier.name === checkpoint.origin);
  if (log === undefined) throw new LogError("unknown-log", "log proof: the log is not in the policy");
  const signers = await verifyNote(note, [log.verifier]);
  if (signers.length === 0)
    throw new LogError("bad-signature", "log proof: the log did not sign the checkpoint");

  const witnesses: Cosignature[] = [];
  const present = new Set<number>();
  const fresh = new Set<number>();
  for (const { verifier } of claim.policy.witnesses) {
    const cosignature = await verifyCosignature(note, verifier);
    if (cosignature === undefined) continue;
    witnesses.push(cosignature);
    present.add(verifier.id);
    const ageMs = claim.nowMs - cosignature.timestampMs;
    if (ageMs <= claim.maxAgeMs && ageMs >= -maxFutureMs) fresh.add(verifier.id);
  }
  if (!isQuorumMet(claim.policy, present)) {
    throw new LogError("quorum-not-met", "log proof: too few witnesses signed the checkpoint");
  }
  if (!isQuorumMet(claim.policy, fresh)) {
    throw new LogError("stale-checkpoint", "log proof: the witnesses saw this checkpoint too long ago");
  }
  verifyInclusion({
    index: proof.index,
    size: checkpoint.size,
    leaf: leafHash(claim.entry),
    proof: proof.path,
    root: checkpoint.root,
  });
  const { origin, size, root } = checkpoint;
  return { origin, index: proof.index, size, root, witnesses };
}
