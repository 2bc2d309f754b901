// Merkle trees (RFC 6962 Section 2.1): hashes, inclusion and consistency proofs, and their verification.
import { type Bytes, equalBytes, sha256 } from "@sotto/base";
import { LogError } from "./log-error.ts";

const leafPrefix = new Uint8Array([0x00]);
const nodePrefix = new Uint8Array([0x01]);

/** `MTH({d}) = SHA-256(0x00 || d)` (RFC 6962 Section 2.1). */
export function leafHash(data: Uint8Array): Bytes {
  return sha256(leafPrefix, data);
}

/** `SHA-256(0x01 || left || right)` (RFC 6962 Section 2.1). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Bytes {
  return sha256(nodePrefix, left, right);
}

/** Root of the empty tree. */
export const emptyRoot: Bytes = sha256(new Uint8Array());

/** Gives the hash of the complete subtree of 2^level leaves that starts at leaf index × 2^level. */
export type HashReader = (level: number, index: number) => Bytes;

/** Root of the first `size` leaves. */
export function treeRoot(size: number, read: HashReader): Bytes {
  return size === 0 ? emptyRoot : rangeRoot(0, size, read);
}

/** Audit path of a leaf in the tree of `size` leaves, leaf to root (RFC 6962 Section 2.1.1). */
export function inclusionProof(index: number, size: number, read: HashReader): Bytes[] {
  if (index >= size) throw new LogError("malformed", "inclusion proof: index outside the tree");
  const path: Bytes[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const split = start + splitPoint(end - start);
    if (index < split) {
      path.unshift(rangeRoot(split, end, read));
      end = split;
    } else {
      path.unshift(rangeRoot(start, split, read));
      start = split;
    }
  }
  return path;
}

/** Proof that the tree of `oldSize` leaves is a prefix of that of `newSize` (RFC 6962 Section 2.1.2). */
export function consistencyProof(oldSize: number, newSize: number, read: HashReader): Bytes[] {
  if (oldSize > newSize) throw new LogError("malformed", "consistency proof: sizes out of order");
  if (oldSize === 0 || oldSize === newSize) return [];
  const prove = (start: number, end: number, whole: boolean): Bytes[] => {
    if (end === oldSize) return whole ? [] : [rangeRoot(start, end, read)];
    const split = start + splitPoint(end - start);
    return oldSize <= split
      ? [...prove(start, split, whole), rangeRoot(split, end, read)]
      : [...prove(split, end, false), rangeRoot(start, split, read)];
  };
  return prove(0, newSize, true);
}

export type InclusionClaim = {
  readonly index: number;
  readonly size: number;
  readonly leaf: Bytes;
  readonly proof: readonly Bytes[];
  readonly root: Bytes;
};

/** Checks an audit path; throws `LogError` with `not-included` (RFC 9162 Section 2.1.3.2). */
export function verifyInclusion(claim: InclusionClaim): void {
  if (!equalBytes(inclusionRoot(claim), claim.root)) throw notIncluded();
}

/** The root that an audit path leads to, whatever it is worth; throws `LogError` with `not-included`. */
export function inclusionRoot(claim: Omit<InclusionClaim, "root">): Bytes {
  const { index, size, leaf, proof } = claim;
  if (!isSize(index) || !isSize(size) || index >= size) throw notIncluded();
  if (leaf.length !== 32 || proof.some((hash) => hash.length !== 32)) throw notIncluded();
  let fn = index;
  let sn = size - 1;
  let hash = leaf;
  for (const sibling of proof) {
    if (sn === 0) throw notIncluded();
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(sibling, hash);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else hash = nodeHash(hash, sibling);
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  if (sn !== 0) throw notIncluded();
  return hash;
}

function notIncluded(): LogError {
  return new LogError("not-included", "inclusion proof does not lead to the root");
}

export type ConsistencyClaim = {
  readonly oldSize: number;
  readonly newSize: number;
  readonly oldRoot: Bytes;
  readonly newRoot: Bytes;
  readonly proof: readonly Bytes[];
};

/** Checks a consistency proof; throws `LogError` with `inconsistent` (RFC 9162 Section 2.1.4.2). */
export function verifyConsistency(claim: ConsistencyClaim): void {
  const { oldSize, newSize, oldRoot, newRoot } = claim;
  const refuse = (): never => {
    throw new LogError("inconsistent", "consistency proof does not join the two trees");
  };
  if (!isSize(oldSize) || !isSize(newSize) || oldSize > newSize) refuse();
  if (claim.proof.some((hash) => hash.length !== 32)) refuse();
  // Every tree continues the empty one; there is nothing to prove, and callers must not think there was.
  if (oldSize === 0) refuse();
  if (oldSize === newSize) {
    if (claim.proof.length > 0 || !equalBytes(oldRoot, newRoot)) refuse();
    return;
  }
  // A tree whose size is a power of two is a node of the new one, and so left out of the proof.
  const proof = isPowerOfTwo(oldSize) ? [oldRoot, ...claim.proof] : claim.proof;
  let fn = oldSize - 1;
  let sn = newSize - 1;
  while (fn % 2 === 1) {
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  if (proof.length === 0) refuse();
  let oldHash = proof[0] ?? emptyRoot;
  let newHash = oldHash;
  for (const hash of proof.slice(1)) {
    if (sn === 0) refuse();
    if (fn % 2 === 1 || fn === sn) {
      oldHash = nodeHash(hash, oldHash);
      newHash = nodeHash(hash, newHash);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else newHash = nodeHash(newHash, hash);
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  if (sn !== 0 || !equalBytes(oldHash, oldRoot) || !equalBytes(newHash, newRoot)) refuse();
}

/** Root of leaves start..end; `start` is a multiple of the largest power of two below the length. */
function rangeRoot(start: number, end: number, read: HashReader): Bytes {
  const length = end - start;
  if (isPowerOfTwo(length)) return read(heightOf(length), start / length);
  const split = start + splitPoint(length);
  return nodeHash(rangeRoot(start, split, read), rangeRoot(split, end, read));
}

// Doubling is exact for every size allowed here; a logarithm is not: log2(2^48 + 1) is 48.

/** The largest power of two smaller than n, for n of at least 2. */
function splitPoint(n: number): number {
  let split = 1;
  while (split * 2 < n) split *= 2;
  return split;
}

function isPowerOfTwo(n: number): boolean {
  return n === 1 || splitPoint(n) * 2 === n;
}

/** k for 2^k. */
function heightOf(power: number): number {
  let height = 0;
  for (let rest = power; rest > 1; rest /= 2) height += 1;
  return height;
}

function isSize(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0 && n <= 2 ** 48;
}
