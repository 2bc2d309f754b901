// Everything the attestation library throws. A refused node also carries its whole verdict.
import { CodedError, EncodingError } from "@sotto/base";
import type { Verdict } from "./verdict.ts";

/** What an error says: one code for one kind of refusal, in the order in which evidence is read. */
export type AttestationErrorCode =
  // bytes that are not in their form
  | "malformed"
  | "too-large"
  | "unsupported-version"
  | "unsupported-algorithm"
  | "reserved-not-zero"
  | "unknown-policy-bits"
  | "unknown-signing-key"
  | "unknown-processor"
  | "signature-out-of-range"
  // certificates and signatures
  | "untrusted-root"
  | "bad-chain"
  | "bad-certificate"
  | "certificate-kind-mismatch"
  | "extension-missing"
  | "extension-repeated"
  | "hardware-id-malformed"
  | "certificate-expired"
  | "certificate-not-yet-valid"
  | "authority-revoked"
  | "bad-signature"
  | "signing-key-mismatch"
  | "generation-mismatch"
  | "tcb-mismatch"
  | "tcb-inconsistent"
  | "chip-masked"
  | "chip-mismatch"
  // genuine, but not what policy asks for
  | "generation-not-allowed"
  | "vlek-not-allowed"
  | "chip-not-allowed"
  | "chip-refused"
  | "debug-allowed"
  | "migration-allowed"
  | "smt-allowed"
  | "cxl-allowed"
  | "wrong-vmpl"
  | "alias-check-missing"
  | "mitigation-missing"
  | "reported-tcb-too-low"
  | "committed-tcb-too-low"
  | "launch-tcb-too-low"
  | "floor-missing"
  | "quorum-missing"
  // the session, the release, and whoever the node relies on
  | "binding-mismatch"
  | "malformed-proof"
  | "unknown-log"
  | "not-logged"
  | "unwitnessed"
  | "stale-proof"
  | "wrong-statement"
  | "wrong-role"
  | "weights-not-named"
  | "policy-not-named"
  | "release-expired"
  | "release-not-yet-valid"
  | "security-version-too-low"
  | "measurement-mismatch"
  | "sandbox-incomplete"
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
