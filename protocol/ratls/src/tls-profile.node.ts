// The profile's TLS as Node's own is told it.
import { constants } from "node:crypto";
import type { SecureContextOptions } from "node:tls";

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
