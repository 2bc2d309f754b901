// Proofs that travel: index, audit path and checkpoint as text (C2SP tlog-proof), and their whole verification.
import { type Bytes, decodeBase64, decodeUtf8, encodeBase64, encodeUtf8 } from "@sotto/base";
import { LogError, strictly } from "./log-error.ts";
import { leafHash, verifyInclusion } from "./merkle.ts";
import type { LogPolicy } from "./policy.ts";
import { verifyCheckpoint, type WitnessedCheckpoint } from "./witnessed-checkpoint.ts";

/** `checkpoint` is the signed note, as it is; `extra` is vouched for by nobody. */
export type TlogProof = {
  readonly index: number;
  readonly path: readonly Bytes[];
  readonly checkpoint: string;
  readonly extra?: Bytes;
};

const magic = "c2sp.org/tlog-proof@v1";
const maxProofBytes = 256 * 1024; // 16 post-quantum signatures of 5 kB fit
const maxPathLength = 63;

/** Writes a proof (C2SP tlog-proof). */
export function serializeProof(proof: TlogProof): Bytes {
  const extra = proof.extra === undefined ? "" : `extra ${encodeBase64(proof.extra)}\n`;
  const path = proof.path.map((hash) => `${encodeBase64(hash)}\n`).join("");
  return encodeUtf8(`${magic}\n${extra}index ${proof.index}\n${path}\n${proof.checkpoint}`);
}

/** Reads a proof, in its only form; throws `LogError` (C2SP tlog-proof). */
export function parseProof(bytes: Uint8Array): TlogProof {
  return strictly("log proof", () => {
    if (bytes.length > maxProofBytes) throw new LogError("too-large", "log proof: over its limit");
    const text = decodeUtf8(bytes);
    const split = text.indexOf("\n\n");
    const [first, ...lines] = split < 0 ? [] : text.slice(0, split).split("\n");
    const extra = lines[0]?.startsWith("extra ") === true ? lines.shift()?.slice(6) : undefined;
    const [second = "", ...hashes] = lines;
    const index = /^index (0|[1-9]\d{0,14})$/.exec(second)?.[1];
    if (first !== magic || index === undefined || extra === "" || hashes.length > maxPathLength) {
      throw new LogError("malformed", "log proof: not in its form");
    }
    const path = hashes.map((line) => decodeBase64(line));
    if (path.some((hash) => hash.length !== 32)) throw new LogError("malformed", "log proof: not a hash");
    return {
      index: Number(index),
      path,
      checkpoint: text.slice(split + 2),
      ...(extra === undefined ? {} : { extra: decodeBase64(extra) }),
    };
  });
}

/** An entry that was found in a log, and who vouches for the tree it is in. */
export type LoggedEntry = WitnessedCheckpoint & { readonly index: number };

export type LoggedEntryClaim = {
  readonly entry: Bytes;
  /** A tlog-proof's text. */
  readonly proof: Uint8Array;
  readonly policy: LogPolicy;
  readonly nowMs: number;
  /** How old the cosignatures that make the quorum may be. */
  readonly maxAgeMs: number;
};

/**
 * Verifies that an entry stands in a log that the policy knows, in a tree that a quorum of witnesses has
 * seen lately. Throws `LogError`: `malformed`, `unknown-log`, `bad-signature`, `quorum-not-met`,
 * `stale-checkpoint`, `not-included`.
 */
export async function verifyLoggedEntry(claim: LoggedEntryClaim): Promise<LoggedEntry> {
  const { index, path, checkpoint } = parseProof(claim.proof);
  const { policy, nowMs, maxAgeMs } = claim;
  const witnessed = await verifyCheckpoint({ checkpoint, policy, nowMs, maxAgeMs });
  const { size, root } = witnessed;
  verifyInclusion({ index, size, leaf: leafHash(claim.entry), proof: path, root });
  return { ...witnessed, index };
}
