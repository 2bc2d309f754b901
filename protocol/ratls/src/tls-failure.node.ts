// What OpenSSL and the stream below say went wrong, as codes of ours.
import {
  endlessHandshake,
  type HandshakeErrorCode,
  handshakeFailure,
  type RatlsError,
  recordFailure,
  truncation,
} from "./ratls-error.ts";

// Reasons of OpenSSL as Node names them; an alert is what the peer found wrong.
const reasons: Readonly<Record<string, HandshakeErrorCode>> = {
  UNSUPPORTED_PROTOCOL: "tls-version",
  TLSV1_ALERT_PROTOCOL_VERSION: "tls-version",
  NO_APPLICATION_PROTOCOL: "wrong-protocol",
  TLSV1_ALERT_NO_APPLICATION_PROTOCOL: "wrong-protocol",
  NO_SUITABLE_KEY_SHARE: "classical-downgrade",
  BAD_KEY_SHARE: "classical-downgrade",
  NO_SHARED_CIPHER: "no-common-parameters",
  NO_SHARED_SIGNATURE_ALGORITHMS: "no-common-parameters",
  // What a server says that knows the classical groups only, among other reasons; anybody on the way can say it.
  "SSL/TLS_ALERT_HANDSHAKE_FAILURE": "no-common-parameters",
  UNEXPECTED_MESSAGE: "unexpected-message",
  UNSOLICITED_EXTENSION: "unexpected-extension",
  BAD_EXTENSION: "unexpected-extension",
  MISSING_SIGALGS_EXTENSION: "unexpected-extension",
  LENGTH_MISMATCH: "malformed-handshake",
  LENGTH_TOO_SHORT: "malformed-handshake",
  BAD_LENGTH: "malformed-handshake",
  DECODE_ERROR: "malformed-handshake",
  WRONG_CIPHER_RETURNED: "illegal-parameter",
  UNKNOWN_CIPHER_RETURNED: "illegal-parameter",
  INVALID_SESSION_ID: "illegal-parameter",
  INVALID_COMPRESSION_ALGORITHM: "illegal-parameter",
  WRONG_SIGNATURE_TYPE: "wrong-signature-algorithm",
  BAD_SIGNATURE: "bad-signature",
  DIGEST_CHECK_FAILED: "bad-finished",
};
const overLimit: ReadonlySet<string> = new Set([
  "EXCESSIVE_MESSAGE_SIZE",
  "DATA_LENGTH_TOO_LONG",
  "ENCRYPTED_LENGTH_TOO_LONG",
  "PACKET_LENGTH_TOO_LONG",
  "RECORD_TOO_LARGE",
]);

/** Why a handshake did not come to its end. */
export function handshakeError(cause?: Error): RatlsError {
  const reason = reasonOf(cause);
  if (reason === undefined) return truncation(false, cause);
  if (reason === "DECRYPTION_FAILED_OR_BAD_RECORD_MAC") return recordFailure(cause);
  if (overLimit.has(reason)) return endlessHandshake(cause);
  return handshakeFailure(reasons[reason] ?? "handshake-failed", cause);
}

/** Why a session broke after its handshake. */
export function recordError(cause?: Error): RatlsError {
  return reasonOf(cause) === undefined ? truncation(true, cause) : recordFailure(cause);
}

/** OpenSSL's reason; undefined where the stream below was what broke. */
function reasonOf(cause: Error | undefined): string | undefined {
  const prefix = "ERR_SSL_";
  const code = cause !== undefined && "code" in cause ? String(cause.code) : "";
  return code.startsWith(prefix) ? code.slice(prefix.length) : undefined;
}
