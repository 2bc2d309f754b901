// How a sealed process asks for evidence of one of its sessions: which of them, the channel's digests, and the peers it
// will use. The role is not among it: the process that holds the report device knows what it is.
import { type PeerEvidence, parsePeers, type SessionBinding, serializePeers } from "@sotto/attestation";
import { ByteReader, type Bytes, ByteWriter } from "@sotto/base";
import { MessageError, parseWord, type StreamName, serializeWord, streamNames } from "./message.ts";

/** What is asked for. */
export type AttestMessage = {
  readonly stream: StreamName;
  readonly binding: Omit<SessionBinding, "role">;
  readonly peers: readonly PeerEvidence[];
};

const digestLength = 32;

/** `u8 stream || spkiDigest[32] || nonce[32] || exporter[32] || requestDigest[32] || peers`; throws `AttestationError`. */
export function serializeAttestMessage({ stream, binding, peers }: AttestMessage): Bytes {
  return new ByteWriter()
    .bytes(serializeWord(streamNames, stream))
    .bytes(binding.spkiDigest)
    .bytes(binding.nonce)
    .bytes(binding.exporter)
    .bytes(binding.requestDigest)
    .bytes(serializePeers(peers))
    .finish();
}

/** Reads one; throws `MessageError`, `AttestationError`. */
export function parseAttestMessage(content: Bytes): AttestMessage {
  if (content.length < 1 + 4 * digestLength) throw new MessageError("malformed", "attest message: too short");
  const reader = new ByteReader(content);
  const stream = parseWord(streamNames, reader.u8());
  const [spkiDigest, nonce, exporter, requestDigest] = [
    reader.bytes(digestLength),
    reader.bytes(digestLength),
    reader.bytes(digestLength),
    reader.bytes(digestLength),
  ];
  return {
    stream,
    binding: { spkiDigest, nonce, exporter, requestDigest },
    peers: parsePeers(reader.rest()),
  };
}
