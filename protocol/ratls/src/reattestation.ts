// When the server of a long answer must attest anew, and whether it has: a clock and a counter of bytes, nothing else.
import { reattestGraceMs } from "./profile.ts";
import { RatlsError } from "./ratls-error.ts";

/** After how much time, or how many bytes of the answer, the server is asked again. */
export type ReattestInterval = { readonly everyMs: number; readonly everyBytes: number };

// However slowly this end reads: so many intervals after it was asked, a server has attested.
const maxIntervals = 2;

/** Keeps the time of one session; everything is judged when something has arrived. */
export class Reattestation {
  readonly #interval: ReattestInterval;
  #attestedAt: number;
  #bytes = 0;
  #isAsked = false;
  /** Since it was asked: what was waited for the server, and what of the answer has come. */
  #waitedMs = 0;
  #askedAt = 0;
  #bytesSinceAsked = 0;

  /** `attestedAt` is when the session's evidence was verified. */
  constructor(interval: ReattestInterval, attestedAt: number) {
    this.#interval = interval;
    this.#attestedAt = attestedAt;
  }

  /**
   * Something has come, for which was waited so long; throws `reattestation-missing` when evidence should have, before
   * that. Time in which nobody here wanted to read is not the server's, up to a limit.
   */
  wait(ms: number, nowMs: number): void {
    if (!this.#isAsked) return;
    this.#waitedMs += Math.max(0, ms);
    if (nowMs - this.#askedAt > maxIntervals * this.#interval.everyMs) throw missing();
    this.#check();
  }

  /** So much of the answer has come; returns whether it is time to ask. */
  receive(bytes: number, nowMs: number): boolean {
    this.#bytes += bytes;
    if (this.#isAsked) {
      this.#bytesSinceAsked += bytes;
      this.#check();
      return false;
    }
    const { everyMs, everyBytes } = this.#interval;
    // A clock that was set back counts from where it is.
    if (nowMs < this.#attestedAt) this.#attestedAt = nowMs;
    return nowMs - this.#attestedAt >= everyMs || this.#bytes >= everyBytes;
  }

  /** The server has been asked. */
  ask(nowMs: number): void {
    this.#isAsked = true;
    this.#askedAt = nowMs;
    this.#waitedMs = 0;
    this.#bytesSinceAsked = 0;
  }

  /** The server has attested, as it must. */
  settle(nowMs: number): void {
    this.#isAsked = false;
    this.#attestedAt = nowMs;
    this.#bytes = 0;
  }

  #check(): void {
    const isLate = this.#waitedMs > reattestGraceMs || this.#bytesSinceAsked > this.#interval.everyBytes;
    if (isLate) throw missing();
  }
}

function missing(): RatlsError {
  return new RatlsError("reattestation-missing", "peer did not attest anew in time");
}
