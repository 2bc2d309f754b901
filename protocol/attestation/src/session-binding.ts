// What ties a report to one channel: the session leaf, and the tree that lets many sessions share a report
// (spec/attested-session.md).
import { type Bytes, ByteWriter, concatBytes, encodeUtf8, equalBytes, sha256, sha512 } from "@sotto/base";
import { HashTree, inclusionProof, inclusionRoot, LogError, leafHash, type Role } from "@sotto/log";
import { AttestationError } from "./attestation-error.ts";

/** The channel as one end sees it; digests, nonce and exporter of 32 bytes each. */
export type SessionBinding = {
  readonly role: Role;
  readonly spkiDigest: Bytes;
  readonly nonce: Bytes;
  readonly exporter: Bytes;
  readonly requestDigest: Bytes;
};

/** What else the report vouches for, serialized: release statement, sandbox layers, GPU evidence and peer evidence. */
export type BoundParts = {
  readonly statement: Bytes;
  readonly layers: Bytes;
  readonly gpus: Bytes;
  readonly peers: Bytes;
};

/** A leaf's place in the tree of the report that it shares. */
export type BatchPath = { readonly index: number; readonly size: number; readonly path: readonly Bytes[] };

export const roleCode: Readonly<Record<Role, number>> = { orchestrator: 1, predictor: 2, guard: 3 };

/** The largest number of sessions that share a report. */
export const maxBatchSize = 4096;

const digestBytes = 32;
const leafDomain = encodeUtf8("sotto-attested-session/1\0");
const batchDomain = encodeUtf8("sotto-attested-batch/1\0");

/** How many bytes `sessionDigests` are: eight fields of 32. */
export const sessionDigestsBytes = 8 * digestBytes;

/**
 * What a leaf is made of besides the role, one after the other: SHA-256(SPKI), nonce, exporter,
 * SHA-256(attest request), SHA-256(statement), SHA-256(layers), SHA-256(gpus), SHA-256(peers).
 */
export function sessionDigests(binding: Omit<SessionBinding, "role">, parts: BoundParts): Bytes {
  const fields = [
    binding.spkiDigest,
    binding.nonce,
    binding.exporter,
    binding.requestDigest,
    sha256(parts.statement),
    sha256(parts.layers),
    sha256(parts.gpus),
    sha256(parts.peers),
  ];
  if (fields.some(({ length }) => length !== digestBytes))
    throw new AttestationError("malformed", "session binding: a field is not 32 bytes");
  return concatBytes(...fields);
}

/**
 * ```
 * leaf = SHA-512("sotto-attested-session/1\0" || u8 role || for each of the session's digests: u32 length || digest)
 * ```
 */
export function leafOfDigests(role: Role, digests: Uint8Array): Bytes {
  if (digests.length !== sessionDigestsBytes)
    throw new AttestationError("malformed", "session binding: not eight digests");
  const writer = new ByteWriter().bytes(leafDomain).u8(roleCode[role]);
  for (let start = 0; start < digests.length; start += digestBytes)
    writer.vector(4, digests.subarray(start, start + digestBytes));
  return sha512(writer.finish());
}

/** The leaf of a session (spec/attested-session.md). */
export function sessionLeaf(binding: SessionBinding, parts: BoundParts): Bytes {
  return leafOfDigests(binding.role, sessionDigests(binding, parts));
}

/** REPORT_DATA = `SHA-512("sotto-attested-batch/1\0" || u32 size || root)`. */
export function batchReportData(size: number, root: Uint8Array): Bytes {
  return sha512(new ByteWriter().bytes(batchDomain).u32(size).bytes(root).finish());
}

/** Joins session leaves into one REPORT_DATA and gives each its path. */
export function createBatch(leaves: readonly Bytes[]): {
  readonly reportData: Bytes;
  readonly pathFor: (index: number) => BatchPath;
} {
  if (leaves.length === 0 || leaves.length > maxBatchSize) {
    throw new AttestationError("too-large", "session batch: empty or over its limit");
  }
  const tree = new HashTree();
  for (const leaf of leaves) tree.append(leafHash(leaf));
  const size = leaves.length;
  return {
    reportData: batchReportData(size, tree.root()),
    pathFor: (index) => ({ index, size, path: inclusionProof(index, size, tree.read) }),
  };
}

/** Checks that a report vouches for a leaf; throws `binding-mismatch`. */
export function verifyBinding(leaf: Bytes, batch: BatchPath, reportData: Bytes): void {
  const { index, size, path } = batch;
  let root: Bytes | undefined;
  try {
    if (size <= maxBatchSize) root = inclusionRoot({ index, size, leaf: leafHash(leaf), proof: path });
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
  }
  if (root === undefined || !equalBytes(batchReportData(size, root), reportData)) {
    throw new AttestationError("binding-mismatch", "the report is not about this session");
  }
}
