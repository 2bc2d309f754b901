// Errors of the software TEE.
import { CodedError } from "@sotto/base";

export type TeeErrorCode =
  | "foreign-link"
  | "foreign-file"
  | "missing-package"
  | "malformed"
  | "unreadable"
  | "over-rate"
  | "launch-failed";

/** Why the software TEE refuses to measure or to launch. */
export class TeeError extends CodedError<TeeErrorCode> {}
