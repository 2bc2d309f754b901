// Everything an attested session fails with, apart from the verdict itself.
import { CodedError } from "@sotto/base";

export type RatlsErrorCode =
  /** A message is not in its form. */
  | "malformed"
  | "unknown-frame"
  | "too-large"
  /** The peer said something that it may not say now. */
  | "out-of-order"
  /** The stream ended before the protocol did. */
  | "truncated"
  /** TLS refused what arrived: not what was protected, or not what may come now. */
  | "bad-record"
  | HandshakeErrorCode
  | "session-ticket"
  | "resumed"
  | "bad-certificate"
  /** The peer has no room now, and says so. */
  | "busy"
  /** The peer could not attest or answer, and says so. */
  | "predictor-refused"
  | "guard-refused"
  | "peer-failed"
  /** The peer says that it does not accept this end's evidence. */
  | "not-accepted"
  /** The evidence that a long answer needs did not come in time, or was of another node. */
  | "reattestation-missing"
  | "reattestation-mismatch"
  | "aborted";

/** What may be wrong with a handshake, as far as each platform's TLS tells. */
export type HandshakeErrorCode =
  | "handshake-failed"
  | "no-common-parameters"
  | "tls-version"
  | "wrong-protocol"
  | "classical-downgrade"
  | "malformed-handshake"
  | "unexpected-message"
  | "unexpected-extension"
  | "illegal-parameter"
  | "wrong-signature-algorithm"
  | "bad-signature"
  | "bad-finished"
  | "unsupported-platform";

/** A session that did not come up or broke; nothing of it may be used any more. */
export class RatlsError extends CodedError<RatlsErrorCode> {}

const handshakeMessages: Readonly<Record<HandshakeErrorCode, string>> = {
  "handshake-failed": "tls handshake failed",
  "no-common-parameters": "peer accepts none of the groups, suites and signatures offered",
  "tls-version": "peer does not speak tls 1.3",
  "wrong-protocol": "peer does not speak this protocol",
  "classical-downgrade": "key exchange has no post-quantum half",
  "malformed-handshake": "tls handshake: a message is not in its form",
  "unexpected-message": "tls handshake: a message out of its order",
  "unexpected-extension": "tls handshake: an extension that was not asked for, or lacks",
  "illegal-parameter": "tls handshake: a choice that was not offered",
  "wrong-signature-algorithm": "tls handshake: signed with an algorithm that was not offered",
  "bad-signature": "tls handshake: not signed with the certificate's key",
  "bad-finished": "tls handshake: the two ends have not seen the same",
  "unsupported-platform": "platform lacks an algorithm",
};

/** What a handshake failed with, in words. */
export function handshakeFailure(code: HandshakeErrorCode, cause?: unknown): RatlsError {
  return new RatlsError(code, handshakeMessages[code], { cause });
}

/** More came than any handshake is. */
export function endlessHandshake(cause?: unknown): RatlsError {
  return new RatlsError("too-large", "tls handshake: over its limit", { cause });
}

/** The stream ended, or broke, before the protocol did. */
export function truncation(isSecure: boolean, cause?: unknown): RatlsError {
  const message = isSecure ? "session broke off" : "stream ended during the handshake";
  return new RatlsError("truncated", message, { cause });
}

/** TLS refused what arrived. */
export function recordFailure(cause?: unknown): RatlsError {
  return new RatlsError("bad-record", "tls refused what arrived", { cause });
}
