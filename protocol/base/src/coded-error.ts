// The one base of every error thrown on purpose.

/**
 * An error with a stable code; anything else that is thrown is a bug.
 *
 * Messages are lowercase, without a full stop, name the format and the limit, and never hold a byte of input.
 */
export class CodedError<Code extends string = string> extends Error {
  readonly code: Code;

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Codes of errors that the floor itself throws. */
export type EncodingErrorCode =
  | "truncated"
  | "trailing-bytes"
  | "not-canonical"
  | "out-of-range"
  | "bad-encoding"
  | "too-large";

/** Malformed bytes or text at the level of encodings. */
export class EncodingError extends CodedError<EncodingErrorCode> {}
