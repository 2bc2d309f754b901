// Everything the token library throws.
import { CodedError, EncodingError } from "@sotto/base";

export type CredentialErrorCode =
  | "malformed"
  | "unsupported"
  | "unknown-key"
  | "bad-token"
  | "bad-token-response"
  | "wrong-challenge"
  | "issuer-fault";

/** A token, key, challenge or header that is malformed or does not verify. */
export class CredentialError extends CodedError<CredentialErrorCode> {}

/** Runs a parser and turns errors of the floor into `CredentialError`. */
export function strictly<T>(format: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof EncodingError)) throw cause;
    throw new CredentialError("malformed", `${format}: ${cause.message}`, { cause });
  }
}
