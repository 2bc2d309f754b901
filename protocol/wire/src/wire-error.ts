// Everything the codecs throw.
import { CodedError, EncodingError } from "@sotto/base";

export type WireErrorCode =
  | "truncated"
  | "trailing-bytes"
  | "malformed"
  | "too-large"
  | "unsupported"
  | "unknown-key"
  | "decryption-failed"
  | "out-of-order";

/** Malformed or unacceptable bytes on the wire. */
export class WireError extends CodedError<WireErrorCode> {}

/**
 * The one error of every failed decryption, whatever failed, so that nobody learns which part was wrong.
 */
export function decryptionFailed(): WireError {
  return new WireError("decryption-failed", "message cannot be opened");
}

/** Runs a parser and turns errors of the reader into `WireError`. */
export function strictly<T>(format: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof EncodingError)) throw cause;
    const code =
      cause.code === "truncated" || cause.code === "trailing-bytes" || cause.code === "too-large"
        ? cause.code
        : "malformed";
    throw new WireError(code, `${format}: ${cause.message}`, { cause });
  }
}
