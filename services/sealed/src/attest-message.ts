// How a sealed process asks for evidence of its session: the channel's digests and the peers it will use. The role is
// not among it: the process that holds the report device knows what it is.
import { type PeerEvidence, parsePeers, type SessionBinding, serializePeers } from "@sotto/attestation";
import { ByteReader, type Bytes, ByteWriter } from "@sotto/base";
import { MessageError } from "./message.ts";

/** What is asked for. */
export type AttestMessage = {
  readonly binding: Omit<SessionBinding, "role">;
  readonly peers: readonly PeerEvidence[];
};

/** `spkiDigest[32] || nonce[32] || exporter[32] || requestDigest[32] || peers`; throws `AttestationError`. */
export function serializeAttestMessage({ binding, peers }: AttestMessage): Bytes {
  return new ByteWriter()
    .bytes(binding.spkiDigest)
    .bytes(binding.nonce)
    .bytes(binding.exporter)
    .bytes(binding.requestDigest)
    .bytes(serializePeers(peers))
    .finish();
}

/** Reads one; throws `MessageError`, `AttestationError`. */
export function parseAttestMessage(content: Bytes): AttestMessage {
  const digestLength = 32;
  if (content.length < 4 * digestLength) throw new MessageError("malformed", "attest message: too short");
  const reader = new ByteReader(content);
  const [spkiDigest, nonce, exporter, requestDigest] = [
    reader.bytes(digestLength),
    reader.bytes(digestLength),
    reader.bytes(digestLength),
    reader.bytes(digestLength),
  ];
  return { binding: { spkiDigest, nonce, exporter, requestDigest }, peers: parsePeers(reader.rest()) };
}
