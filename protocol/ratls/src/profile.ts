// The attested session's constants (spec/attested-session.md): TLS profile, labels, limits.
import { constants } from "node:crypto";
import type { SecureContextOptions } from "node:tls";

/** Application protocol that both ends insist on (RFC 7301). */
export const alpn = "sotto/1";
export const hybridGroup = "X25519MLKEM768";
export const classicalGroup = "X25519";

/** Label and length of the exporter that evidence is bound to (RFC 8446 Section 7.5). */
export const exporterLabel = "EXPORTER-sotto-attested-session-1-server";
export const exporterLength = 32;

/**
 * TLS 1.3, two suites, one signature scheme, no authorities (RFC 8446).
 *
 * Tickets are not among Node's options: processes that accept sessions run with `openssl.cnf`, and clients refuse
 * a session that brings one.
 */
export const tlsProfile = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
  sigalgs: "ecdsa_secp256r1_sha256",
  // SSL_OP_NO_TICKET alone would turn stateless tickets into stateful ones; it stands here against resumption.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  // Not an empty default: Node would read its hundred and more authorities, milliseconds in a fresh process.
  ca: [],
} as const satisfies SecureContextOptions;

/** Groups to offer: the hybrid one, and X25519 after it only for who asks for that. */
export function offeredGroups(allowClassical: boolean): string {
  return allowClassical ? `${hybridGroup}:${classicalGroup}` : hybridGroup;
}

/** Certificates live as long as a session may, with room for clocks that differ. */
export const certificateLifetimeMs = 50 * 60_000;
export const maxCertificateLifetimeMs = 60 * 60_000;
export const clockSkewMs = 5 * 60_000;

export const attestVersion = 1;
export const nonceLength = 32;

/** Limits of content and padding together, in bytes. */
export const limits = {
  attestRequest: 1 + nonceLength,
  attestResponse: 256 * 1024,
  request: 1024 * 1024,
  response: 64 * 1024,
  /** Of the answer's last frame, which is always padded to this, so that a failure looks like an end. */
  last: 64,
} as const;

/** Sizes of answers show in steps of this many bytes only. */
export const answerPadding = 256;
