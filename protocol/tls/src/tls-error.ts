// Everything this client refuses a handshake or a record for, and what it tells the server then.
import { CodedError, EncodingError } from "@sotto/base";

export type TlsErrorCode =
  /** A message is not in its form. */
  | "malformed"
  /** The stream ended before the server closed. */
  | "truncated"
  | "too-large"
  | "unexpected-message"
  | "unexpected-extension"
  | "missing-extension"
  | "tls-version"
  | "hello-retry"
  | "illegal-parameter"
  | "classical-downgrade"
  | "wrong-protocol"
  | "bad-certificate"
  | "wrong-signature-algorithm"
  | "bad-signature"
  | "bad-finished"
  | "bad-record"
  | "session-ticket"
  /** More records than a key is good for, or a long row of them without data. */
  | "too-many-records"
  /** The server gave up, and said so. */
  | "alert"
  | "closed"
  /** This platform's cryptography lacks what the profile needs. */
  | "unsupported-platform";

/** A session that did not come up or broke; nothing of it may be used any more. */
export class TlsError extends CodedError<TlsErrorCode> {
  /** The server's alert description, when that is what ended the session (RFC 8446 Section 6). */
  readonly alert: number | undefined;

  constructor(code: TlsErrorCode, message: string, options: ErrorOptions & { alert?: number } = {}) {
    super(code, message, options);
    this.alert = options.alert;
  }
}

/** The alert that tells the server why; undefined where it knows, or nothing can be said (RFC 8446 Section 6.2). */
export const alertFor: Readonly<Record<TlsErrorCode, number | undefined>> = {
  malformed: 50, // decode_error
  truncated: undefined,
  "too-large": 22, // record_overflow
  "unexpected-message": 10,
  "unexpected-extension": 110, // unsupported_extension
  "missing-extension": 109,
  "tls-version": 70, // protocol_version
  "hello-retry": 47, // illegal_parameter
  "illegal-parameter": 47,
  "classical-downgrade": 47,
  "wrong-protocol": 120, // no_application_protocol
  "bad-certificate": 42,
  "wrong-signature-algorithm": 47,
  "bad-signature": 51, // decrypt_error
  "bad-finished": 51,
  "bad-record": 20, // bad_record_mac
  "session-ticket": 10,
  "too-many-records": 10,
  alert: undefined,
  closed: undefined,
  "unsupported-platform": 80, // internal_error
};

/** Runs a parser and turns errors of the floor into `malformed`. */
export function strictly<T>(format: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof EncodingError)) throw cause;
    throw new TlsError("malformed", `${format}: ${cause.message}`, { cause });
  }
}
