// Everything that a node shows of itself and of the peers it will use, as bytes (spec/attested-session.md).
import { ByteReader, type Bytes, ByteWriter } from "@sotto/base";
import type { Role } from "@sotto/log";
import { AttestationError, strictly } from "./attestation-error.ts";
import { parseSandboxLayers, type SandboxLayer, serializeSandboxLayers } from "./sandbox.ts";
import { type BatchPath, type BoundParts, roleCode, type SessionBinding } from "./session-binding.ts";
import type { SnpEvidence } from "./snp/evidence.ts";

/** One node's evidence; unverified. `layers` are in canonical order; `gpus` holds one opaque item a GPU. */
export type EvidenceBundle = {
  readonly snp: SnpEvidence;
  readonly batch: BatchPath;
  readonly statement: Bytes;
  readonly proof: Bytes;
  readonly layers: readonly SandboxLayer[];
  readonly gpus: readonly Bytes[];
  readonly peers: readonly PeerEvidence[];
};

/** Evidence of a peer, with the binding that only the two ends of that other channel can recompute. */
export type PeerEvidence = { readonly binding: SessionBinding; readonly bundle: EvidenceBundle };

type BoundEvidence = Pick<EvidenceBundle, "statement" | "layers" | "gpus" | "peers">;

export const maxBundleBytes = 256 * 1024;
const formatVersion = 1;
const maxPeers = 8;
const maxGpus = 16;
const maxPath = 12; // for the 4096 sessions of the largest batch
const maxReportBytes = 4 * 1024;
const maxTableBytes = 32 * 1024;
const maxProofBytes = 64 * 1024;

/**
 * ```
 * u8 version = 1 || opaque report<2> || opaque certificates<2> || u32 index || u32 size || u8 count, 32 bytes each
 *   || opaque statement<2> || opaque proof<3> || u16 layers || opaque gpus<3> || opaque peers<3>
 * ```
 */
export function serializeEvidenceBundle(bundle: EvidenceBundle): Bytes {
  const bytes = strictly("evidence", () => writeBundle(bundle));
  // What this writes, the other end must be able to read.
  parseEvidenceBundle(bytes);
  return bytes;
}

function writeBundle(bundle: EvidenceBundle): Bytes {
  const { snp, batch, proof } = bundle;
  const writer = new ByteWriter()
    .u8(formatVersion)
    .vector(2, snp.report)
    .vector(2, snp.certificates)
    .u32(batch.index)
    .u32(batch.size)
    .u8(batch.path.length);
  for (const hash of batch.path) writer.bytes(requireHash(hash));
  const { statement, layers, gpus, peers } = writeBoundParts(bundle);
  writer.vector(2, statement).vector(3, proof).bytes(layers);
  return writer.vector(3, gpus).vector(3, peers).finish();
}

/** Reads a bundle; peers may not have peers of their own. Throws `AttestationError`. */
export function parseEvidenceBundle(bytes: Uint8Array): EvidenceBundle {
  if (bytes.length > maxBundleBytes) throw new AttestationError("too-large", "evidence: over its limit");
  return strictly("evidence", () => {
    const reader = new ByteReader(bytes);
    const bundle = readBundle(reader, true);
    reader.end();
    return bundle;
  });
}

/** The parts of a bundle as the session leaf hashes them; throws `AttestationError`. */
export function boundParts(bundle: BoundEvidence): BoundParts {
  return strictly("evidence", () => writeBoundParts(bundle));
}

function writeBoundParts(bundle: BoundEvidence): BoundParts {
  const gpus = new ByteWriter();
  for (const gpu of bundle.gpus) gpus.vector(3, gpu);
  const layers = serializeSandboxLayers(bundle.layers);
  return { statement: bundle.statement, layers, gpus: gpus.finish(), peers: writePeers(bundle.peers) };
}

/** Peers as they stand in a bundle; throws `AttestationError`. */
export function serializePeers(peers: readonly PeerEvidence[]): Bytes {
  const bytes = strictly("evidence", () => writePeers(peers));
  parsePeers(bytes);
  return bytes;
}

/** Reads what `serializePeers` writes; throws `AttestationError`. */
export function parsePeers(bytes: Bytes): PeerEvidence[] {
  return strictly("evidence", () => readList(bytes, maxPeers, readPeer));
}

function writePeers(peers: readonly PeerEvidence[]): Bytes {
  const writer = new ByteWriter();
  for (const { binding, bundle } of peers) {
    writer.u8(roleCode[binding.role]);
    for (const field of [binding.spkiDigest, binding.nonce, binding.exporter, binding.requestDigest])
      writer.bytes(requireHash(field));
    writer.vector(3, writeBundle(bundle));
  }
  return writer.finish();
}

function requireHash(bytes: Bytes): Bytes {
  if (bytes.length !== 32) throw new AttestationError("malformed", "evidence: a hash is not 32 bytes");
  return bytes;
}

function readBundle(reader: ByteReader, mayHavePeers: boolean): EvidenceBundle {
  if (reader.u8() !== formatVersion)
    throw new AttestationError("unsupported-version", "evidence: unknown version");
  const report = reader.vector(2, maxReportBytes);
  const certificates = reader.vector(2, maxTableBytes);
  const index = reader.u32();
  const size = reader.u32();
  const count = reader.u8();
  if (count > maxPath) throw new AttestationError("too-large", "evidence: batch path over its limit");
  const path = Array.from({ length: count }, () => reader.bytes(32));
  const statement = reader.vector(2, 0xffff);
  const proof = reader.vector(3, maxProofBytes);
  const layers = parseSandboxLayers(reader.bytes(2));
  const gpus = readList(reader.vector(3, maxBundleBytes), maxGpus, (list) => list.vector(3, maxBundleBytes));
  const peers = readList(reader.vector(3, maxBundleBytes), mayHavePeers ? maxPeers : 0, readPeer);
  return {
    snp: { report, certificates },
    batch: { index, size, path },
    ...{ statement, proof, layers, gpus, peers },
  };
}

function readPeer(reader: ByteReader): PeerEvidence {
  const code = reader.u8();
  const role = Object.entries(roleCode).find(([, known]) => known === code)?.[0];
  if (!isRole(role)) throw new AttestationError("malformed", "evidence: unknown role");
  const [spkiDigest, nonce, exporter, requestDigest] = [
    reader.bytes(32),
    reader.bytes(32),
    reader.bytes(32),
    reader.bytes(32),
  ];
  const inner = new ByteReader(reader.vector(3, maxBundleBytes));
  const bundle = readBundle(inner, false);
  inner.end();
  return { binding: { role, spkiDigest, nonce, exporter, requestDigest }, bundle };
}

function readList<T>(bytes: Bytes, max: number, read: (reader: ByteReader) => T): T[] {
  const reader = new ByteReader(bytes);
  const items: T[] = [];
  while (reader.remaining > 0) {
    if (items.length === max) throw new AttestationError("too-large", "evidence: too many items");
    items.push(read(reader));
  }
  return items;
}

function isRole(role: string | undefined): role is Role {
  return role !== undefined && role in roleCode;
}
