// Everything an attested session fails with, apart from the verdict itself.
import { CodedError } from "@sotto/base";

export type RatlsErrorCode =
  | "malformed"
  | "too-large"
  | "truncated"
  | "out-of-order"
  | "handshake-failed"
  | "wrong-protocol"
  | "classical-downgrade"
  | "session-ticket"
  | "resumed"
  | "bad-certificate"
  | "busy"
  | "predictor-refused"
  | "peer-failed"
  | "aborted";

/** A session that did not come up or broke; nothing of it may be used any more. */
export class RatlsError extends CodedError<RatlsErrorCode> {}
