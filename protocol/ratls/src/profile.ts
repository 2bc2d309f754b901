// The attested session's constants (spec/attested-session.md): TLS profile, labels, limits.
import { constants } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import type { Bytes } from "@sotto/base";

/** Application protocol that both ends insist on (RFC 7301). */
export const alpn = "sotto/1";
export const hybridGroup = "X25519MLKEM768";
export const classicalGroup = "X25519";

/** Label of the exporter that evidence is bound to (RFC 8446 Section 7.5). */
export const exporterLabel = "EXPORTER-sotto-attested-session-1-server";
export const exporterLength = 32;

/** TLS 1.3 and its two suites only; no tickets (RFC 8446). */
export const tlsProfile = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
  sigalgs: "ecdsa_secp256r1_sha256",
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const satisfies SecureContextOptions;

/** Certificates live as long as a session may, with room for clocks that differ. */
export const certificateLifetimeMs = 50 * 60_000;
export const maxCertificateLifetimeMs = 60 * 60_000;
export const clockSkewMs = 5 * 60_000;

/** Limits of frame contents, in bytes. */
export const limits = {
  attestRequest: 33, // version and nonce
  attestResponse: 256 * 1024,
  request: 1024 * 1024,
  response: 64 * 1024,
  error: 64,
  padding: 1024 * 1024,
} as const;

export const attestVersion = 1;
export const nonceLength = 32;

/** `u8 version = 1 || nonce[32]` */
export function serializeAttestRequest(nonce: Bytes): Bytes {
  const bytes = new Uint8Array(1 + nonceLength);
  bytes[0] = attestVersion;
  bytes.set(nonce, 1);
  return bytes;
}
