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
  /** TLS refused what arrived after the handshake. */
  | "bad-record"
  | "handshake-failed"
  | "no-common-parameters"
  | "tls-version"
  | "wrong-protocol"
  | "classical-downgrade"
  | "session-ticket"
  | "resumed"
  | "bad-certificate"
  /** The peer has no room now, and says so. */
  | "busy"
  /** The peer could not attest or answer, and says so. */
  | "predictor-refused"
  | "guard-refused"
  | "peer-failed"
  | "aborted";

/** A session that did not come up or broke; nothing of it may be used any more. */
export class RatlsError extends CodedError<RatlsErrorCode> {}
