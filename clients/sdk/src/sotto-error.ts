// What can go wrong for an app, sorted by what the app should do about it.
import { CodedError } from "@sotto/base";

/** `fix`: the caller is wrong; `retry`: later; `pay`: no tokens left; `stop`: security, never retried silently. */
export type Advice = "fix" | "retry" | "pay" | "stop";

const adviceOf = {
  "not-private": "fix",
  "unsupported-request": "fix",
  "bad-settings": "fix",
  "unsupported-platform": "fix",
  closed: "fix",
  aborted: "fix",
  "relay-unreachable": "retry",
  "relay-refused": "retry",
  busy: "retry",
  "session-lost": "retry",
  "stale-key": "retry",
  "issuer-unreachable": "retry",
  "no-tokens": "pay",
  "account-refused": "pay",
  "token-refused": "pay",
  "directory-refused": "stop",
  "verification-failed": "stop",
  "protocol-violation": "stop",
} as const satisfies Record<string, Advice>;

export type SottoErrorCode = keyof typeof adviceOf;

/** An error of the SDK: a stable code and what to do about it. */
export class SottoError extends CodedError<SottoErrorCode> {
  /** What to do about it. */
  get advice(): Advice {
    return adviceOf[this.code];
  }
}
