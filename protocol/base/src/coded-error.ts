// The one base of every error thrown on purpose.

/**
 * An error with a stable code; anything else that is thrown is a bug.
 *
 * Messages are lowercase, without a full stop, name the format and the limit, and never hold a byte of input. Of a cause
 * that is no such error only name and code are kept.
 */
export class CodedError<Code extends string = string> extends Error {
  readonly code: Code;

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options?.cause === undefined ? {} : { cause: withoutWords(options.cause) });
    this.name = new.target.name;
    this.code = code;
  }
}

/** What is kept of an error of somebody else's, for its message and whatever hangs on it may quote what was read. */
class ForeignError extends Error {
  constructor(name: string, code: string | undefined) {
    super(code ?? "of another kind");
    this.name = name;
    if (code !== undefined) Object.assign(this, { code });
  }
}

const namePattern = /^[A-Z][A-Za-z]{0,39}$/;
const codePattern = /^[A-Z][A-Z0-9_]{0,59}$/; // ECONNREFUSED, ERR_SSL_..., UND_ERR_...
const maxDepth = 4;

function withoutWords(cause: unknown): Error {
  if (cause instanceof CodedError || cause instanceof ForeignError) return cause;
  const name = cause instanceof Error && namePattern.test(cause.name) ? cause.name : "Error";
  let code: string | undefined;
  let inner = cause;
  for (let depth = 0; depth < maxDepth && code === undefined && inner instanceof Error; depth += 1) {
    const given: unknown = "code" in inner ? inner.code : undefined;
    if (typeof given === "string" && codePattern.test(given)) code = given;
    inner = inner.cause;
  }
  return new ForeignError(name, code);
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
