// What our own TLS says went wrong, as the codes that sessions fail with on every platform.
import type { TlsError, TlsErrorCode } from "@sotto/tls";
import {
  endlessHandshake,
  type HandshakeErrorCode,
  handshakeFailure,
  RatlsError,
  recordFailure,
  truncation,
} from "./ratls-error.ts";

const codes: Readonly<Partial<Record<TlsErrorCode, HandshakeErrorCode>>> = {
  malformed: "malformed-handshake",
  "unexpected-message": "unexpected-message",
  "unexpected-extension": "unexpected-extension",
  "missing-extension": "unexpected-extension",
  "tls-version": "tls-version",
  // Every group that is offered comes with its share, so another one is asked for that was not.
  "hello-retry": "classical-downgrade",
  "illegal-parameter": "illegal-parameter",
  "classical-downgrade": "classical-downgrade",
  "wrong-protocol": "wrong-protocol",
  "bad-signature": "bad-signature",
  "wrong-signature-algorithm": "wrong-signature-algorithm",
  "bad-finished": "bad-finished",
  "unsupported-platform": "unsupported-platform",
};

// What the peer found wrong, where that says more than that it did (RFC 8446 Section 6.2).
const alerts: Readonly<Record<number, HandshakeErrorCode>> = {
  40: "no-common-parameters", // handshake_failure
  70: "tls-version", // protocol_version
  120: "wrong-protocol", // no_application_protocol
};

/** Why a handshake did not come to its end, or a session broke after it. */
export function tlsFailure(cause: TlsError, isSecure: boolean): RatlsError {
  const { code, alert } = cause;
  if (code === "truncated" || code === "closed") return truncation(isSecure, cause);
  if (code === "session-ticket") return new RatlsError(code, "peer sent a session ticket", { cause });
  if (isSecure) return recordFailure(cause);
  if (code === "bad-record" || code === "too-many-records") return recordFailure(cause);
  if (code === "too-large") return endlessHandshake(cause);
  if (code === "bad-certificate")
    return new RatlsError(code, "tls handshake: not one certificate", { cause });
  const told = code === "alert" && alert !== undefined ? alerts[alert] : codes[code];
  return handshakeFailure(told ?? "handshake-failed", cause);
}
