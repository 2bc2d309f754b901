// What the client asks for after the handshake, and the channel that the evidence must be about
// (spec/attested-session.md).
import type { SessionBinding } from "@sotto/attestation";
import { type Bytes, type Random, sha256 } from "@sotto/base";
import type { SecureChannel } from "./channel.ts";
import { attestVersion, exporterLabels, exporterLength, limits, nonceLength } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";

/** `u8 version = 1 || nonce[32]` */
export function serializeAttestRequest(nonce: Bytes): Bytes {
  const bytes = new Uint8Array(limits.attestRequest);
  bytes[0] = attestVersion;
  bytes.set(nonce, 1);
  return bytes;
}

/** Returns the nonce; throws `malformed`. */
export function parseAttestRequest(request: Bytes): Bytes {
  if (request.length !== limits.attestRequest || request[0] !== attestVersion) {
    throw new RatlsError("malformed", "attest request: not in its form");
  }
  return request.slice(1, 1 + nonceLength);
}

/** Which end attests, and what that node is. */
export type Attesting = { readonly end: keyof typeof exporterLabels; readonly role: SessionBinding["role"] };

/**
 * The channel as this end sees it: the exporter is its own, never one that the peer named (RFC 8446 Section 7.5).
 *
 * `spkiDigest` is that of the server's key whichever end attests: it names the channel. The server knows it, and the client
 * took it from the handshake.
 */
export function bindChannel(
  channel: Pick<SecureChannel, "exportKeyingMaterial">,
  attesting: Attesting,
  spkiDigest: Bytes,
  request: Bytes,
): SessionBinding {
  const nonce = parseAttestRequest(request);
  const requestDigest = sha256(request);
  const label = exporterLabels[attesting.end];
  const exporter = channel.exportKeyingMaterial(label, requestDigest, exporterLength);
  return { role: attesting.role, spkiDigest, nonce, exporter, requestDigest };
}

/** Asks for evidence over a new nonce: the request to send, and the channel that the evidence must be about. */
export function createAttestRequest(
  channel: Pick<SecureChannel, "exportKeyingMaterial">,
  attesting: Attesting,
  spkiDigest: Bytes,
  random: Random,
): { readonly request: Bytes; readonly binding: SessionBinding } {
  const request = serializeAttestRequest(random(nonceLength));
  return { request, binding: bindChannel(channel, attesting, spkiDigest, request) };
}
