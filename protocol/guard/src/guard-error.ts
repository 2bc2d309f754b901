// What can be wrong with the two files that make a guard.
import { CodedError } from "@sotto/base";

export type GuardErrorCode =
  | "policy-malformed"
  | "policy-too-large"
  | "classifier-malformed"
  | "classifier-too-large"
  | "not-a-pair"
  | "unknown-hazard";

/** A policy or classifier that is refused; there is no guard then, and nothing may be answered. */
export class GuardError extends CodedError<GuardErrorCode> {}
