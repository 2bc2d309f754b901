// What OpenSSL and the stream below say went wrong, as codes of ours.
import { RatlsError, type RatlsErrorCode } from "./ratls-error.ts";

// Reasons of OpenSSL as Node names them; an alert is what the peer found wrong.
const reasons: Readonly<Record<string, RatlsErrorCode>> = {
  ERR_SSL_UNSUPPORTED_PROTOCOL: "tls-version",
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: "tls-version",
  ERR_SSL_NO_APPLICATION_PROTOCOL: "wrong-protocol",
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: "wrong-protocol",
  ERR_SSL_NO_SUITABLE_KEY_SHARE: "classical-downgrade",
  ERR_SSL_BAD_KEY_SHARE: "classical-downgrade",
  ERR_SSL_NO_SHARED_CIPHER: "no-common-parameters",
  ERR_SSL_NO_SHARED_SIGNATURE_ALGORITHMS: "no-common-parameters",
  // What a server says that knows the classical groups only, among other reasons; anybody on the way can say it.
  "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE": "no-common-parameters",
};

const messages: Partial<Record<RatlsErrorCode, string>> = {
  "tls-version": "peer does not speak tls 1.3",
  "wrong-protocol": "peer does not speak this protocol",
  "classical-downgrade": "key exchange has no post-quantum half",
  "no-common-parameters": "peer accepts none of the groups, suites and signatures offered",
};

/** Why a handshake did not come to its end. */
export function handshakeError(cause?: Error): RatlsError {
  const reason = reasonOf(cause);
  if (!reason.startsWith("ERR_SSL_")) {
    return new RatlsError("truncated", "stream ended during the handshake", { cause });
  }
  const code = reasons[reason] ?? "handshake-failed";
  return new RatlsError(code, messages[code] ?? "tls handshake failed", { cause });
}

/** Why a session broke after its handshake. */
export function recordError(cause?: Error): RatlsError {
  if (reasonOf(cause).startsWith("ERR_SSL_")) {
    return new RatlsError("bad-record", "tls refused what arrived", { cause });
  }
  return new RatlsError("truncated", "session broke off", { cause });
}

function reasonOf(cause: Error | undefined): string {
  return cause !== undefined && "code" in cause ? String(cause.code) : "";
}
