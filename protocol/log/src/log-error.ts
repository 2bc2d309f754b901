// Everything the log library throws.
import { CodedError, EncodingError } from "@sotto/base";

export type LogErrorCode =
  | "malformed"
  | "too-large"
  | "bad-signature"
  | "unknown-log"
  | "not-included"
  | "inconsistent"
  | "quorum-not-met"
  | "stale-checkpoint"
  | "expired";

/** Malformed or unacceptable material of a transparency log. */
export class LogError extends CodedError<LogErrorCode> {}

/** Runs a parser and turns errors of the floor into `LogError`. */
export function strictly<T>(format: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof EncodingError)) throw cause;
    throw new LogError(
      cause.code === "too-large" ? "too-large" : "malformed",
      `${format}: ${cause.message}`,
      {
        cause,
      },
    );
  }
}
