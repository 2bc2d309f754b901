// Everything the attestation library throws. A refused node also carries its whole verdict.
import { CodedError, EncodingError } from "@sotto/base";
import type { Verdict } from "./verdict.ts";

export type AttestationErrorCode =
  | "malformed"
  | "too-large"
  | "unsupported"
  | "untrusted-root"
  | "bad-chain"
  | "bad-certificate"
  | "certificate-not-valid-now"
  | "bad-signature"
  | "tcb-mismatch"
  | "chip-mismatch"
  | "generation-mismatch"
  | "signing-key-mismatch"
  | "generation-not-allowed"
  | "vlek-not-allowed"
  | "chip-not-allowed"
  | "debug-allowed"
  | "migration-allowed"
  | "guest-policy"
  | "wrong-vmpl"
  | "alias-check-missing"
  | "tcb-too-low"
  | "binding-mismatch"
  | "not-logged"
  | "wrong-role"
  | "release-expired"
  | "security-version-too-low"
  | "measurement-mismatch"
  | "gpu-refused"
  | "peer-refused";

/** Malformed evidence, or evidence that is not what policy asks for. */
export class AttestationError extends CodedError<AttestationErrorCode> {
  readonly verdict: Verdict | undefined;

  constructor(
    code: AttestationErrorCode,
    message: string,
    options: ErrorOptions & { verdict?: Verdict } = {},
  ) {
    super(code, message, options);
    this.verdict = options.verdict;
  }
}

/** Runs a parser and turns errors of the floor into `AttestationError`. */
export function strictly<T>(format: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof EncodingError)) throw cause;
    const code = cause.code === "too-large" ? "too-large" : "malformed";
    throw new AttestationError(code, `${format}: ${cause.message}`, { cause });
  }
}
