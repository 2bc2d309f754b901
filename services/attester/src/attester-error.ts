import { CodedError } from "@sotto/base";

/** A session is not served: too many wait, or the hardware does not answer. */
export class AttesterError extends CodedError<"busy" | "wrong-role" | "unavailable"> {}
